"""The graph keeps functions, checked over all inputs; covers have the sizes that LUTs of four inputs allow."""

from __future__ import annotations

import itertools
import random

import pytest

from cs_hdl.estimate.graph import FALSE, TRUE, UNKNOWN, Graph


def value(graph: Graph, bit: int, leaves: dict[int, bool]) -> bool:
    """What ``bit`` is where the leaves have these values: from the nodes, not from how they were made."""
    if bit <= TRUE:
        return bit == TRUE
    if bit & ~1 in leaves:
        return leaves[bit & ~1] ^ bool(bit & 1)
    kind = graph._nodes[bit >> 1][0]
    inputs = [value(graph, item, leaves) for item in graph.inputs(bit & ~1)]
    results = {
        1: lambda: inputs[0] and inputs[1],
        2: lambda: inputs[0] != inputs[1],
        3: lambda: inputs[2] if inputs[0] else inputs[1],
    }
    return bool(results[kind]()) ^ bool(bit & 1)


OPERATIONS = {
    "and_": lambda a, b, c: a and b,
    "or_": lambda a, b, c: a or b,
    "xor": lambda a, b, c: a != b,
    "mux": lambda a, b, c: c if a else b,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_over_leaves_constants_and_inverses(name):
    graph = Graph()
    leaves = [graph.leaf() for _ in range(2)]
    operands = [FALSE, TRUE, *leaves, *(leaf ^ 1 for leaf in leaves)]
    arity = 3 if name == "mux" else 2
    for bits in itertools.product(operands, repeat=arity):
        made = getattr(graph, name)(*bits)
        for values in itertools.product([False, True], repeat=2):
            known = dict(zip(leaves, values, strict=True))
            inputs = [value(graph, bit, known) for bit in bits] + [False]
            assert value(graph, made, known) == OPERATIONS[name](*inputs[:2], inputs[2])


def test_random_logic_keeps_its_function():
    generator = random.Random(1)
    graph = Graph()
    leaves = [graph.leaf() for _ in range(5)]
    made = [(leaf, tuple(v[i] for v in itertools.product([False, True], repeat=5))) for i, leaf in enumerate(leaves)]
    for _ in range(200):
        picked = [generator.choice(made) for _ in range(3)]
        name = generator.choice(list(OPERATIONS))
        arity = 3 if name == "mux" else 2
        inverted = [generator.random() < 0.5 for _ in range(3)]
        bits = [bit ^ flip for (bit, _), flip in zip(picked, inverted, strict=True)]
        tables = [tuple(x != flip for x in table) for (_, table), flip in zip(picked, inverted, strict=True)]
        result = getattr(graph, name)(*bits[:arity])
        made.append((result, tuple(bool(OPERATIONS[name](*row)) for row in zip(*tables, strict=True))))
    for bit, table in made:
        for values, expected in zip(itertools.product([False, True], repeat=5), table, strict=True):
            assert value(graph, bit, dict(zip(leaves, values, strict=True))) == expected


def test_a_multiplexer_with_an_unknown_input_is_none():
    graph = Graph()
    select, a = graph.leaf(), graph.leaf()
    assert graph.mux(select, a, UNKNOWN) == a
    assert graph.mux(select, UNKNOWN, a) == a
    assert graph.and_(UNKNOWN, a) == FALSE


@pytest.mark.parametrize(("inputs", "luts"), [(2, 1), (4, 1), (5, 2), (7, 2), (8, 3), (10, 3), (13, 4), (16, 5)])
def test_a_wide_and_takes_the_fewest_luts(inputs, luts):
    graph = Graph()
    cover = graph.cover([graph.all_([graph.leaf() for _ in range(inputs)])])
    # Balanced trees cannot always be cut best: one LUT more at most.
    assert luts <= cover.total() <= luts + 1


def test_equal_functions_are_made_once_and_what_is_not_needed_is_not_made():
    graph = Graph()
    a, b, c = (graph.leaf() for _ in range(3))
    graph.xor(a, c)
    assert graph.cover([graph.and_(a, b), graph.and_(b, a)]).total() == 1
    assert graph.cover([a, TRUE, FALSE]).total() == 0
    assert graph.cover([a ^ 1]).total() == 1


def test_luts_belong_to_who_made_the_logic():
    graph = Graph()
    bits = [graph.leaf() for _ in range(8)]
    graph.owner = "one"
    first = graph.all_(bits[:4])
    graph.owner = "two"
    second = graph.parity(bits[4:])
    assert graph.cover([first, second]) == {("one", "and"): 1, ("two", "xor"): 1, ("", "and"): 0}

"""Sorting networks: the 0-1 principle, exhaustively where that is possible, and random lists above."""

from __future__ import annotations

import itertools
import operator
import random

import pytest

from cs_hdl.plan.sorting import SortingNetwork, merger, selector, sorter


def _check(network: SortingNetwork, items: list[int], keep: int, *, ordered: bool) -> None:
    got = network.apply(items, operator.gt)
    expected = sorted(items, reverse=True)[:keep]
    assert (got if ordered else sorted(got, reverse=True)) == expected, (items, network)


def _check_shape(network: SortingNetwork, wires: int, keep: int) -> None:
    assert network.wires == wires
    assert len(network.outputs) == keep == len(set(network.outputs))
    for layer in network.layers:
        used = [wire for pair in layer for wire in pair]
        assert layer and len(used) == len(set(used)) and all(0 <= wire < wires for wire in used)
    # Every comparator is needed: each has a wire that something behind it reads.
    for layer, live in zip(network.layers, network.live()[1:], strict=True):
        assert all(live.intersection(pair) for pair in layer)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("n", range(1, 10))
def test_sorter_sorts_every_list_of_zeros_and_ones(n: int, ordered: bool) -> None:
    for keep in range(1, n + 1):
        network = sorter(n, keep, ordered=ordered)
        _check_shape(network, n, keep)
        for items in itertools.product((0, 1), repeat=n):
            _check(network, list(items), keep, ordered=ordered)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("n", "keep"), [(16, 8), (17, 5), (31, 31), (32, 1), (48, 20), (64, 8), (100, 63)])
def test_sorter_sorts_long_lists(n: int, keep: int, ordered: bool) -> None:
    rng = random.Random(n)
    network = sorter(n, keep, ordered=ordered)
    _check_shape(network, n, keep)
    for highest in (1, 1, 1, 7, 10**6) * 12:
        _check(network, [rng.randint(0, highest) for _ in range(n)], keep, ordered=ordered)


@pytest.mark.parametrize("build", [merger, selector])
@pytest.mark.parametrize(("a", "b"), [*itertools.product(range(1, 9), repeat=2), (16, 16), (5, 20), (13, 11)])
def test_merger_and_selector_on_every_pair_of_lists(build, a: int, b: int) -> None:
    for keep in range(1, a + b + 1):
        network = build(a, b, keep)
        _check_shape(network, a + b, keep)
        # A sorted list of zeros and ones is a number of ones: so these are all pairs of lists.
        for ones, others in itertools.product(range(a + 1), range(b + 1)):
            items = [1] * ones + [0] * (a - ones) + [1] * others + [0] * (b - others)
            _check(network, items, keep, ordered=build is merger)
        if build is selector:
            assert len(network.layers) <= 1


def test_sizes_are_batchers_and_pruning_saves() -> None:
    assert [sorter(n, n).comparators for n in (2, 4, 8, 16, 32)] == [1, 5, 19, 63, 191]
    assert [len(sorter(n, n).layers) for n in (2, 4, 8, 16, 32)] == [1, 3, 6, 10, 15]
    assert merger(8, 8, 16).comparators == 25
    assert merger(8, 8, 8).comparators == 20
    assert selector(8, 8, 8).comparators == 8
    assert sorter(16, 1).comparators == 15
    assert sorter(5, 5, ordered=False).comparators == 0


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"keep must be 1\.\.4"):
        sorter(4, 5)
    with pytest.raises(ValueError, match=r"keep must be 1\.\.4"):
        sorter(4, 0)
    with pytest.raises(ValueError, match="at least one item"):
        merger(0, 3, 1)
    with pytest.raises(ValueError, match=r"keep must be 1\.\.6"):
        selector(3, 3, 7)
    with pytest.raises(ValueError, match="3 wires cannot take 2 items"):
        sorter(3, 3).apply([1, 2], operator.gt)


@pytest.mark.parametrize(
    "network", [sorter(8, 8), sorter(6, 3, ordered=False), merger(4, 4, 4), merger(3, 4, 7), selector(4, 4, 4)]
)
def test_known_tie_winners_are_right_for_every_input(network: SortingNetwork) -> None:
    def by_input(better: tuple[int, int], worse: tuple[int, int]) -> bool:
        return (-better[0], better[1]) < (-worse[0], worse[1])

    assert any(winner is not None for layer in network.tie_winners() for winner in layer)
    for values in itertools.product((0, 1), repeat=network.wires):
        wires = [(value, number) for number, value in enumerate(values)]
        for layer, winners in zip(network.layers, network.tie_winners(), strict=True):
            for (first, second), winner in zip(layer, winners, strict=True):
                if winner is not None:
                    other = first if winner == second else second
                    assert wires[winner][1] < wires[other][1]
                if by_input(wires[second], wires[first]):
                    wires[first], wires[second] = wires[second], wires[first]

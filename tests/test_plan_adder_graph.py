"""Constant matrices as graphs of adders: the same numbers as a product of matrices, within the stated bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import sparse_weights

from cs_hdl.plan.adder_graph import LEVELS_PER_STAGE, Term, adder_graph, signed_digits

RANGES = [(0, 255), (-128, 127)]


def evaluate(graph, vector):
    """The outputs for one vector of inputs; every adder's value must keep within its bounds."""
    values = [int(value) for value in vector]
    for adder in graph.adders:
        total = (values[adder.left] << adder.left_shift) + adder.sign * (values[adder.right] << adder.right_shift)
        assert adder.low <= total <= adder.high
        values.append(total)
    return [0 if term is None else term.sign * (values[term.node] << term.shift) for term in graph.outputs]


def check(matrix, low, high):
    graph = adder_graph(matrix, low, high)
    # The vectors at which a row is as large and as small as it can be, and random ones.
    rng = np.random.default_rng(0)
    vectors = [np.where(row * sign > 0, high, low) for row in matrix for sign in (1, -1)]
    vectors += [np.full(matrix.shape[1], value) for value in (low, 0, high)]
    vectors += list(rng.integers(low, high + 1, (10, matrix.shape[1])))
    for vector in vectors:
        assert evaluate(graph, vector) == (matrix @ vector).tolist()
    return graph


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (17, 1), (6, 25), (16, 13)])
def test_random_matrices(shape, density, low, high):
    matrix = sparse_weights(np.random.default_rng(shape[0]), shape, density).astype(int)
    check(matrix, low, high)
    check(-np.abs(matrix), low, high)
    assert adder_graph(matrix, low, high) == adder_graph(matrix.copy(), low, high)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(
            st.lists(st.sampled_from([0, 0, 1, -1, 2, 3, 64, -96]) | st.integers(-127, 127), min_size=width,
                     max_size=width),
            min_size=1, max_size=5,
        )
    ),
    st.sampled_from(RANGES),
)  # fmt: skip
def test_any_matrix(rows, bounds):
    check(np.array(rows), *bounds)


@pytest.mark.parametrize("low, high", RANGES)
def test_every_weight(low, high):
    graph = check(np.arange(-127, 128).reshape(-1, 1), low, high)
    # A weight and its negative, and a weight and twice of it, are one node with another sign or shift.
    assert len(graph.adders) <= 63
    assert all(adder.level <= 2 for adder in graph.adders)


def test_what_needs_no_adder_has_none():
    graph = adder_graph(np.array([[0, 0], [1, 0], [0, -64], [0, 0]]), 0, 255)
    assert graph.adders == () and graph.depth == graph.latency == graph.bits == 0
    assert graph.outputs == (None, Term(0, 0, 1), Term(1, 6, -1), None)


def test_levels_count_the_adders_on_the_way():
    graph = adder_graph(np.ones((1, 9), dtype=int), 0, 255)
    levels = [0] * graph.inputs
    for adder in graph.adders:
        levels.append(max(levels[adder.left], levels[adder.right]) + 1)
        assert adder.level == levels[-1]
    assert graph.depth == 4 and len(graph.adders) == 8  # a balanced tree
    assert graph.latency == graph.depth // LEVELS_PER_STAGE


def test_equal_kernels_share_the_multiples():
    one = adder_graph(np.array([[77]]), 0, 255)
    assert len(adder_graph(np.array([[77]] * 5), 0, 255).adders) == len(one.adders)


@pytest.mark.parametrize("value", [0, 1, 2, 7, 93, 127, 255, 65535, 2**31 - 1])
def test_signed_digits(value):
    digits = signed_digits(value)
    assert sum(digit << place for place, digit in digits) == value
    places = [place for place, _ in digits]
    assert all(after - before >= 2 for before, after in itertools.pairwise(places))

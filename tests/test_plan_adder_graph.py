"""Constant matrices as graphs of adders: the same numbers as a product of matrices, within the stated bounds."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import sparse_weights

from cs_hdl.plan.adder_graph import LEVELS_PER_STAGE, adder_graph, signed_digits
from cs_hdl.plan.adders import Term

RANGES = [(0, 255), (-128, 127)]


def columns_of(rng, inputs, outputs, nonzeros):
    """A matrix [outputs, inputs] with so many normally distributed weights an output."""
    matrix = np.zeros((outputs, inputs), dtype=int)
    for row in matrix:
        weights = np.clip(np.round(rng.standard_normal(nonzeros) * 40), -127, 127).astype(int)
        row[rng.choice(inputs, nonzeros, replace=False)] = np.where(weights == 0, 1, weights)
    return matrix


def evaluate(graph, vector):
    """The outputs for one vector of inputs; every adder's value must keep within its bounds."""
    values = [int(value) for value in vector]
    for adder in graph.adders:
        total = (values[adder.left] << adder.left_shift) + adder.sign * (values[adder.right] << adder.right_shift)
        assert adder.low <= total <= adder.high
        # So that the lowest bits of the left operand need no adder.
        assert adder.left_shift == 0 or (adder.right_shift == 0 and adder.sign < 0)
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
    assert all(adder.level <= 3 for adder in graph.adders)  # no weight has more than four digits


def test_what_needs_no_adder_has_none():
    graph = adder_graph(np.array([[0, 0], [1, 0], [0, -64], [0, 0]]), 0, 255)
    assert graph.adders == () and graph.depth == graph.latency == graph.carry_bits == 0
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


def test_what_kernels_have_in_common_is_built_once():
    # 5a + b four times, with other shifts and signs: one multiple, one sum, and one adder a kernel for c.
    matrix = np.array([[5, 1, 8], [-5, -1, 1], [10, 2, 1], [40, 8, -1]])
    graph = adder_graph(matrix, -128, 127)
    assert len(graph.adders) == 6
    check(matrix, -128, 127)


def test_digits_that_overlap_are_not_taken_twice():
    # 1010101 holds 101 three times, but only two of them at once.
    check(np.array([[0b1010101], [0b10101], [-0b101010100]]), 0, 255)


def test_a_kernel_is_positive_wherever_one_of_its_terms_is():
    graph = adder_graph(np.array([[-4, 1], [-3, 2], [-1, -1], [1, -64]]), 0, 255)
    assert [term.sign for term in graph.outputs] == [1, 1, -1, 1]


@pytest.mark.parametrize(
    "inputs, nonzeros, most", [(25, 3, 3302), (64, 6, 7640), (64, 13, 15892)], ids=["25x64", "64x64-90", "64x64-80"]
)
def test_no_more_than_da4ml(inputs, nonzeros, most):
    """What da4ml 0.6.0 took for matrices of this kind (docs/results/peers.json); most of it is adders."""
    matrix = columns_of(np.random.default_rng(7), inputs, 64, nonzeros)
    assert check(matrix, -128, 127).carry_bits < most


@pytest.mark.parametrize("shape", [(3, 1000), (1, 2500), (40, 64)])
def test_a_large_matrix_does_not_take_long(shape, monkeypatch):
    """Pairs of digits grow with the square of a kernel's weights: beyond a limit only some are looked at."""
    if shape == (40, 64):
        monkeypatch.setattr("cs_hdl.plan.common_pairs._MOST_PAIRS", 1000)
    matrix = sparse_weights(np.random.default_rng(0), shape, 1.0).astype(int)
    start = time.process_time()
    check(matrix, 0, 255)
    assert time.process_time() - start < 20


@pytest.mark.parametrize("value", [0, 1, 2, 7, 93, 127, 255, 65535, 2**31 - 1])
def test_signed_digits(value):
    digits = signed_digits(value)
    assert sum(digit << place for place, digit in digits) == value
    places = [place for place, _ in digits]
    assert all(after - before >= 2 for before, after in itertools.pairwise(places))

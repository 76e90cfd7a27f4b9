"""Packing: perfect where masks are complementary, correct everywhere, and the bound beside it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from cs_hdl.combine.masks import complementary_masks, lower_bound
from cs_hdl.combine.pack import pack_kernels


def assert_packing(masks, sets):
    """Every kernel in exactly one set, no position used twice in a set."""
    assert sorted(kernel for members in sets for kernel in members) == list(range(len(masks)))
    for members in sets:
        assert masks[list(members)].sum(axis=0).max(initial=0) <= 1


@pytest.mark.parametrize(
    "kernels, positions, nonzeros",
    [
        (1500, 1600, 80),
        (64, 1600, 100),
        (128, 480, 30),
        (30, 25, 5),
        (40, 25, 5),
        (64, 25, 3),
        (64, 9, 2),
        (64, 576, 58),
    ],
)
@pytest.mark.parametrize("order", ["made", "neighbours", "shuffled"])
def test_complementary_masks_are_packed_perfectly(kernels, positions, nonzeros, order):
    masks = complementary_masks(kernels=kernels, positions=positions, nonzeros=nonzeros, seed=1)
    per_set = positions // nonzeros
    if order == "shuffled":
        masks = masks[np.random.default_rng(1).permutation(kernels)]
    elif order == "neighbours":
        masks = masks[np.argsort(np.arange(kernels) % -(-kernels // per_set), kind="stable")]
    sets, bound = pack_kernels(masks)
    assert_packing(masks, sets)
    assert len(sets) == -(-kernels // per_set)
    assert bound == lower_bound(masks) <= len(sets)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(st.integers(1, 24), st.integers(1, 20), st.floats(0, 1), st.integers(0, 99))
def test_any_masks_are_packed_correctly(kernels, positions, density, seed):
    masks = np.random.default_rng(seed).random((kernels, positions)) < density
    sets, bound = pack_kernels(masks)
    assert_packing(masks, sets)
    assert max(1, masks.sum(axis=0).max()) == bound <= len(sets)
    assert pack_kernels(masks) == (sets, bound)


def test_kernels_without_weights_and_depthwise_kernels():
    assert pack_kernels(np.zeros((5, 9), dtype=bool)) == (((0, 1, 2, 3, 4),), 1)
    assert pack_kernels(np.eye(8, dtype=bool)) == ((tuple(range(8)),), 1)


def test_the_largest_layer_is_packed_in_no_time():
    """Side by side with one product of the masks, which is the least that finding collisions takes."""
    masks = complementary_masks(kernels=1500, positions=1600, nonzeros=80, seed=1)
    masks = masks[np.random.default_rng(1).permutation(1500)]

    def best(work):
        times = []
        for _ in range(3):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
        return min(times)

    rows = sparse.csr_matrix(masks.astype(np.int32))
    assert best(lambda: pack_kernels(masks)) < 12 * best(lambda: (rows @ rows.T).toarray())

"""Complementary masks: how many weights, where, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from cs_hdl.combine.masks import complementary_masks, lower_bound
from cs_hdl.errors import InputError

SIZES = [(30, 25, 5), (7, 10, 3), (1, 1, 1), (5, 4, 4), (9, 9, 1), (6, 11, 4), (64, 1600, 100)]


@pytest.mark.parametrize("kernels, positions, nonzeros", SIZES)
def test_every_so_many_kernels_form_a_set_without_collision(kernels, positions, nonzeros):
    masks = complementary_masks(kernels=kernels, positions=positions, nonzeros=nonzeros, seed=3)
    assert masks.shape == (kernels, positions) and masks.dtype == np.bool_
    assert (masks.sum(axis=1) == nonzeros).all()
    sets = -(-kernels // (positions // nonzeros))
    for first in range(min(sets, kernels)):
        assert masks[first::sets].sum(axis=0).max() == 1


@pytest.mark.parametrize("kernels, positions, nonzeros", SIZES)
def test_the_seed_alone_decides(kernels, positions, nonzeros):
    def make(seed):
        return complementary_masks(kernels=kernels, positions=positions, nonzeros=nonzeros, seed=seed)

    np.testing.assert_array_equal(make(3), make(3))
    if nonzeros < positions:  # otherwise there is only one mask
        assert any((make(3) != make(other)).any() for other in range(4, 8))


@pytest.mark.parametrize("nonzeros", [0, 26, -1])
def test_impossible_masks_are_refused(nonzeros):
    with pytest.raises(InputError, match=rf"{nonzeros} non-zero weights a kernel: must be 1\.\.25"):
        complementary_masks(kernels=4, positions=25, nonzeros=nonzeros, seed=1)


@pytest.mark.parametrize("kernels, positions", [(0, 25), (4, 0), (-1, 1)])
def test_no_kernels_and_no_positions_are_refused(kernels, positions):
    with pytest.raises(InputError, match=f"{kernels} kernels of {positions} weights: both must be at least 1"):
        complementary_masks(kernels=kernels, positions=positions, nonzeros=1, seed=1)


@pytest.mark.parametrize(
    "rows, bound",
    [
        (["101", "010"], 1),
        (["101", "001"], 2),
        (["111", "111", "001"], 3),
        (["000", "000"], 1),
    ],
)
def test_the_bound_counts_the_position_that_most_kernels_use(rows, bound):
    assert lower_bound(np.array([[digit == "1" for digit in row] for row in rows])) == bound

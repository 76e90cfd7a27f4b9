"""Complementary masks: make them, and check whether kernels collide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["complementary_masks", "lower_bound"]


def complementary_masks(*, kernels: int, positions: int, nonzeros: int, seed: int) -> NDArray[np.bool_]:
    """Random masks whose kernels overlay without collision in sets of ``positions // nonzeros``.

    Kernels ``i * n .. i * n + n - 1`` form complementary set i (n kernels a set; the last may hold
    fewer). Returns bool ``[kernels, positions]`` with exactly ``nonzeros`` in each row. Raises
    InputError where ``nonzeros`` is not 1..positions.
    """
    if kernels < 1 or positions < 1:
        raise InputError(f"{kernels} kernels of {positions} weights: both must be at least 1")
    if not 1 <= nonzeros <= positions:
        raise InputError(f"{nonzeros} non-zero weights a kernel: must be 1..{positions}")
    generator = np.random.default_rng(seed)
    per_set = positions // nonzeros
    masks = np.zeros((kernels, positions), dtype=np.bool_)
    for first in range(0, kernels, per_set):
        order = generator.permutation(positions)
        for kernel in range(first, min(first + per_set, kernels)):
            begin = (kernel - first) * nonzeros
            masks[kernel, order[begin : begin + nonzeros]] = True
    return masks


def lower_bound(masks: NDArray[np.bool_]) -> int:
    """The largest number of kernels that use one position: no packing can need fewer sets (at least 1)."""
    return max(1, int(masks.sum(axis=0).max(initial=0)))

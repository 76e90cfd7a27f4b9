"""Complementary masks: make them, and check whether kernels collide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["complementary_masks", "kernel_sets", "lower_bound"]


def kernel_sets(*, kernels: int, positions: int, nonzeros: int) -> list[range]:
    """The kernels of each set, at most ``positions // nonzeros`` in one: of the s sets, as few as that allows, set i is
    made of the kernels i, i + s, i + 2 s, ...

    Sets that are worked on side by side then give neighbouring channels, and hardly anything is left to be reordered.
    Raises InputError where ``nonzeros`` is not 1..positions.
    """
    if not 1 <= nonzeros <= positions:
        raise InputError(f"{nonzeros} non-zero weights a kernel: must be 1..{positions}")
    sets = -(-kernels // (positions // nonzeros))
    return [range(first, kernels, sets) for first in range(sets)]


def complementary_masks(*, kernels: int, positions: int, nonzeros: int, seed: int) -> NDArray[np.bool_]:
    """Random masks whose kernels overlay without collision in the sets of :func:`kernel_sets`.

    Returns bool ``[kernels, positions]`` with exactly ``nonzeros`` in each row. Raises InputError where ``nonzeros``
    is not 1..positions.
    """
    if kernels < 1 or positions < 1:
        raise InputError(f"{kernels} kernels of {positions} weights: both must be at least 1")
    generator = np.random.default_rng(seed)
    masks = np.zeros((kernels, positions), dtype=np.bool_)
    for members in kernel_sets(kernels=kernels, positions=positions, nonzeros=nonzeros):
        order = generator.permutation(positions)
        for place, kernel in enumerate(members):
            masks[kernel, order[place * nonzeros : (place + 1) * nonzeros]] = True
    return masks


def lower_bound(masks: NDArray[np.bool_]) -> int:
    """The largest number of kernels that use one position: no packing can need fewer sets (at least 1)."""
    return max(1, int(masks.sum(axis=0).max(initial=0)))

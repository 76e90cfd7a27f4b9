"""Dense kernels onto complementary masks: what is kept is the most that any such masks can keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from cs_hdl.combine.masks import kernel_sets
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["project_masks"]

#: Weights a kernel from which on kernels are nodes, and not weights: 1600 kernels of one weight take SciPy a second.
_FEW = 4
#: Sums of magnitudes that differ by less are equal, whatever the magnitudes are scaled to (they are made at most 1).
_ROUNDING = 1e-12


def project_masks(magnitudes: NDArray[Any], *, nonzeros: int) -> NDArray[np.bool_]:
    """Complementary masks with exactly ``nonzeros`` positions a kernel that keep the most of ``magnitudes``.

    ``magnitudes`` is ``[kernels, positions]``, not negative; the result bool of that shape. Sets are those of
    :func:`cs_hdl.combine.masks.kernel_sets`; within each, which kernel gets which position is a transportation
    problem, solved exactly. Raises InputError where ``nonzeros`` is not 1..positions or a magnitude is not finite.
    """
    kernels, positions = magnitudes.shape
    sets = kernel_sets(kernels=kernels, positions=positions, nonzeros=nonzeros)
    if not np.isfinite(magnitudes).all():
        raise InputError("a weight is not a finite number")
    scale = np.float64(magnitudes.max()) or 1.0
    masks = np.zeros((kernels, positions), dtype=np.bool_)
    for members in map(np.array, sets):
        owners = _owners(magnitudes[members] / scale, nonzeros)
        masks[members] = owners == np.arange(len(members))[:, None]
    return masks


def _owners(values: NDArray[np.float64], each: int) -> NDArray[np.int_]:
    """The kernel that each position goes to, or their number where it goes to none: the most of ``values`` is kept.

    Every kernel ends with ``each`` positions. Where those are few, SciPy solves it, with a row for each weight. It
    cannot know that the rows of a kernel are alike; where they are many, each position first goes to the kernel with
    the largest value there, and then, one at a time, a position too many moves on along the chain of kernels that loses
    least (successive shortest paths with kernels as nodes): 50 times as fast for 20 kernels of 80 weights.
    """
    kernels, positions = values.shape
    owners: NDArray[np.int_]
    if each < _FEW:
        owners = np.full(positions, kernels)
        rows, columns = linear_sum_assignment(np.repeat(values, each, axis=0), maximize=True)
        owners[columns] = rows // each
        return owners
    values = np.vstack([values, np.zeros(positions)])  # the last one takes what is left over
    wanted = np.array([each] * kernels + [positions - each * kernels])
    owners = values.argmax(axis=0)
    counts = np.bincount(owners, minlength=kernels + 1)
    # loss[a, b]: the least that is lost when one position of a goes to b; moved[a, b] is that position.
    loss, moved = np.full((kernels + 1, kernels + 1), np.inf), np.zeros((kernels + 1, kernels + 1), dtype=np.int_)
    changed = set(range(kernels + 1))
    while True:
        for kernel in changed:
            own = np.flatnonzero(owners == kernel)
            loss[kernel] = np.inf
            if len(own):
                losses = values[kernel, own] - values[:, own]
                loss[kernel], moved[kernel] = losses.min(axis=1), own[losses.argmin(axis=1)]
        if not (counts > wanted).any():
            return owners
        least, before = _shortest(loss, counts > wanted)
        end = int(np.where(counts < wanted, least, np.inf).argmin())
        counts[end] += 1
        changed = {end}
        while before[end] >= 0:
            start = int(before[end])
            owners[moved[start, end]] = end
            changed.add(start)
            end = start
        counts[end] -= 1


def _shortest(loss: NDArray[np.float64], sources: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Bellman-Ford: the least loss on the way from any of ``sources`` to each node, and the node before it or -1."""
    least, before = np.where(sources, 0.0, np.inf), np.full(len(loss), -1)
    for _ in range(len(loss)):
        through = least[:, None] + loss
        shorter = through.min(axis=0) < least - _ROUNDING
        if not shorter.any():
            break
        before[shorter] = through.argmin(axis=0)[shorter]
        least[shorter] = through.min(axis=0)[shorter]
    return least, before

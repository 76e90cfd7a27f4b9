"""Dense kernels onto complementary masks: what is kept is the most that any such masks can keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["project_masks"]


def project_masks(magnitudes: NDArray[Any], *, nonzeros: int) -> NDArray[np.bool_]:
    """Complementary masks with exactly ``nonzeros`` positions a kernel that keep the most of ``magnitudes``.

    ``magnitudes`` is ``[kernels, positions]``, not negative; the result bool of that shape. Sets are those of
    :func:`cs_hdl.combine.masks.complementary_masks`; within each, which kernel gets which position is an assignment
    problem, solved exactly. Raises InputError where ``nonzeros`` is not 1..positions or a magnitude is not finite.
    """
    kernels, positions = magnitudes.shape
    if not 1 <= nonzeros <= positions:
        raise InputError(f"{nonzeros} non-zero weights a kernel: must be 1..{positions}")
    if not np.isfinite(magnitudes).all():
        raise InputError("a weight is not a finite number")
    sets = -(-kernels // (positions // nonzeros))
    masks = np.zeros((kernels, positions), dtype=np.bool_)
    for first in range(sets):
        members = np.arange(first, kernels, sets)
        # A kernel has a row for each of its weights; each row takes another position.
        rows = np.repeat(members, nonzeros)
        chosen_rows, chosen_positions = linear_sum_assignment(magnitudes[rows], maximize=True)
        masks[rows[chosen_rows], chosen_positions] = True
    return masks

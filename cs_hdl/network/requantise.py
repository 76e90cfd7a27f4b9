"""The requantisation of a layer: one multiplier and shift, or one pair a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import MAX_MULTIPLIER, MAX_SHIFT
from cs_hdl.network.tensor import frozen_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Requantise"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantise:
    """``clamp(round_half_even(acc * multiplier / 2**shift))`` to ``dtype``.

    ``multiplier`` (1..65535) and ``shift`` (0..47) are int64 arrays of one element (the whole
    layer) or one for each out-channel.
    """

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    dtype: str = "uint8"

    def __post_init__(self) -> None:
        multiplier = frozen_array(np.atleast_1d(self.multiplier), "int64")
        shift = frozen_array(np.atleast_1d(self.shift), "int64")
        if multiplier.ndim != 1 or shift.ndim != 1:
            raise InputError("a requantisation's multiplier and shift are one number each, or one a channel")
        count = max(multiplier.size, shift.size)
        object.__setattr__(self, "multiplier", frozen_array(np.broadcast_to(multiplier, (count,)), "int64"))
        object.__setattr__(self, "shift", frozen_array(np.broadcast_to(shift, (count,)), "int64"))
        if self.dtype not in ("uint8", "int8"):
            raise InputError(f"a requantisation gives uint8 or int8, not {self.dtype}")
        if multiplier.min() < 1 or multiplier.max() > MAX_MULTIPLIER:
            raise InputError(
                f"a requantisation's multiplier must be 1..{MAX_MULTIPLIER}, not {multiplier.min()}..{multiplier.max()}"
            )
        if shift.min() < 0 or shift.max() > MAX_SHIFT:
            raise InputError(f"a requantisation's shift must be 0..{MAX_SHIFT}, not {shift.min()}..{shift.max()}")

    def of_channels(self, channels: Iterable[int]) -> tuple[list[int], list[int]]:
        """Multipliers and shifts of ``channels``, whether there is one pair for all or one for each."""
        places = [channel if self.multiplier.size > 1 else 0 for channel in channels]
        return self.multiplier[places].tolist(), self.shift[places].tolist()

    @property
    def per_channel(self) -> bool:
        """True where channels differ in their multiplier or shift."""
        return bool(np.unique(self.multiplier).size > 1 or np.unique(self.shift).size > 1)

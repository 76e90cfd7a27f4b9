"""One shift for all channels: how bias and scale are applied, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs_hdl.network import Requantise

__all__ = ["CommonScale", "channel_scale", "common_scale"]


#: Addresses beyond which the table of biases may be block RAM, slow, and a register stands behind it.
_SMALL_TABLE = 64


@dataclass(frozen=True, kw_only=True)
class CommonScale:
    """``(i + bias) * factors[address] / 2**shift``; no factors where the sum is the result."""

    addresses: int
    factors: tuple[int, ...]
    shift: int

    @property
    def table_latency(self) -> int:
        """Cycles in which a bias is looked up."""
        return 2 if self.addresses > _SMALL_TABLE else 1

    @property
    def only_shifts(self) -> bool:
        """Whether one shift to the left does for all, so that nothing is multiplied."""
        return all(factor == self.factors[0] and factor & (factor - 1) == 0 for factor in self.factors)

    @property
    def latency(self) -> int:
        """Cycles from a sum to its result: look up, add bias (and half), clamp; a multiplication needs three more."""
        if not self.factors:
            return self.table_latency + 1
        return self.table_latency + (2 if self.only_shifts else 5)


def common_scale(multipliers: Sequence[int], shifts: Sequence[int], *, addresses: int) -> CommonScale:
    """Widen the multipliers until all have the largest shift, then take out what is common.

    There is one of each at each of the ``addresses``, or none.
    """
    shift = max(shifts, default=0)
    factors = [multiplier << (shift - own) for multiplier, own in zip(multipliers, shifts, strict=True)]
    common = min([shift, *((factor & -factor).bit_length() - 1 for factor in factors)])
    scaled = tuple(factor >> common for factor in factors)
    return CommonScale(addresses=addresses, factors=scaled, shift=shift - common)


def channel_scale(requantise: Requantise | None, channels: Sequence[int]) -> CommonScale:
    """The scale of results that belong to ``channels`` in turn; None for the exact sums."""
    multipliers, shifts = requantise.of_channels(channels) if requantise is not None else ([], [])
    return common_scale(multipliers, shifts, addresses=len(channels))

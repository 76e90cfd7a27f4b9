"""One shift for all channels: how bias and scale are applied, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cs_hdl.network import Requantise

__all__ = ["CommonScale", "channel_scale", "common_scale"]


@dataclass(frozen=True, kw_only=True)
class CommonScale:
    """``(i + bias) * factors[address] / 2**shift``; no factors where the sum is the result."""

    factors: tuple[int, ...]
    shift: int

    @property
    def only_shifts(self) -> bool:
        """Whether one shift to the left does for all, so that nothing is multiplied."""
        return all(factor == self.factors[0] and factor & (factor - 1) == 0 for factor in self.factors)

    @property
    def latency(self) -> int:
        """Cycles from a sum to its result: take it, bias (and half), clamp; a multiplication needs three more."""
        if not self.factors:
            return 2
        return 3 if self.only_shifts else 6


def common_scale(multipliers: Sequence[int], shifts: Sequence[int]) -> CommonScale:
    """Widen the multipliers until all have the largest shift, then take out what is common."""
    shift = max(shifts, default=0)
    factors = [multiplier << (shift - own) for multiplier, own in zip(multipliers, shifts, strict=True)]
    common = min([shift, *((factor & -factor).bit_length() - 1 for factor in factors)])
    return CommonScale(factors=tuple(factor >> common for factor in factors), shift=shift - common)


def channel_scale(requantise: Requantise | None, channels: Iterable[int]) -> CommonScale:
    """The scale of results that belong to ``channels`` in turn; None for the exact sums."""
    return common_scale(*(requantise.of_channels(channels) if requantise is not None else ([], [])))

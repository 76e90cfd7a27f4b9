"""Widths, rounding and saturation: integers only, and the one place that defines them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "ACCUMULATOR_DTYPES",
    "MAX_MULTIPLIER",
    "MAX_SHIFT",
    "bits_for_range",
    "dtype_range",
    "requantise",
    "round_half_even",
    "scale_to_multiplier",
    "scales_to_multipliers",
    "smallest_dtype",
]

#: The multiplier M of a requantisation is an unsigned number of 16 bits.
MAX_MULTIPLIER = 65535
#: The shift S of a requantisation; more than this leaves nothing of a 32-bit accumulator.
MAX_SHIFT = 47
#: What the exact accumulators of a last layer may be sent as; the smallest that fits is taken.
ACCUMULATOR_DTYPES = ("int16", "int24", "int32")

_RANGES = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-(2**15), 2**15 - 1),
    "int24": (-(2**23), 2**23 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


def dtype_range(dtype: str) -> tuple[int, int]:
    """Smallest and largest value of ``dtype``. Raises KeyError for a name that is not known."""
    return _RANGES[dtype]


def smallest_dtype(low: int, high: int, dtypes: tuple[str, ...] = ACCUMULATOR_DTYPES) -> str:
    """The first of ``dtypes`` that holds every integer in ``low..high``; ValueError if none does."""
    for dtype in dtypes:
        minimum, maximum = _RANGES[dtype]
        if minimum <= low and high <= maximum:
            return dtype
    raise ValueError(f"the range {low}..{high} fits none of {', '.join(dtypes)}")


def bits_for_range(low: int, high: int) -> int:
    """Width of the narrowest signed number that holds every integer in ``low..high`` (at least 1)."""
    if low > high:
        raise ValueError(f"the range {low}..{high} is empty")
    return max((high if high >= 0 else ~high).bit_length(), (low if low >= 0 else ~low).bit_length()) + 1


def requantise(
    accumulators: NDArray[np.int64],
    multiplier: NDArray[np.int64] | int,
    shift: NDArray[np.int64] | int,
    dtype: str,
) -> NDArray[np.int64]:
    """``clamp(round_half_even(accumulators * multiplier / 2**shift))`` to the range of ``dtype``.

    Exact for accumulators of up to 46 bits: all arithmetic is in int64. ``multiplier`` and
    ``shift`` broadcast against ``accumulators``, so a last axis of channels takes one pair
    per channel. (ONNX QuantizeLinear: round half to even, then saturate.)
    """
    product = np.asarray(accumulators, dtype=np.int64) * np.asarray(multiplier, dtype=np.int64)
    low, high = _RANGES[dtype]
    result: NDArray[np.int64] = np.clip(round_half_even(product, shift), low, high)
    return result


def round_half_even(values: NDArray[np.int64], shift: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """``values / 2**shift``, rounded half to even; ``shift`` broadcasts against ``values``."""
    values, shift = np.asarray(values, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    quotient = values >> shift
    remainder = values - (quotient << shift)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 1)
    round_up = (remainder > half) | ((remainder == half) & ((quotient & 1) == 1))
    result: NDArray[np.int64] = quotient + np.where((shift > 0) & round_up, 1, 0)
    return result


def scales_to_multipliers(scales: Sequence[float]) -> tuple[list[int], int]:
    """Multipliers of at most 16 bits and one shift S for which each scale is nearly M / 2**S.

    Exact where all scales are powers of two that are at most 2**15 apart. Raises ValueError for a scale
    that is not finite and positive, too large, or so much smaller than the largest that nothing of it is left.
    """
    bad = [scale for scale in scales if not np.isfinite(scale)]
    _, shift = scale_to_multiplier((bad or [max(scales)])[0])
    largest = round(math.ldexp(max(scales), shift))
    # The largest as close to 16 bits as S allows: what is common is taken out at the end.
    room = min(16 - largest.bit_length(), MAX_SHIFT - shift)
    multipliers = [round(math.ldexp(scale, shift + room)) for scale in scales]
    shift += room
    for scale, multiplier in zip(scales, multipliers, strict=True):
        if multiplier < 1:
            raise ValueError(f"scale {scale!r} is below {max(scales)!r} * 2**-16, beside which it counts for nothing")
    while shift > 0 and all(multiplier % 2 == 0 for multiplier in multipliers):
        multipliers, shift = [multiplier >> 1 for multiplier in multipliers], shift - 1
    return multipliers, shift


def scale_to_multiplier(scale: float) -> tuple[int, int]:
    """The pair (M, S) nearest to ``scale`` = M / 2**S, M of at most 16 bits; exact for powers of two.

    Trailing zero bits of M are taken out, so a power of two gives M = 1 (a mere shift).
    Raises ValueError for a scale that is not finite and positive, or outside
    2**-47 .. 65535.
    """
    if not np.isfinite(scale) or scale <= 0:
        raise ValueError(f"scale must be a finite number above 0, not {scale!r}")
    if not 2.0**-MAX_SHIFT <= scale <= MAX_MULTIPLIER:
        raise ValueError(f"scale {scale!r} is outside 2**-{MAX_SHIFT} .. {MAX_MULTIPLIER}")
    # M takes 16 bits, and fewer where the scale is so small that S would exceed its limit.
    shift = min(16 - math.frexp(scale)[1], MAX_SHIFT)
    multiplier = round(math.ldexp(scale, shift))
    if multiplier > MAX_MULTIPLIER:
        multiplier, shift = multiplier >> 1, shift - 1
    while multiplier % 2 == 0 and shift > 0:
        multiplier, shift = multiplier >> 1, shift - 1
    return multiplier, shift

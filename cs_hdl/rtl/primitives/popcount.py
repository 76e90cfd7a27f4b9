"""How many of a few bits are set, in as few LUT levels as it takes."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Value

__all__ = ["popcount"]

#: Bits that one level of four-input LUTs counts.
_LUT_INPUTS = 4


def popcount(bits: Sequence[Value] | Value) -> Value:
    """The number of ``bits`` that are set; 0 for none.

    Groups of four go through three LUTs side by side, their counts through a tree of adders: a chain of
    one-bit additions, as ``sum`` makes it, would put a carry chain behind each bit.
    """
    values = list(bits)
    if not values:
        return Const(0, 1)
    counts = [_count_group(values[first : first + _LUT_INPUTS]) for first in range(0, len(values), _LUT_INPUTS)]
    while len(counts) > 1:
        pairs = [counts[first : first + 2] for first in range(0, len(counts), 2)]
        counts = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return counts[0]


def _count_group(bits: list[Value]) -> Value:
    low: Value = bits[0]
    for bit in bits[1:]:
        low = low ^ bit
    pairs = [first & second for number, first in enumerate(bits) for second in bits[:number]]
    if not pairs:
        return low
    two: Value = pairs[0]
    for pair in pairs[1:]:
        two = two | pair
    if len(bits) < _LUT_INPUTS:
        return Cat(low, two)
    four = bits[0] & bits[1] & bits[2] & bits[3]
    return Cat(low, two & ~four, four)

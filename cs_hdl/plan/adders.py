"""Adders one by one: ranges, levels and costs of the nodes of an adder graph while it grows."""

from __future__ import annotations

from dataclasses import dataclass

from cs_hdl.fixedpoint import bits_for_range

__all__ = ["Adder", "AdderBuilder", "Sum", "Term", "sum_of", "width"]


@dataclass(frozen=True)
class Term:
    """``sign * (node << shift)``; nodes below the number of inputs are the inputs themselves."""

    node: int
    shift: int
    sign: int


@dataclass(frozen=True)
class Adder:
    """``(left << left_shift) + sign * (right << right_shift)``, at ``level`` adders from the inputs.

    ``low`` and ``high`` bound its value. One of the shifts is 0, and it is the left one unless ``sign``
    is negative: so the lowest ``right_shift`` bits are the left operand's, and need no adder.
    """

    left: int
    left_shift: int
    right: int
    right_shift: int
    sign: int
    level: int
    low: int
    high: int

    @property
    def carry_bits(self) -> int:
        """Bits that are really added, in whole carry cells of two."""
        return _carry_bits(self.low, self.high, self.right_shift)


def width(low: int, high: int) -> int:
    """Bits of a node in ``low..high``: no sign bit where there is no sign."""
    return bits_for_range(low, high) if low < 0 else max(1, high.bit_length())


def _carry_bits(low: int, high: int, untouched: int) -> int:
    bits = max(1, width(low, high) - untouched)
    return bits + bits % 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """What adding two terms would give: ``sign * (adder << shift)``, and the adder's range."""

    shift: int
    sign: int
    low: int
    high: int
    left_shift: int
    right_shift: int
    #: Of the adder itself; ``sign`` is what stays outside of it.
    operation: int
    swapped: bool

    @property
    def carry_bits(self) -> int:
        """As :attr:`Adder.carry_bits`."""
        return _carry_bits(self.low, self.high, self.right_shift)


class AdderBuilder:
    """Nodes 0 to ``inputs - 1`` are inputs in ``low..high``; every ``add`` makes one more, or finds it again."""

    def __init__(self, inputs: int, low: int, high: int) -> None:
        self.adders: list[Adder] = []
        self.range = [(low, high)] * inputs
        self.level = [0] * inputs
        self._known: dict[tuple[int, int, int, int, int], int] = {}

    def add(self, one: Term, other: Term, *, positive: bool = False) -> Term:
        """``one + other`` as a node, by the fewest bits: the sign may stay outside of it.

        With ``positive`` it goes in wherever one of the terms is positive.
        """
        made = sum_of(one, self.range[one.node], other, self.range[other.node], positive=positive)
        left, right = (other.node, one.node) if made.swapped else (one.node, other.node)
        key = (left, made.left_shift, right, made.right_shift, made.operation)
        if made.operation > 0 and made.right_shift == 0 and left > right:
            key = (right, 0, left, 0, 1)
        node = self._known.get(key)
        if node is None:
            level = max(self.level[left], self.level[right]) + 1
            node = self._known[key] = len(self.range)
            self.adders.append(Adder(*key, level, made.low, made.high))
            self.range.append((made.low, made.high))
            self.level.append(level)
        return Term(node, made.shift, made.sign)


def sum_of(
    one: Term, range_of_one: tuple[int, int], other: Term, range_of_other: tuple[int, int], *, positive: bool = False
) -> Sum:
    """How ``one + other`` is best formed; see :meth:`AdderBuilder.add`.

    The term of the lower shift comes first: then the other's shift leaves the lowest bits alone, at the
    price of a sign outside where the first is negative.
    """
    swapped = other.shift < one.shift or (other.shift == one.shift and one.sign < other.sign)
    if swapped:
        one, other, range_of_one, range_of_other = other, one, range_of_other, range_of_one
    shift, operation = other.shift - one.shift, one.sign * other.sign
    if positive and one.sign < other.sign:
        low, high = (range_of_other[0] << shift) - range_of_one[1], (range_of_other[1] << shift) - range_of_one[0]
        return Sum(
            shift=one.shift,
            sign=1,
            low=low,
            high=high,
            left_shift=shift,
            right_shift=0,
            operation=-1,
            swapped=not swapped,
        )
    if operation > 0:
        low, high = range_of_one[0] + (range_of_other[0] << shift), range_of_one[1] + (range_of_other[1] << shift)
    else:
        low, high = range_of_one[0] - (range_of_other[1] << shift), range_of_one[1] - (range_of_other[0] << shift)
    return Sum(
        shift=one.shift,
        sign=one.sign,
        low=low,
        high=high,
        left_shift=0,
        right_shift=shift,
        operation=operation,
        swapped=swapped,
    )

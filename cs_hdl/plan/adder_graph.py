"""Constant matrices as shifts and additions: which adders there are, without any hardware.

Each input's odd multiples are built once, in canonical signed-digit form, and shared by all kernels
(static routing: where a kernel's weight lies is a matter of wires). Each kernel is a tree over them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEVELS_PER_STAGE", "Adder", "AdderGraph", "Term", "adder_graph", "signed_digits"]

#: Levels of adders between two registers: two short additions take less than the wires around them.
LEVELS_PER_STAGE = 2


@dataclass(frozen=True)
class Term:
    """``sign * (node << shift)``; nodes below the number of inputs are the inputs themselves."""

    node: int
    shift: int
    sign: int


@dataclass(frozen=True)
class Adder:
    """``(left << left_shift) + sign * (right << right_shift)``, at ``level`` adders from the inputs.

    ``low`` and ``high`` bound its value.
    """

    left: int
    left_shift: int
    right: int
    right_shift: int
    sign: int
    level: int
    low: int
    high: int


@dataclass(frozen=True)
class AdderGraph:
    """``adders[i]`` is node ``inputs + i``; ``outputs[j]`` is kernel j's term, or None for all zeros."""

    inputs: int
    adders: tuple[Adder, ...]
    outputs: tuple[Term | None, ...]

    @cached_property
    def depth(self) -> int:
        """The most adders on any way."""
        return max((adder.level for adder in self.adders), default=0)

    @property
    def latency(self) -> int:
        """Cycles through the graph: a register behind every ``LEVELS_PER_STAGE`` levels of adders."""
        return self.depth // LEVELS_PER_STAGE

    @property
    def bits(self) -> int:
        """Sum of the widths of all adders: nearly the LUTs that they take."""
        return sum(max(abs(adder.low), abs(adder.high)).bit_length() + 1 for adder in self.adders)


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Canonical signed digits of ``value``: (position, +1 or -1), lowest first, no two neighbours."""
    digits, position = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((position, digit))
            value -= digit
        value >>= 1
        position += 1
    return digits


class _Builder:
    def __init__(self, inputs: int, low: int, high: int) -> None:
        self.inputs = inputs
        self.adders: list[Adder] = []
        self.range = [(low, high)] * inputs
        self.level = [0] * inputs
        self.multiples: dict[tuple[int, int], int] = {}

    def add(self, left: Term, right: Term) -> Term:
        """left + right as a new node; where both are negative the sign stays outside."""
        if left.sign < right.sign:
            left, right = right, left
        common = min(left.shift, right.shift)
        sign = left.sign * right.sign
        (left_low, left_high), (right_low, right_high) = self.range[left.node], self.range[right.node]
        first, second = left.shift - common, right.shift - common
        bounds = sorted((right_low * sign << second, right_high * sign << second))
        low, high = (left_low << first) + bounds[0], (left_high << first) + bounds[1]
        level = max(self.level[left.node], self.level[right.node]) + 1
        self.adders.append(Adder(left.node, first, right.node, second, sign, level, low, high))
        self.range.append((low, high))
        self.level.append(level)
        return Term(self.inputs + len(self.adders) - 1, common, left.sign)

    def multiple(self, node: int, factor: int) -> Term:
        """``factor * node``, from what is there already where possible."""
        sign, size = (1 if factor > 0 else -1), abs(factor)
        shift = (size & -size).bit_length() - 1
        odd = size >> shift
        if odd == 1:
            return Term(node, shift, sign)
        known = self.multiples.get((node, odd))
        if known is None:
            digits = signed_digits(odd)
            half = len(digits) // 2
            low = sum(d << p for p, d in digits[:half])
            high = sum(d << p for p, d in digits[half:])
            made = self.add(self.multiple(node, low), self.multiple(node, high))
            assert made.shift == 0 and made.sign == 1
            known = self.multiples[node, odd] = made.node
        return Term(known, shift, sign)

    def total(self, terms: Sequence[Term]) -> Term | None:
        """The sum of ``terms``: the two that are ready first are always added next."""
        heap = [(self.level[t.node], self.range[t.node][1] << t.shift, i, t) for i, t in enumerate(terms)]
        heapq.heapify(heap)
        count = len(heap)
        while len(heap) > 1:
            made = self.add(heapq.heappop(heap)[3], heapq.heappop(heap)[3])
            count += 1
            heapq.heappush(heap, (self.level[made.node], self.range[made.node][1] << made.shift, count, made))
        return heap[0][3] if heap else None


def adder_graph(matrix: NDArray[np.integer], low: int, high: int) -> AdderGraph:
    """The graph of ``matrix`` (integers ``[outputs, inputs]``) over inputs in ``low..high``.

    An output that needs no adder is a term on an input. Deterministic.
    """
    builder = _Builder(matrix.shape[1], low, high)
    outputs = []
    for row in matrix:
        places = np.flatnonzero(row)
        outputs.append(builder.total([builder.multiple(int(place), int(row[place])) for place in places]))
    return AdderGraph(matrix.shape[1], tuple(builder.adders), tuple(outputs))

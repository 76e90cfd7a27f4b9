"""Constant matrices as shifts and additions: which adders there are, without any hardware.

Weights are written in canonical signed digits; what several of them have in common, within a kernel or
across kernels, is built once (static routing: where a weight lies is a matter of wires). What is left of
each kernel is a tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.plan.adder_tree import add_up
from cs_hdl.plan.adders import Adder, AdderBuilder, Term
from cs_hdl.plan.common_pairs import Row, share_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEVELS_PER_STAGE", "AdderGraph", "adder_graph", "signed_digits"]

#: Levels of adders between two registers. With more, Yosys would make carry-save adders of adders in a
#: row, which take more LUTs; the flip-flop behind an adder's LUT costs nothing.
LEVELS_PER_STAGE = 1


@dataclass(frozen=True)
class AdderGraph:
    """``adders[i]`` is node ``inputs + i``; ``outputs[j]`` is kernel j's term, or None for all zeros.

    Inputs lie in ``low..high``.
    """

    inputs: int
    adders: tuple[Adder, ...]
    outputs: tuple[Term | None, ...]
    low: int
    high: int

    def bounds(self, output: int) -> tuple[int, int]:
        """Range of kernel ``output``'s sums."""
        term = self.outputs[output]
        if term is None:
            return 0, 0
        low, high = self.low, self.high
        if term.node >= self.inputs:
            adder = self.adders[term.node - self.inputs]
            low, high = adder.low, adder.high
        low, high = sorted((term.sign * low << term.shift, term.sign * high << term.shift))
        return low, high

    @cached_property
    def depth(self) -> int:
        """The most adders on any way."""
        return max((adder.level for adder in self.adders), default=0)

    @property
    def latency(self) -> int:
        """Cycles through the graph: a register behind every ``LEVELS_PER_STAGE`` levels of adders."""
        return self.depth // LEVELS_PER_STAGE

    @property
    def carry_bits(self) -> int:
        """Bits of all adders in whole carry cells of two: the LUTs that they take on an ECP5."""
        return sum(adder.carry_bits for adder in self.adders)


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


def adder_graph(matrix: NDArray[np.integer], low: int, high: int) -> AdderGraph:
    """The graph of ``matrix`` (integers ``[outputs, inputs]``) over inputs in ``low..high``.

    An output that needs no adder is a term on an input. Deterministic.
    """
    builder = AdderBuilder(matrix.shape[1], low, high)
    rows: list[Row] = [
        {int(place): dict(signed_digits(int(row[place]))) for place in np.flatnonzero(row)} for row in matrix
    ]
    share_pairs(rows, builder)
    outputs = [
        add_up([Term(node, shift, sign) for node, shifts in row.items() for shift, sign in shifts.items()], builder)
        for row in rows
    ]
    return AdderGraph(matrix.shape[1], tuple(builder.adders), tuple(outputs), low, high)

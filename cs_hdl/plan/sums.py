"""Scaled sums as adders: the digits of their multipliers, and how long they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.plan.adder_graph import signed_digits

if TYPE_CHECKING:
    from cs_hdl.network import ScaledSum

__all__ = ["Term", "scaled_sum_latency", "scaled_sum_lut", "sum_terms", "tree_levels"]


@dataclass(frozen=True)
class Term:
    """``sign * operand << shift``; the constant ``1 << shift`` where ``operand`` is None."""

    operand: int | None
    shift: int
    sign: int


def sum_terms(scale: ScaledSum) -> list[Term]:
    """What is added up: every digit of every multiplier, and half of the last place for the rounding."""
    terms = [
        Term(operand, shift, sign)
        for operand, multiplier in enumerate(scale.multipliers)
        for shift, sign in signed_digits(multiplier)
    ]
    return terms + ([Term(None, scale.shift - 1, 1)] if scale.shift else [])


def tree_levels(count: int) -> int:
    """Levels of a tree that makes one value of ``count``, two and two, a register behind each."""
    return (count - 1).bit_length()


def scaled_sum_latency(scale: ScaledSum) -> int:
    """Cycles from the operands to the result: the adders, the rounding where there is a shift, the limits."""
    return tree_levels(len(sum_terms(scale))) + (1 if scale.shift else 0) + 1


def scaled_sum_lut(scale: ScaledSum) -> int:
    """About how many LUTs one lane takes (measured: 254 for 13 digits in all, carry counted as LUTs)."""
    return 18 * (len(sum_terms(scale)) - 1) + 30

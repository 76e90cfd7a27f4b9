"""Pipelined sums of known range: trees of adders, and the scaling and rounding behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth.hdl import Const, Module, Mux, Signal, signed

from cs_hdl.fixedpoint import bits_for_range
from cs_hdl.plan.sums import sum_terms
from cs_hdl.rtl.streams import value_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amaranth.hdl import Value

    from cs_hdl.network import ScaledSum

__all__ = ["Node", "add_all", "scale_sum"]


@dataclass(frozen=True)
class Node:
    """A value and the range that it keeps to."""

    value: Value
    low: int
    high: int


def add_all(m: Module, nodes: Sequence[Node], *, move: Value, name: str) -> Node:
    """The sum of ``nodes``, ``tree_levels(len(nodes))`` cycles with ``move`` later."""
    level = list(nodes)
    depth = 0
    while len(level) > 1:
        pairs = [level[index : index + 2] for index in range(0, len(level), 2)]
        level = [_register(m, pair, move=move, name=f"{name}_{depth}_{place}") for place, pair in enumerate(pairs)]
        depth += 1
    return level[0]


def _register(m: Module, nodes: list[Node], *, move: Value, name: str) -> Node:
    low, high = sum(node.low for node in nodes), sum(node.high for node in nodes)
    register = Signal(signed(bits_for_range(low, high)), name=name, reset_less=True)
    with m.If(move):
        m.d.sync += register.eq(sum((node.value for node in nodes[1:]), nodes[0].value))
    return Node(register, low, high)


def scale_sum(m: Module, operands: Sequence[Node], scale: ScaledSum, *, move: Value, name: str) -> Signal:
    """What ``scale`` says of ``operands``, ``scaled_sum_latency(scale)`` cycles with ``move`` later."""
    nodes = []
    for term in sum_terms(scale):
        if term.operand is None:
            nodes.append(Node(Const(1 << term.shift, signed(term.shift + 2)), 1 << term.shift, 1 << term.shift))
            continue
        operand = operands[term.operand]
        value = operand.value << term.shift
        low, high = sorted(term.sign * bound << term.shift for bound in (operand.low, operand.high))
        nodes.append(Node(value if term.sign > 0 else -value, low, high))
    total = add_all(m, nodes, move=move, name=name)
    quotient: Value = total.value
    if scale.shift:
        quotient = _rounded(m, total, scale.shift, move=move, name=f"{name}_rounded")
    low, high = scale.limits
    result = Signal(value_shape(scale.dtype), name=f"{name}_result", reset_less=True)
    with m.If(move):
        m.d.sync += result.eq(Mux(quotient < low, low, Mux(quotient > high, high, quotient)))
    return result


def _rounded(m: Module, total: Node, shift: int, *, move: Value, name: str) -> Signal:
    """A sum that half was added to, without its last ``shift`` bits; ties go to the even neighbour.

    A tie has nothing left below the point: adding half made it odd or even, and even is wanted.
    """
    width = max(bits_for_range(total.low, total.high), shift + 2)
    wide = Signal(signed(width), name=f"{name}_wide")
    quotient = Signal(signed(width - shift), name=f"{name}_quotient")
    register = Signal(signed(width - shift), name=name, reset_less=True)
    m.d.comb += [wide.eq(total.value), quotient.eq(wide[shift:])]
    with m.If(~wide[:shift].any()):
        m.d.comb += quotient[0].eq(0)
    with m.If(move):
        m.d.sync += register.eq(quotient)
    return register

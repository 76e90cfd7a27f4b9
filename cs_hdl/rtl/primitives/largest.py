"""The largest of several values, by a tree of comparisons with a register behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amaranth.hdl import Value

__all__ = ["largest"]


def largest(m: Module, values: Sequence[Value], *, name: str, enable: Value | None = None) -> Value:
    """The largest of ``values``, ``tree_levels(len(values))`` cycles later; with ``enable``, only cycles in which it is
    high count. Registers are called by ``name``, their level and their place."""
    level = 0
    while len(values) > 1:
        registers: list[Value] = []
        for place in range(0, len(values), 2):
            pair = values[place : place + 2]
            larger = pair[0] if len(pair) == 1 else Mux(pair[0] > pair[1], *pair)
            register = Signal(larger.shape(), name=f"{name}_{level}_{place}", reset_less=True)
            if enable is None:
                m.d.sync += register.eq(larger)
            else:
                with m.If(enable):
                    m.d.sync += register.eq(larger)
            registers.append(register)
        values, level = registers, level + 1
    return values[0]

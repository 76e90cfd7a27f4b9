"""Registers one behind the other, for what has to wait beside a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["delayed"]


def delayed(
    m: Module, value: Value, cycles: int, *, name: str, enable: Value | None = None, reset_less: bool = False
) -> list[Value]:
    """``value`` and what it was 1, 2, ... ``cycles`` cycles ago, in registers ``name_1``, ``name_2``, ...

    With ``enable``, only cycles in which it is high count, and all registers move in those alone.
    """
    stages = [value]
    for cycle in range(1, cycles + 1):
        stage = Signal(value.shape(), name=f"{name}_{cycle}", reset_less=reset_less)
        if enable is None:
            m.d.sync += stage.eq(stages[-1])
        else:
            with m.If(enable):
                m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages

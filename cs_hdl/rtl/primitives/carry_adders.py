"""Adders that choose or clear as well: the technology seam for the spare inputs of a device's carry cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import Instance, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ADDER_MODULES", "AddOrClear", "ChooseAndAdd"]

_ADD_OR_CLEAR, _CHOOSE_AND_ADD = "cs_add_or_clear", "cs_choose_and_add"
#: The Verilog modules that stand for them in ``design.v``.
ADDER_MODULES = (_ADD_OR_CLEAR, _CHOOSE_AND_ADD)


def _instance(platform: Any, module: str, **ports: Any) -> Instance:
    """An instance of ``module``, whose portable Verilog becomes part of the design."""
    text = Path(__file__).with_name(f"{module.removeprefix('cs_')}.v").read_text()
    platform.texts[module] = text
    return Instance(module, **ports)


class AddOrClear(wiring.Component):
    """``o = 0 if clear else a + b``, modulo ``2**width``, in the same cycle.

    With :class:`cs_hdl.rtl.platform.EmitPlatform` it becomes an instance of a module of that name, which takes a LUT a
    bit on an ECP5 where Yosys would make two of it; otherwise it is plain logic.

    Parameters
    ----------
    width: bits of each of the numbers, at least 1.

    Members
    -------
    clear; a, b, o: signed numbers.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        number = signed(width)
        super().__init__({"clear": In(1), "a": In(number), "b": In(number), "o": Out(number)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if getattr(platform, "emit", False):
            m.submodules.add = _instance(
                platform, _ADD_OR_CLEAR, p_WIDTH=self._width, i_clear=self.clear, i_a=self.a, i_b=self.b, o_o=self.o
            )
        else:
            m.d.comb += self.o.eq(Mux(self.clear, 0, self.a + self.b))
        return m


class ChooseAndAdd(wiring.Component):
    """``o = (a1 if choice else a0) + b``, modulo ``2**width``, in the same cycle; as :class:`AddOrClear` otherwise.

    Parameters
    ----------
    width: bits of each of the numbers, at least 1.

    Members
    -------
    choice; a0, a1, b, o: signed numbers.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        number = signed(width)
        super().__init__({"choice": In(1), "a0": In(number), "a1": In(number), "b": In(number), "o": Out(number)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if getattr(platform, "emit", False):
            m.submodules.add = _instance(
                platform,
                _CHOOSE_AND_ADD,
                p_WIDTH=self._width,
                i_choice=self.choice,
                i_a0=self.a0,
                i_a1=self.a1,
                i_b=self.b,
                o_o=self.o,
            )
        else:
            m.d.comb += self.o.eq(Mux(self.choice, self.a1, self.a0) + self.b)
        return m

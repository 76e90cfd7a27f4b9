"""The registered multiplier: the technology seam for what a DSP block does better than logic around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MULTIPLIER_MODULE", "RegisteredMultiplier", "portable_verilog"]

#: The Verilog module that stands for it in ``design.v``.
MULTIPLIER_MODULE = "cs_registered_multiplier"


def portable_verilog() -> str:
    """The module :data:`MULTIPLIER_MODULE` as Verilog-2001 that any tool reads."""
    return Path(__file__).with_name("registered_multiplier.v").read_text()


class RegisteredMultiplier(wiring.Component):
    """``o = a * b``, with one register at the inputs and one at the output.

    Latency is two cycles in which ``en`` is high, the initiation interval one; while ``en`` is
    low all registers hold. There is no reset: what comes out in the first two cycles means nothing.

    With :class:`cs_hdl.rtl.platform.EmitPlatform` it becomes an instance of
    :data:`MULTIPLIER_MODULE`, otherwise it is plain logic.

    Parameters
    ----------
    a_shape, b_shape:
        Amaranth shapes of the factors, at least one bit each. Up to 18 bits fit one DSP block of
        an ECP5.

    Members
    -------
    a, b:
        The factors.
    en:
        Clock enable.
    o:
        The product, as wide as both factors together; signed if either of them is.
    """

    def __init__(self, *, a_shape: Any, b_shape: Any) -> None:
        self._a_shape, self._b_shape = Shape.cast(a_shape), Shape.cast(b_shape)
        for name, shape in (("a_shape", self._a_shape), ("b_shape", self._b_shape)):
            if shape.width < 1:
                raise TypeError(f"{name} must have at least one bit, not {shape!r}")
        product = Shape(
            self._a_shape.width + self._b_shape.width,
            signed=self._a_shape.signed or self._b_shape.signed,
        )
        super().__init__({"a": In(self._a_shape), "b": In(self._b_shape), "en": In(1), "o": Out(product)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if getattr(platform, "emit", False):
            m.submodules.multiply = Instance(
                MULTIPLIER_MODULE,
                p_A_WIDTH=self._a_shape.width,
                p_A_SIGNED=int(self._a_shape.signed),
                p_B_WIDTH=self._b_shape.width,
                p_B_SIGNED=int(self._b_shape.signed),
                i_clk=ClockSignal(),
                i_en=self.en,
                i_a=self.a,
                i_b=self.b,
                o_o=self.o,
            )
            return m
        a = Signal(self._a_shape, reset_less=True)
        b = Signal(self._b_shape, reset_less=True)
        product = Signal(self.o.shape(), reset_less=True)
        with m.If(self.en):
            m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.comb += self.o.eq(product)
        return m

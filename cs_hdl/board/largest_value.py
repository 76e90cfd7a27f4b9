"""Which value of a result is the largest: the class, for LEDs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.host.values import bytes_of
from cs_hdl.rtl.streams import index_width

__all__ = ["LargestValue", "class_width"]


def class_width(*, values: int, dtype: str) -> int:
    """Bits of the class: of a position among ``values``, or a byte of the one that is the class itself (ArgMax)."""
    return index_width(values) if values > 1 else min(8, 8 * bytes_of(dtype))


class LargestValue(wiring.Component):
    """Follows the bytes of a result and says where its largest value lies; of equal ones, the first.

    A result of one value is the class itself. The low byte of a value comes first.

    Parameters
    ----------
    values:
        Of a result, at least 1; what passes behind them until the next ``start`` is ignored.
    dtype:
        Theirs: (u)int8, 16, 24 or 32.

    Members
    -------
    start:
        Strobe, before a result's first byte.
    byte, take:
        A byte, and that it passes in this cycle.
    position:
        Of the last whole result, three cycles after its last byte; 0 before the first.
    """

    def __init__(self, *, values: int, dtype: str) -> None:
        self._values, self._dtype = values, dtype
        width = class_width(values=values, dtype=dtype)
        super().__init__({"start": In(1), "byte": In(8), "take": In(1), "position": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size = bytes_of(self._dtype)
        shape = Shape(8 * size, signed=self._dtype.startswith("int"))
        value, best = Signal(shape), Signal(shape)
        lane, whole = Signal(range(size)), Signal()
        count = Signal(range(self._values + 1))
        m.d.sync += whole.eq(self.take & (lane == size - 1))
        with m.If(self.take):
            m.d.sync += [value.eq(Cat(value, self.byte)[8:]), lane.eq(lane + 1)]
            with m.If(lane == size - 1):
                m.d.sync += lane.eq(0)
        found, complete = Signal.like(self.position), Signal()
        m.d.sync += complete.eq(0)
        with m.If(whole & (count != self._values)):
            m.d.sync += [count.eq(count + 1), complete.eq(count == self._values - 1)]
            if self._values == 1:
                m.d.sync += found.eq(value)
            else:
                with m.If((count == 0) | (value > best)):
                    m.d.sync += [best.eq(value), found.eq(count)]
        # The LEDs are far away: what is found waits for them in a register.
        with m.If(complete):
            m.d.sync += self.position.eq(found)
        with m.If(self.start):
            m.d.sync += [lane.eq(0), count.eq(0), whole.eq(0)]
        return m

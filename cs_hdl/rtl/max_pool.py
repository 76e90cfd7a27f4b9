"""Max-pooling over a stream of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.sums import tree_levels
from cs_hdl.rtl.primitives.largest import largest
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.window import Window
from cs_hdl.rtl.streams import values_layout

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.geometry import Geometry

__all__ = ["MaxPool"]


class MaxPool(wiring.Component):
    """The largest value of each window, channel by channel, compared with the sign of ``dtype``.

    Parameters
    ----------
    geometry: of the pooling; lanes, beats: values of a beat and beats of a position; dtype: of values.

    Members
    -------
    i, o: ``values_layout(dtype, lanes)``, ``beats`` a position; padding never wins.

    Initiation interval ``interval`` cycles a word (one input beat a cycle); ``latency`` cycles from a
    word's first beat to its first result.
    """

    def __init__(self, *, geometry: Geometry, lanes: int, beats: int, dtype: str) -> None:
        self._window = Window(
            geometry=geometry, lanes=lanes, beats=beats, dtype=dtype, padding_value=dtype_range(dtype)[0]
        )
        self._lanes, self._dtype = lanes, dtype
        self._levels = tree_levels(geometry.taps)
        layout = values_layout(dtype, lanes)
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        return self._window.interval

    @property
    def latency(self) -> int:
        """Cycles from a word's first beat to its first result, with a driver that never waits."""
        return self._window.latency + self._levels

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = self._window
        connect(m, self._window.i, flipped(self.i))
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self._window.o.ready.eq(move)]
        m.d.comb += self.o.valid.eq(delayed(m, self._window.o.valid, self._levels, name="valid", enable=move)[-1])
        for lane in range(self._lanes):
            candidates: list[Value] = [tap.values[lane] for tap in self._window.o.p.taps]
            m.d.comb += self.o.p.values[lane].eq(largest(m, candidates, name=f"max_{lane}", enable=move))
        return m

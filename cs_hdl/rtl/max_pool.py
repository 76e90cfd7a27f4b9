"""Max-pooling over a stream of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.sums import tree_levels
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.window import Window
from cs_hdl.rtl.streams import value_shape, values_layout

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
            for level in range(self._levels):
                candidates = [
                    self._larger(m, candidates[i : i + 2], move, f"max_{lane}_{level}_{i}")
                    for i in range(0, len(candidates), 2)
                ]
            m.d.comb += self.o.p.values[lane].eq(candidates[0])
        return m

    def _larger(self, m: Module, values: list[Value], move: Value, name: str) -> Signal:
        largest = Signal(value_shape(self._dtype), name=name, reset_less=True)
        with m.If(move):
            m.d.sync += largest.eq(values[0] if len(values) == 1 else Mux(values[0] > values[1], *values))
        return largest

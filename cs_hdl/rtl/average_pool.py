"""Average pooling: the exact sum of each window, scaled and rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.fixedpoint import bits_for_range, dtype_range
from cs_hdl.plan.sums import scaled_sum_latency, tree_levels
from cs_hdl.rtl.primitives.adder_tree import Node, add_all, scale_sum
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.window import Window
from cs_hdl.rtl.streams import values_layout

if TYPE_CHECKING:
    from cs_hdl.network import ScaledSum
    from cs_hdl.plan.geometry import Geometry

__all__ = ["AveragePool", "GlobalAveragePool"]


class AveragePool(wiring.Component):
    """The scaled sum of each window, channel by channel; padding counts as 0.

    Parameters
    ----------
    geometry: of the pooling; lanes, beats: values of a beat and beats of a position; dtype: of values.
    scale: of the sum, one multiplier.

    Members
    -------
    i: ``values_layout(dtype, lanes)``, ``beats`` a position. o: ``values_layout(scale.dtype, lanes)``, as many.

    Initiation interval ``interval`` cycles a word (one input beat a cycle); ``latency`` cycles from a
    word's first beat to its first result.
    """

    def __init__(self, *, geometry: Geometry, lanes: int, beats: int, dtype: str, scale: ScaledSum) -> None:
        self._window = Window(geometry=geometry, lanes=lanes, beats=beats, dtype=dtype)
        self._lanes, self._dtype, self._scale = lanes, dtype, scale
        self._cycles = tree_levels(geometry.taps) + scaled_sum_latency(scale)
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, lanes))),
                "o": Out(stream.Signature(values_layout(scale.dtype, lanes))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        return self._window.interval

    @property
    def latency(self) -> int:
        """Cycles from a word's first beat to its first result, with a driver that never waits."""
        return self._window.latency + self._cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = self._window
        connect(m, self._window.i, flipped(self.i))
        move = Signal()
        m.d.comb += [
            move.eq(self.o.ready | ~self.o.valid),
            self._window.o.ready.eq(move),
            self.o.valid.eq(delayed(m, self._window.o.valid, self._cycles, name="valid", enable=move)[-1]),
        ]
        for lane in range(self._lanes):
            taps = [Node(tap.values[lane], *dtype_range(self._dtype)) for tap in self._window.o.p.taps]
            total = add_all(m, taps, move=move, name=f"total_{lane}")
            m.d.comb += self.o.p.values[lane].eq(scale_sum(m, [total], self._scale, move=move, name=f"scaled_{lane}"))
        return m


class GlobalAveragePool(wiring.Component):
    """The scaled sum of each channel over all positions of a word.

    Running sums wait in a memory, a row for each beat of a position; the first position overwrites what is
    there, so nothing needs to be cleared.

    Parameters
    ----------
    positions: of a word; lanes, beats: values of a beat and beats of a position; dtype: of values.
    scale: of the sum, one multiplier.

    Members
    -------
    i: ``values_layout(dtype, lanes)``, ``positions * beats`` a word. o: ``values_layout(scale.dtype, lanes)``,
    ``beats`` a word.

    Initiation interval one input beat a cycle; ``latency`` cycles from a beat of the last position to its result.
    """

    def __init__(self, *, positions: int, lanes: int, beats: int, dtype: str, scale: ScaledSum) -> None:
        self._positions, self._lanes, self._beats = positions, lanes, beats
        self._dtype, self._scale = dtype, scale
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, lanes))),
                "o": Out(stream.Signature(values_layout(scale.dtype, lanes))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a beat of a word's last position to its result."""
        return 1 + scaled_sum_latency(self._scale)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move, taken, first, last = Signal(), Signal(), Signal(), Signal()
        beat, position = Signal(range(max(self._beats, 2))), Signal(range(max(self._positions, 2)))
        next_beat = Signal.like(beat)
        m.d.comb += [
            move.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(move),
            taken.eq(self.i.valid & move),
            first.eq(position == 0),
            last.eq(position == self._positions - 1),
            self.o.valid.eq(delayed(m, self.i.valid & last, self.latency, name="valid", enable=move)[-1]),
        ]
        m.d.comb += next_beat.eq(Mux(beat == self._beats - 1, 0, beat + 1))
        with m.If(taken):
            m.d.sync += beat.eq(next_beat)
            with m.If(beat == self._beats - 1):
                m.d.sync += position.eq(Mux(last, 0, position + 1))
        low, high = (bound * self._positions for bound in dtype_range(self._dtype))
        shape = signed(bits_for_range(low, high))
        for lane in range(self._lanes):
            total, before = Signal(shape, name=f"total_{lane}"), Signal(shape, name=f"before_{lane}")
            held = Signal(shape, name=f"held_{lane}", reset_less=True)
            m.d.comb += total.eq(self.i.p.values[lane] + Mux(first, 0, before))
            if self._beats == 1:
                with m.If(taken):
                    m.d.sync += before.eq(total)
            else:
                # The next beat's sum is read while this one's is written: never the same row.
                memory = m.submodules[f"sums_{lane}"] = Memory(shape=shape, depth=self._beats, init=[])
                write, read = memory.write_port(), memory.read_port()
                m.d.comb += [
                    before.eq(read.data),
                    read.addr.eq(next_beat),
                    read.en.eq(taken),
                    write.addr.eq(beat),
                    write.data.eq(total),
                    write.en.eq(taken),
                ]
            with m.If(move):
                m.d.sync += held.eq(total)
            result = scale_sum(m, [Node(held, low, high)], self._scale, move=move, name=f"scaled_{lane}")
            m.d.comb += self.o.p.values[lane].eq(result)
        return m

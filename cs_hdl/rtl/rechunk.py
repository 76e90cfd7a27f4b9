"""Between stages of different width: a position in few wide beats becomes many narrow ones, or back."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.streams import value_shape, values_layout

__all__ = ["Narrow", "Widen"]


class Narrow(wiring.Component):
    """Cuts a position that comes in one beat of all channels into beats of ``lanes`` channels.

    Whole positions wait in a queue of ``depth`` (at least 2), so that a burst is taken at one position a
    cycle. Latency 2 cycles, initiation interval ``ceil(channels / lanes)`` cycles a position.

    Members: ``i``: ``values_layout(dtype, channels)``; ``o``: ``values_layout(dtype, lanes)``.
    """

    def __init__(self, *, channels: int, lanes: int, dtype: str, depth: int) -> None:
        if not 1 <= lanes <= channels:
            raise ValueError(f"lanes must be 1..{channels}, not {lanes!r}")
        if depth < 2:
            raise ValueError(f"depth must be at least 2, not {depth!r}")
        self._channels, self._lanes, self._dtype, self._depth = channels, lanes, dtype, depth
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, channels))),
                "o": Out(stream.Signature(values_layout(dtype, lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = -(-self._channels // self._lanes)
        memory = m.submodules.queue = Memory(
            shape=data.ArrayLayout(value_shape(self._dtype), self._channels), depth=self._depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level = Signal(range(self._depth + 1))
        put, take, move = Signal(), Signal(), Signal()
        beat = Signal(range(max(beats, 2)))
        m.d.comb += [
            self.i.ready.eq(level != self._depth),
            put.eq(self.i.valid & self.i.ready),
            write.en.eq(put),
            write.data.eq(self.i.p.values),
            move.eq(self.o.ready | ~self.o.valid),
            take.eq(move & (level != 0) & (beat == beats - 1)),
        ]
        for port, step in ((write, put), (read, take)):
            place = Signal(range(self._depth))
            m.d.comb += port.addr.eq(place)
            with m.If(step):
                m.d.sync += place.eq(Mux(place == self._depth - 1, 0, place + 1))
        m.d.sync += level.eq(level + put - take)
        with m.If(move):
            m.d.sync += self.o.valid.eq(level != 0)
            with m.If(level != 0):
                m.d.sync += beat.eq(Mux(beat == beats - 1, 0, beat + 1))
            with m.Switch(beat):
                for index in range(beats):
                    with m.Case(index):
                        for lane in range(self._lanes):
                            channel = index * self._lanes + lane
                            value = read.data[channel] if channel < self._channels else 0
                            m.d.sync += self.o.p.values[lane].eq(value)
        return m


class Widen(wiring.Component):
    """Collects the beats of a position into one beat of all channels.

    Latency 1 cycle after the position's last beat, initiation interval 1 beat a cycle.

    Members: ``i``: ``values_layout(dtype, lanes)``; ``o``: ``values_layout(dtype, channels)``.
    """

    def __init__(self, *, channels: int, lanes: int, dtype: str) -> None:
        if not 1 <= lanes <= channels:
            raise ValueError(f"lanes must be 1..{channels}, not {lanes!r}")
        self._channels, self._lanes, self._dtype = channels, lanes, dtype
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, lanes))),
                "o": Out(stream.Signature(values_layout(dtype, channels))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = -(-self._channels // self._lanes)
        beat = Signal(range(max(beats, 2)))
        taken, last = Signal(), Signal()
        held = Signal(data.ArrayLayout(value_shape(self._dtype), self._channels))
        m.d.comb += [
            # Only the beat that completes a position has to wait for the one before to be taken.
            last.eq(beat == beats - 1),
            self.i.ready.eq(~last | self.o.ready | ~self.o.valid),
            taken.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
            with m.If(last):
                m.d.sync += self.o.valid.eq(1)
            with m.Switch(beat):
                for index in range(beats):
                    with m.Case(index):
                        self._collect(m, index, held, last=index == beats - 1)
        return m

    def _collect(self, m: Module, index: int, held: Signal, *, last: bool) -> None:
        """Keep the beat; the last one goes out at once with all that was kept."""
        first = index * self._lanes
        if last and first:
            for channel in range(first):
                m.d.sync += self.o.p.values[channel].eq(held[channel])
        for lane in range(min(self._lanes, self._channels - first)):
            target = self.o.p.values if last else held
            m.d.sync += target[first + lane].eq(self.i.p.values[lane])

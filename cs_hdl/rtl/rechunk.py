"""Between stages of different width: a position in few wide beats becomes many narrow ones, or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.room import room_register
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["Narrow", "Widen"]

#: Lanes that have a memory and counters of their own: addresses for all lanes of a wide beat are slow wires.
_PART_LANES = 4


class Narrow(wiring.Component):
    """Cuts beats of ``channels`` channels, a whole position or a part of one, into beats of ``lanes``.

    They wait in a queue of ``depth`` (at least 2), so that a burst is taken at one beat a cycle.
    Latency 2 cycles, initiation interval ``ceil(channels / lanes)`` cycles a beat that comes in.

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
        put, take = Signal(), Signal()
        # The way from what is taken is long. Where a beat lasts several cycles, room may be known one later.
        given = delayed(m, take, int(self._channels > self._lanes), name="given")[-1]
        room = room_register(m, limit=self._depth, taken=put, given=given)
        m.d.comb += [self.i.ready.eq(room), put.eq(self.i.valid & room)]
        for number, first in enumerate(range(0, self._lanes, _PART_LANES)):
            m.submodules[f"part_{number}"] = part = Module()
            lanes = range(first, min(first + _PART_LANES, self._lanes))
            valid, taken = self._cut(part, lanes, put=put)
            if number == 0:
                m.d.comb += [self.o.valid.eq(valid), take.eq(taken)]
        return m

    def _cut(self, m: Module, lanes: range, *, put: Value) -> tuple[Value, Value]:
        """Memory and output of some lanes, which move as all do: whether they are valid, and whether the memory's
        oldest row leaves it."""
        beats = -(-self._channels // self._lanes)
        channels = [beat * self._lanes + lane for beat in range(beats) for lane in lanes]
        channels = [channel for channel in channels if channel < self._channels]
        shape = data.ArrayLayout(value_shape(self._dtype), max(1, len(channels)))
        memory = m.submodules.queue = Memory(shape=shape, depth=self._depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level, valid = Signal(range(self._depth + 1), name="level"), Signal(name="valid")
        take, move = Signal(name="take"), Signal(name="move")
        beat = Signal(range(max(beats, 2)), name="beat")
        m.d.comb += [
            write.en.eq(put),
            move.eq(self.o.ready | ~valid),
            take.eq(move & (level != 0) & (beat == beats - 1)),
        ]
        m.d.comb += [write.data[place].eq(self.i.p.values[channel]) for place, channel in enumerate(channels)]
        for name, port, step in (("written", write, put), ("read", read, take)):
            place = Signal(range(self._depth), name=name)
            m.d.comb += port.addr.eq(place)
            with m.If(step):
                m.d.sync += place.eq(Mux(place == self._depth - 1, 0, place + 1))
        m.d.sync += level.eq(level + put - take)
        with m.If(move):
            m.d.sync += valid.eq(level != 0)
            with m.If(level != 0):
                m.d.sync += beat.eq(Mux(beat == beats - 1, 0, beat + 1))
            with m.Switch(beat):
                for index in range(beats):
                    with m.Case(index):
                        for lane in lanes:
                            channel = index * self._lanes + lane
                            value = read.data[channels.index(channel)] if channel in channels else 0
                            m.d.sync += self.o.p.values[lane].eq(value)
        return valid, take


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

"""From winners back to a dense tensor, zeros where nothing won: what a network that ends in a k-WTA gives."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.select import densify_delay
from cs_hdl.rtl.streams import index_width, pairs_layout, values_layout

__all__ = ["Densify"]


class Densify(wiring.Component):
    """Writes a position's winners one a cycle into a memory of zeros, then reads it and clears it again.

    Parameters
    ----------
    channels, winners, pairs: of the incoming pairs; lanes: values of a beat of the output, a power of two.

    Members
    -------
    i: ``pairs_layout(channels, pairs)``, ``ceil(winners / pairs)`` beats a position.
    o: ``values_layout("uint8", lanes)``, ``ceil(channels / lanes)`` beats a position.

    Two memories in turn: initiation interval ``max(ceil(winners / pairs) * pairs, ceil(channels / lanes))``
    cycles a position; the first beat comes ``3 + delay`` cycles after the one with the last pair is taken. Until the
    memories are cleared after reset, ``i.ready`` is low. Deep memories are block RAM: what they give is registered
    (``delay`` is 1, else 0), and a place is cleared a cycle after it is read, since a block RAM does not say what is
    read in the cycle in which it is written. (So where both numbers are equal and ``delay`` is 1, every other
    interval is one cycle more.)
    """

    def __init__(self, *, channels: int, winners: int, pairs: int, lanes: int) -> None:
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two, not {lanes!r}")
        self._channels, self._winners, self._pairs, self._lanes = channels, winners, pairs, lanes
        self._delay = densify_delay(channels, lanes)
        super().__init__(
            {
                "i": In(stream.Signature(pairs_layout(channels, pairs))),
                "o": Out(stream.Signature(values_layout("uint8", lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats, in_beats = -(-self._channels // self._lanes), -(-self._winners // self._pairs)
        full, set_full, clear_full = Signal(2), Signal(2), Signal(2)
        m.d.sync += full.eq((full | set_full) & ~self._delayed(m, clear_full))
        walked = Signal()
        cleared = self._delayed(m, walked)

        # Write side, one pair a cycle: first it is picked from its beat, which is taken with its last pair ...
        pair, picked, pick = Signal(range(max(self._pairs, 2))), Signal(), Signal()
        pair_last, writing = Signal(), Signal()
        value, index = Signal(8, reset_less=True), Signal(index_width(self._channels), reset_less=True)
        m.d.comb += [
            pair_last.eq(pair == self._pairs - 1),
            pick.eq(self.i.valid & cleared & (~picked | writing)),
            self.i.ready.eq(pick & pair_last),
        ]
        with m.If(pick):
            m.d.sync += pair.eq(Mux(pair_last, 0, pair + 1))
            with m.Switch(pair):
                for number in range(self._pairs):
                    with m.Case(number):
                        m.d.sync += [value.eq(self.i.p.values[number]), index.eq(self.i.p.indices[number])]
        with m.If(pick | writing):
            m.d.sync += picked.eq(pick)
        # ... then written.
        side, slot, slot_last = Signal(), Signal(range(max(in_beats * self._pairs, 2))), Signal()
        m.d.comb += [
            slot_last.eq(slot == in_beats * self._pairs - 1),
            writing.eq(picked & ~full.bit_select(side, 1)),
        ]
        with m.If(writing):
            m.d.sync += slot.eq(Mux(slot_last, 0, slot + 1))
            with m.If(slot_last):
                m.d.comb += set_full.bit_select(side, 1).eq(1)
                m.d.sync += side.eq(~side)
        # An unused slot holds value 0, which must not overwrite a winner; a winner of 0 is there already.
        used = Signal()
        m.d.comb += used.eq(value != 0)

        # Read side: one beat a cycle, cleared behind; after reset the same walk clears both memories.
        read_side, out_beat, move, reading = Signal(), Signal(range(max(beats, 2))), Signal(), Signal()
        out_last = Signal()
        m.d.comb += [
            move.eq(self.o.ready | ~self.o.valid),
            out_last.eq(out_beat == beats - 1),
            reading.eq((move & full.bit_select(read_side, 1)) | ~walked),
        ]
        given, given_side = reading & walked, read_side
        if self._delay:
            given, given_side = Signal(), Signal()
            with m.If(move):
                m.d.sync += [given.eq(reading & walked), given_side.eq(read_side)]
        with m.If(move):
            m.d.sync += self.o.valid.eq(given)
        with m.If(reading):
            m.d.sync += out_beat.eq(Mux(out_last, 0, out_beat + 1))
            with m.If(out_last):
                m.d.comb += clear_full.bit_select(read_side, 1).eq(1)
                m.d.sync += read_side.eq(~read_side)
                with m.If(read_side):
                    m.d.sync += walked.eq(1)
        clear = self._delayed(m, Cat(reading & ~read_side, reading & read_side))
        clear_beat = self._delayed(m, out_beat)
        shift = self._lanes.bit_length() - 1
        for lane in range(self._lanes):
            reads = []
            mine = index[:shift] == lane if shift else Const(1)
            for number in range(2):
                # What is read while it is written is that of the other side, and not used.
                memory = m.submodules[f"memory_{lane}_{number}"] = Memory(
                    shape=8, depth=max(beats, 2), init=[], attrs={"no_rw_check": 1} if self._delay else {}
                )
                write, read = memory.write_port(), memory.read_port(domain="sync" if self._delay else "comb")
                m.d.comb += [
                    write.en.eq(clear[number] | (writing & used & mine & (side == number))),
                    write.addr.eq(Mux(clear[number], clear_beat, index[shift:])),
                    write.data.eq(Mux(clear[number], 0, value)),
                    read.addr.eq(out_beat),
                ]
                if self._delay:
                    m.d.comb += read.en.eq(move)
                reads.append(read.data)
            with m.If(move):
                m.d.sync += self.o.p.values[lane].eq(Mux(given_side, reads[1], reads[0]))
        return m

    def _delayed(self, m: Module, signal: Value) -> Value:
        """``signal`` as it was ``delay`` cycles ago."""
        if not self._delay:
            return signal
        delayed = Signal(len(signal))
        m.d.sync += delayed.eq(signal)
        return delayed

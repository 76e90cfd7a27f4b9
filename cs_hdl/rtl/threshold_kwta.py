"""k-WTA by a search for the threshold: small, where there are more cycles than values.

The values wait in a memory while the threshold, the k-th largest value, is found bit by bit from the highest: in
each of eight passes all values are compared with a candidate, and a bit stays if k of them reach it. Then the values
are read once more, one a cycle and in order: what is above the threshold wins, and of what equals it the first ones
until there are k. The next values are let in behind that reading, so one memory is enough.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.select import threshold_interval, threshold_latency
from cs_hdl.rtl.primitives.popcount import popcount
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width, pairs_layout, values_layout

__all__ = ["ThresholdKWTA"]


class ThresholdKWTA(wiring.Component):
    """Exactly ``winners`` of ``features`` values: the largest, of equal ones the lower indices.

    Parameters
    ----------
    features, winners: values of a group (a position's channels, or a whole word), and how many of them win.
    lanes: values of an input beat. scan: values that are compared in a cycle, a multiple of ``lanes``.

    Members
    -------
    i: ``values_layout("uint8", lanes)``, ``ceil(features / lanes)`` beats a group, in the order of indices;
        lanes beyond the last feature are ignored.
    o: ``pairs_layout(features, 1)``, ``winners`` beats a group one after the other, in the order of indices,
        winners of value 0 included.

    Initiation interval ``interval`` cycles a group, ``latency`` cycles through; neither, nor the cycle of any
    output beat, depends on data. ``i.ready`` comes from registers alone. Winners have a memory of their own, so a
    consumer that waits stops nothing before the next group's threshold is found. Needs no cycles after reset:
    memories are written before they are read.
    """

    def __init__(self, *, features: int, winners: int, lanes: int, scan: int) -> None:
        for name, number in (("features", features), ("lanes", lanes), ("scan", scan)):
            if not isinstance(number, int) or number < 1:
                raise TypeError(f"{name} must be a positive integer, not {number!r}")
        if not 1 <= winners <= features:
            raise ValueError(f"winners must be 1..{features}, the number of features, not {winners!r}")
        if scan % lanes:
            raise ValueError(f"scan must be a multiple of the {lanes} lanes, not {scan!r}")
        self._features, self._winners, self._lanes, self._scan = features, winners, lanes, scan
        self._rows, self._beats, self._parts = -(-features // scan), -(-features // lanes), scan // lanes
        super().__init__(
            {
                "i": In(stream.Signature(values_layout("uint8", lanes))),
                "o": Out(stream.Signature(pairs_layout(features, 1))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one group to the next, with a driver and a consumer that never wait."""
        return threshold_interval(self._features, self._scan)

    @property
    def latency(self) -> int:
        """Cycles from a group's last input beat being taken to its last output beat being valid, without stalls.

        Of the first group; later ones may have their last beat taken earlier than the search can begin.
        """
        return threshold_latency(self._features, self._scan)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The walk over the rows: ``searching`` for a pass of the search, ``emitting`` for the one that gives.
        row, lane = Signal(range(self._rows + 3)), Signal(range(max(2, self._scan)))
        searching, emitting = Signal(), Signal()
        loaded, read = self._load(m, lane, emitting)
        values = self._values(m, row, read)
        candidate, lacking, last_bit = self._search(m, row, searching, values)
        giving = self._emit(m, lane, emitting, values, candidate, lacking)

        end, step = Signal(), Signal()
        m.d.comb += [
            end.eq(row == Mux(searching, self._rows + 2, self._rows - 1)),
            step.eq(lane == self._scan - 1),
            # While the values are given, the row must stay: its place in the memory is written meanwhile.
            read.en.eq(searching | (lane == 0)),
        ]
        with m.If(searching):
            with m.If(~end):
                m.d.sync += row.eq(row + 1)
            with m.Elif(~last_bit):
                m.d.sync += row.eq(0)
            # The winners before must have left their memory.
            with m.Elif(~giving):
                m.d.sync += [row.eq(0), searching.eq(0), emitting.eq(1)]
        with m.Elif(emitting):
            m.d.sync += lane.eq(Mux(step, 0, lane + 1))
            with m.If(step):
                m.d.sync += row.eq(row + 1)
            with m.If(end & (lane == (self._features - 1) % self._scan)):
                m.d.sync += [row.eq(0), lane.eq(0), emitting.eq(0)]
        with m.Elif(loaded):
            m.d.sync += searching.eq(1)
        return m

    def _load(self, m: Module, lane: Value, emitting: Value) -> tuple[Value, ReadPort]:
        """Lets a group in, behind the one that is given. Whether it is complete with this cycle, and the memory."""
        full, taken, last = Signal(), Signal(), Signal()
        at_row, at_part = Signal(range(max(2, self._rows))), Signal(range(max(2, self._parts)))
        read: Value = Const(1)
        if self._lanes > 1:  # One value a cycle cannot overtake the reading.
            # Rows that have been read and not written since.
            room = Signal(range(self._rows + 1), init=self._rows)
            m.d.sync += room.eq(room + (emitting & (lane == 0)) - (taken & (at_part == 0)))
            read = (room != 0) | (at_part != 0)
        last_part = Signal()
        m.d.comb += [
            self.i.ready.eq(~full & read),
            taken.eq(self.i.valid & self.i.ready),
            last_part.eq(at_part == self._parts - 1),
            last.eq((at_row == self._rows - 1) & (at_part == (self._beats - 1) % self._parts)),
        ]
        with m.If(taken):
            m.d.sync += at_part.eq(Mux(last_part, 0, at_part + 1))
            with m.If(last_part):
                m.d.sync += at_row.eq(at_row + 1)
            with m.If(last):
                m.d.sync += [at_row.eq(0), at_part.eq(0), full.eq(1)]
        # In the first cycle that reads, which is thus one ahead of the first that writes.
        started = Signal()
        m.d.sync += started.eq(emitting)
        with m.If(emitting & ~started):
            m.d.sync += full.eq(0)
        # Never read where it is written in that cycle, so a block RAM needs nothing around it.
        memory = m.submodules.memory = Memory(
            shape=data.ArrayLayout(8 * self._lanes, self._parts),
            depth=self._rows,
            init=[],
            attrs={"no_rw_check": 1},
        )
        write = memory.write_port(granularity=1)
        m.d.comb += [
            write.addr.eq(at_row),
            write.en.eq(Mux(taken, Const(1, self._parts) << at_part, 0)),
            write.data.eq(Cat(self.i.payload for _ in range(self._parts))),
        ]
        return full | (taken & last), memory.read_port()

    def _values(self, m: Module, row: Value, read: ReadPort) -> list[Value]:
        """The values of ``row``, 2 cycles later: a register stands behind the memory, since a block RAM is slow."""
        held = Signal(8 * self._scan, reset_less=True)
        m.d.comb += read.addr.eq(row)
        m.d.sync += held.eq(read.data)
        return [held[8 * number : 8 * number + 8] for number in range(self._scan)]

    def _search(self, m: Module, row: Value, searching: Value, values: list[Value]) -> tuple[Signal, Signal, Value]:
        """Finds the threshold: gives it, how many equal to it win, and whether the last bit is being searched."""
        # 1: read, 2: held, 3: compared, 4: added up, 5: counted; behind a pass come cycles without a row.
        valid = delayed(m, searching & (row < self._rows), 5, name="valid")
        last = delayed(m, row == self._rows - 1, 2, name="last_row")[2]
        candidate, bit = Signal(8), Signal(8)
        of_last = self._features - (self._rows - 1) * self._scan
        hits, more = Signal(self._scan, reset_less=True), Signal(range(self._scan + 1), reset_less=True)
        for number, value in enumerate(values):
            hit = value >= candidate
            m.d.sync += hits[number].eq(hit & ~last if number >= of_last else hit)
        m.d.sync += more.eq(popcount(hits))

        # It starts at -k, so its sign says whether k values reach the candidate.
        width = max(self._winners.bit_length(), (self._features - self._winners).bit_length()) + 1
        count = Signal(signed(width), reset_less=True)
        with m.If(valid[4]):
            m.d.sync += count.eq(Mux(valid[5], count, -self._winners) + more)
        lacking = Signal(range(self._winners + 1), reset_less=True)
        reached = Signal()
        m.d.comb += reached.eq(count >= 0)
        begun = delayed(m, searching, 2, name="searching")
        with m.If(valid[5] & ~valid[4]):
            m.d.sync += [
                candidate.eq((candidate & (reached.replicate(8) | ~bit)) | bit[1:]),
                bit.eq(bit[1:]),
            ]
            # The last candidate that was not reached is the threshold's successor.
            with m.If(~reached):
                m.d.sync += lacking.eq(-count)
            with m.Elif(bit[7]):
                m.d.sync += lacking.eq(self._winners)
        with m.If(begun[1] & ~begun[2]):
            m.d.sync += [candidate.eq(0x80), bit.eq(0x80)]
        return candidate, lacking, bit[0]

    def _emit(
        self, m: Module, lane: Value, emitting: Value, values: list[Value], threshold: Value, lacking: Signal
    ) -> Value:
        """Gathers the winners in a memory, and gives them at fixed times. Whether some are still to be read."""
        # 1: read, 2: held, 3: one of the row, 4: compared.
        valid = delayed(m, emitting, 4, name="emitting")[4]
        lane = delayed(m, lane, 2, name="lane")[2]
        value, kept = Signal(8, reset_less=True), Signal(8, reset_less=True)
        above, equal, wins = Signal(reset_less=True), Signal(reset_less=True), Signal()
        m.d.sync += [
            value.eq(Cat(values).word_select(lane, 8)),
            kept.eq(value),
            above.eq(value > threshold),
            equal.eq(value == threshold),
        ]
        m.d.comb += wins.eq(valid & (above | (equal & (lacking != 0))))
        with m.If(wins & equal):
            m.d.sync += lacking.eq(lacking - 1)

        pair = data.StructLayout({"value": 8, "index": index_width(self._features)})
        memory = m.submodules.winners = Memory(shape=pair, depth=self._winners, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        index = Signal(pair["index"].shape)
        m.d.comb += [write.en.eq(wins), write.data.value.eq(kept), write.data.index.eq(index)]
        with m.If(~valid):
            m.d.sync += [index.eq(0), write.addr.eq(0)]
        with m.Else():
            m.d.sync += [index.eq(index + 1), write.addr.eq(write.addr + wins)]

        # The latest that winner n can come is with value ``features - winners + n``.
        giving, move = Signal(), Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), read.en.eq(giving & move)]
        with m.If(move):
            m.d.sync += self.o.valid.eq(giving)
        with m.If(read.en):
            m.d.sync += read.addr.eq(read.addr + 1)
            with m.If(read.addr == self._winners - 1):
                m.d.sync += [read.addr.eq(0), giving.eq(0)]
        with m.If(valid & (index == self._features - self._winners)):
            m.d.sync += giving.eq(1)
        m.d.comb += [self.o.p.values[0].eq(read.data.value), self.o.p.indices[0].eq(read.data.index)]
        return giving

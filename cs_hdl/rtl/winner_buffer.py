"""Gathers winners that are scattered over a word into full beats, given at times that do not depend on data."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.select import first_give
from cs_hdl.rtl.primitives.popcount import popcount
from cs_hdl.rtl.streams import index_width, pairs_layout

__all__ = ["WinnerBuffer"]


class WinnerBuffer(wiring.Component):
    """A memory a lane; winner n of a word goes to memory ``n % lanes``, row ``n // lanes``.

    Output beats leave in a fixed row of cycles, the first as soon as no spread of the winners over the word can
    leave any of them incomplete when its turn comes.

    Parameters
    ----------
    features, winners, lanes: values of a word, k, values of a beat.

    Members
    -------
    move: enable of every register.
    valid, wins, values: a beat and which of its lanes win, ``ceil(features / lanes)`` beats a word without a pause,
        in the order of indices; exactly k win.
    o_valid, o: ``pairs_layout(features, lanes)``, ``ceil(winners / lanes)`` beats a word, one after the other.

    ``latency`` cycles from a word's first beat to its last output beat.
    """

    def __init__(self, *, features: int, winners: int, lanes: int) -> None:
        self._features, self._winners, self._lanes = features, winners, lanes
        self._beats, self._out_beats = -(-features // lanes), -(-winners // lanes)
        # A power of two, so that addresses wrap by themselves; two rows more than a word has, because the last
        # ones are still to be given when the next word's first winners come.
        self._depth = 1 << (self._out_beats + 1).bit_length()
        self._pair = data.StructLayout({"value": 8, "index": index_width(features)})
        super().__init__(
            {
                "move": In(1),
                "valid": In(1),
                "wins": In(lanes),
                "values": In(data.ArrayLayout(8, lanes)),
                "o_valid": Out(1),
                "o": Out(pairs_layout(features, lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a word's first beat to its last output beat being valid."""
        # Two steps to the memory, then: written, start, read, given.
        return first_give(self._features, self._winners, self._lanes) + self._out_beats - 1 + 5

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, offset = self._count_beats(m)

        # Step 1: each winner's number within the beat.
        valid1, start1, end1, give1 = Signal(), Signal(), Signal(), Signal()
        wins1, count1 = Signal(self._lanes), Signal(range(self._lanes + 1))
        pairs1, numbers1 = self._pairs("pair1"), self._numbers("number1")
        with m.If(self.move):
            m.d.sync += [
                valid1.eq(self.valid),
                start1.eq(number == 0),
                end1.eq(self.valid & (number == self._beats - 1)),
                give1.eq(self.valid & (number == first_give(self._features, self._winners, self._lanes))),
                wins1.eq(Mux(self.valid, self.wins, 0)),
                count1.eq(popcount(self.wins)),
            ]
            for lane in range(self._lanes):
                m.d.sync += [
                    pairs1[lane].value.eq(self.values[lane]),
                    pairs1[lane].index.eq(self._index(offset, lane)),
                    numbers1[lane].eq(popcount(self.wins[:lane])),
                ]

        # Step 2: its memory, and the row and column at which the beat's first winner goes.
        column, row = self._place(m, valid1 & self.move, start1, end1, count1)
        wins2, give2 = Signal(self._lanes), Signal()
        pairs2, columns2 = self._pairs("pair2"), self._numbers("column2")
        first_column2, row2 = Signal.like(column, reset_less=True), Signal.like(row, reset_less=True)
        with m.If(self.move):
            m.d.sync += [wins2.eq(wins1), give2.eq(give1), first_column2.eq(column), row2.eq(row)]
            for lane in range(self._lanes):
                m.d.sync += [pairs2[lane].eq(pairs1[lane]), columns2[lane].eq(self._wrap(column + numbers1[lane]))]

        # Step 3: into the memories, and from them in the fixed row of cycles.
        address, shown, is_last = self._give(m, give2)
        for bank in range(self._lanes):
            memory = m.submodules[f"bank{bank}"] = Memory(shape=self._pair, depth=self._depth, init=[])
            write, read = memory.write_port(), memory.read_port()
            here = [wins2[lane] & (columns2[lane] == bank) for lane in range(self._lanes)]
            pair = _any([Mux(hit, pairs2[lane].as_value(), 0) for lane, hit in enumerate(here)])
            m.d.comb += [
                write.en.eq(self.move & _any(here)),
                write.addr.eq(row2 + (first_column2 > bank)),
                write.data.eq(pair),
                read.en.eq(self.move),
                read.addr.eq(address),
            ]
            # A slot that the last beat does not need holds value 0, index 0.
            unused = is_last if (self._out_beats - 1) * self._lanes + bank >= self._winners else Const(0)
            value, index = Signal(8, name=f"value{bank}"), Signal(self._pair["index"].shape, name=f"index{bank}")
            m.d.comb += [self.o.values[bank].eq(value), self.o.indices[bank].eq(index)]
            with m.If(self.move & shown):
                m.d.sync += [value.eq(Mux(unused, 0, read.data.value)), index.eq(Mux(unused, 0, read.data.index))]
        return m

    def _pairs(self, name: str) -> list[data.View]:
        return [Signal(self._pair, name=f"{name}_{lane}", reset_less=True) for lane in range(self._lanes)]

    def _numbers(self, name: str) -> list[Signal]:
        return [
            Signal(range(max(2, self._lanes)), name=f"{name}_{lane}", reset_less=True) for lane in range(self._lanes)
        ]

    def _count_beats(self, m: Module) -> tuple[Value, Value]:
        """The number of the beat that comes in, and the index of its first value (in beats for a power of two)."""
        number, offset = Signal(range(max(2, self._beats))), Signal(index_width(self._features))
        step = self._lanes if self._lanes & (self._lanes - 1) else 1
        with m.If(self.move & self.valid):
            m.d.sync += [number.eq(number + 1), offset.eq(offset + step)]
            with m.If(number == self._beats - 1):
                m.d.sync += [number.eq(0), offset.eq(0)]
        return number, offset

    def _index(self, offset: Value, lane: int) -> Value:
        if self._lanes & (self._lanes - 1):
            return offset + lane
        return Cat(Const(lane, self._lanes.bit_length() - 1), offset)

    def _wrap(self, column: Value) -> Value:
        """``column`` modulo the number of lanes; it is less than twice that."""
        return Mux(column >= self._lanes, column - self._lanes, column)

    def _place(self, m: Module, step: Value, start: Value, end: Value, count: Value) -> tuple[Value, Value]:
        """Column and row of this beat's first winner; every word starts with a row of its own."""
        base, next_row, row = Signal(range(self._depth)), Signal(range(self._depth)), Signal(range(self._depth))
        next_column, column = Signal(range(max(2, self._lanes))), Signal(range(max(2, self._lanes)))
        end_column = Signal(range(2 * self._lanes))
        m.d.comb += [
            row.eq(Mux(start, base, next_row)),
            column.eq(Mux(start, 0, next_column)),
            end_column.eq(column + count),
        ]
        with m.If(step):
            m.d.sync += [next_column.eq(self._wrap(end_column)), next_row.eq(row + (end_column >= self._lanes))]
        with m.If(step & end):
            m.d.sync += base.eq(base + self._out_beats)
        return column, row

    def _give(self, m: Module, give: Value) -> tuple[Value, Value, Value]:
        """The row to read; and with what was read: whether it is an output beat, and a word's last."""
        left = Signal(range(self._out_beats + 1))
        row = Signal(range(self._depth))
        shown, is_last = Signal(), Signal()
        with m.If(self.move):
            m.d.sync += [shown.eq(left != 0), is_last.eq(left == 1), self.o_valid.eq(shown)]
            with m.If(left != 0):
                m.d.sync += [left.eq(left - 1), row.eq(row + 1)]
            with m.If(give):
                m.d.sync += left.eq(self._out_beats)
        return row, shown, is_last


def _any(terms: Sequence[Value]) -> Value:
    """The bitwise or of all terms."""
    result = terms[0]
    for term in terms[1:]:
        result = result | term
    return result

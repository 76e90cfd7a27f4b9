"""One level of the global k-WTA's histogram: counts a word by sixteen ranks, then gives the word again."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.popcount import popcount

__all__ = ["HistogramLevel"]

_RANKS = 16
#: Counters that are read out together, so that the way to the chosen one takes two short steps.
_GROUP = 4


class HistogramLevel(wiring.Component):
    """Finds the rank in which a word's k-th largest value lies, while the word's values wait.

    A cumulative histogram: counter r holds how many values have rank r or more, less k, so that its sign says
    whether k is reached. The chosen rank is the highest that reaches it (rank 0 always does).

    Parameters
    ----------
    features, winners, lanes: values of a word, k, and values of a beat; lanes beyond the last are not counted.

    Members
    -------
    move: enable of every register. valid, values: a beat, every cycle if need be, ``ceil(features / lanes)`` a word.
    ranks, above: for each value its rank, and whether it stands above all ranks (its rank is then 15).
        ``above`` must be true of fewer than k values.
    tag: anything about the word, read with its last beat.
    replay_valid, replay_values: the word's beats again, one in each cycle. Beside them, for as long:
    rank: the chosen rank. lacking: k less the number of values above it (1..k). replay_tag: the word's tag.

    ``DELAY`` cycles from a word's last beat to its first beat being given again; no cycle between words.
    """

    DELAY = 4

    def __init__(self, *, features: int, winners: int, lanes: int, tag_bits: int = 0) -> None:
        self._features, self._winners, self._lanes, self._tag_bits = features, winners, lanes, tag_bits
        self._beats = -(-features // lanes)
        values = data.ArrayLayout(8, lanes)
        super().__init__(
            {
                "move": In(1),
                "valid": In(1),
                "values": In(values),
                "ranks": In(data.ArrayLayout(4, lanes)),
                "above": In(lanes),
                "tag": In(tag_bits),
                "replay_valid": Out(1),
                "replay_values": Out(values),
                "rank": Out(4),
                "lacking": Out(winners.bit_length()),
                "replay_tag": Out(tag_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, last = self._place_in_word(m)
        counted = Signal()
        counters = self._count(m, first, last, counted)
        self._choose(m, counters, counted)
        self._replay(m, counted)
        return m

    def _place_in_word(self, m: Module) -> tuple[Value, Value]:
        """Whether the beat that comes in is its word's first, and its last."""
        if self._beats == 1:
            return Const(1), Const(1)
        beat, last = Signal(range(self._beats)), Signal()
        m.d.comb += last.eq(beat == self._beats - 1)
        with m.If(self.valid & self.move):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        return beat == 0, last

    def _count(self, m: Module, first: Value, last: Value, counted: Signal) -> list[Value]:
        """Counters of the ranks 1..16, 16 being above all; complete in the cycle in which ``counted`` is high."""
        lanes_of_last = self._features - (self._beats - 1) * self._lanes
        valid, starts, ends = Signal(), Signal(), Signal()
        with m.If(self.move):
            m.d.sync += [valid.eq(self.valid), starts.eq(first), ends.eq(last & self.valid), counted.eq(ends)]
        counters: list[Value] = []
        for rank in range(1, _RANKS + 1):
            hits: list[Value] = []
            for lane in range(self._lanes):
                hit = self.above[lane] if rank == _RANKS else self.ranks[lane] >= rank
                hits.append(hit & ~last if lane >= lanes_of_last else hit)
            more = Signal(range(self._lanes + 1), name=f"more{rank}", reset_less=True)
            # From -k up to all values less k.
            width = max(self._winners.bit_length(), (self._features - self._winners).bit_length()) + 1
            counter = Signal(signed(width), name=f"counter{rank}", reset_less=True)
            with m.If(self.move):
                m.d.sync += more.eq(popcount(hits))
            with m.If(self.move & valid):
                m.d.sync += counter.eq(Mux(starts, -self._winners, counter) + more)
            counters.append(counter)
        return counters

    def _choose(self, m: Module, counters: list[Value], counted: Signal) -> None:
        """Two steps from complete counters to ``rank``, ``lacking`` and the tag."""
        reached = Signal(_RANKS + 1)
        m.d.comb += reached.eq(Cat(Const(1), (counter >= 0 for counter in counters[:-1]), Const(0)))
        is_rank = reached[:-1] & ~reached[1:]
        chosen = Signal(_RANKS, reset_less=True)
        lacking = []
        for group in range(0, _RANKS, _GROUP):
            part = Signal(len(counters[0]), name=f"lacking{group}", reset_less=True)
            lacking.append(part)
            # What lies above rank r is counted by the counter of rank r + 1.
            terms = [Mux(is_rank[rank], counters[rank], 0) for rank in range(group, group + _GROUP)]
            with m.If(self.move & counted):
                m.d.sync += part.eq(_any(terms))
        tags = [Signal(self._tag_bits, name=f"tag{step}", reset_less=True) for step in range(3)]
        settled = Signal()
        with m.If(self.move):
            m.d.sync += [settled.eq(counted), tags[0].eq(self.tag), tags[1].eq(tags[0]), tags[2].eq(tags[1])]
            with m.If(counted):
                m.d.sync += chosen.eq(is_rank)
            with m.If(settled):
                m.d.sync += [
                    Cat(self.rank).eq(
                        Cat(_any([chosen[r] for r in range(_RANKS) if r >> bit & 1]) for bit in range(4))
                    ),
                    self.lacking.eq(-_any(lacking)),
                    self.replay_tag.eq(tags[2]),
                ]

    def _replay(self, m: Module, counted: Signal) -> None:
        """Keeps the values of the word that is counted, and of the one before it until they have been given."""
        # The first beat is read one cycle after the last can have been written; until then its place is its own.
        depth = self._beats + 2
        # Never read where it is written in that cycle, so a block RAM needs nothing around it.
        memory = m.submodules.memory = Memory(shape=8 * self._lanes, depth=depth, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.valid & self.move),
            write.data.eq(self.values),
            read.en.eq(self.move),
        ]
        reading, left = Signal(), Signal(range(max(2, self._beats)))
        m.d.comb += reading.eq(counted | (left != 0))
        for step, address in ((self.valid, write.addr), (reading, read.addr)):
            place = Signal.like(address, name="place")
            m.d.comb += address.eq(place)
            with m.If(step & self.move):
                m.d.sync += place.eq(Mux(place == depth - 1, 0, place + 1))
        was_read = Signal()
        # Behind the memory a register, since a block RAM is slow to give its data.
        values = Signal.like(self.replay_values, reset_less=True)
        m.d.comb += self.replay_values.eq(values)
        with m.If(self.move):
            m.d.sync += [was_read.eq(reading), self.replay_valid.eq(was_read), values.eq(read.data)]
            with m.If(counted):
                m.d.sync += left.eq(self._beats - 1)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)


def _any(terms: list[Value]) -> Value:
    """The bitwise or of all terms (one of which is not 0, at most)."""
    result = terms[0]
    for term in terms[1:]:
        result = result | term
    return result

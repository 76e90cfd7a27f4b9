"""Global k-WTA: the k largest of a whole word, by a histogram in two levels of sixteen bins.

A word passes three times: the first pass counts by the upper four bits of a value and finds the bin in which the
k-th largest lies, the second counts the sixteen values of that bin and finds the threshold itself, the third lets
through what is above the threshold and, in order, as many equal to it as are missing. Between passes the values
wait in a memory; three words are under way at once, one in each pass.

The histograms are cumulative and start at -k, so a bin's sign says whether k is reached: nothing has to be scanned,
and one register a bin (not a memory a lane, which would have to be cleared) is all that they take.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.histogram import HistogramLevel
from cs_hdl.rtl.primitives.popcount import popcount
from cs_hdl.rtl.streams import pairs_layout, values_layout
from cs_hdl.rtl.winner_buffer import WinnerBuffer

__all__ = ["GlobalKWTA"]


class GlobalKWTA(wiring.Component):
    """Exactly ``winners`` of each word's ``features`` values: the largest, of equal ones the lower indices.

    Parameters
    ----------
    features, winners: of a word; 1 <= winners <= features.
    lanes: values of an input beat and pairs of an output beat.

    Members
    -------
    i: ``values_layout("uint8", lanes)``, ``ceil(features / lanes)`` beats a word, in the order of indices;
        lanes beyond the last feature are ignored.
    o: ``pairs_layout(features, lanes)``, ``ceil(winners / lanes)`` beats a word one after the other, pairs in
        the order of indices, winners of value 0 included; slots that are left over hold value 0, index 0.

    Initiation interval ``interval`` cycles a word, ``latency`` cycles through; neither, nor the cycle of any
    output beat, depends on data. ``i.ready`` follows ``o.ready`` in the same cycle: while an output beat waits,
    everything waits. Needs no cycles after reset: memories are written before they are read.
    """

    def __init__(self, *, features: int, winners: int, lanes: int) -> None:
        for name, number in (("features", features), ("lanes", lanes)):
            if not isinstance(number, int) or number < 1:
                raise TypeError(f"{name} must be a positive integer, not {number!r}")
        if not 1 <= winners <= features:
            raise ValueError(f"winners must be 1..{features}, the number of features, not {winners!r}")
        self._features, self._winners, self._lanes = features, winners, lanes
        self._beats = -(-features // lanes)
        self._upper = HistogramLevel(features=features, winners=winners, lanes=lanes)
        self._lower = HistogramLevel(features=features, winners=winners, lanes=lanes, tag_bits=4)
        self._buffer = WinnerBuffer(features=features, winners=winners, lanes=lanes)
        super().__init__(
            {
                "i": In(stream.Signature(values_layout("uint8", lanes))),
                "o": Out(stream.Signature(pairs_layout(features, lanes))),
            }
        )

    @property
    def beats(self) -> int:
        """Input beats of a word."""
        return self._beats

    @property
    def interval(self) -> int:
        """Cycles from one word to the next: the input's beats, nothing more."""
        return self._beats

    @property
    def latency(self) -> int:
        """Cycles from a word's last input beat being taken to its last output beat being valid, without stalls."""
        # Two histograms and the register between them, the beats of the second pass, the selection's three steps.
        return 2 * HistogramLevel.DELAY + 1 + (self._beats - 1) + 3 + self._buffer.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One enable moves everything, so each word takes the same steps whatever it holds.
        move = Signal()
        m.submodules.upper, m.submodules.lower, m.submodules.buffer = self._upper, self._lower, self._buffer
        m.d.comb += [part.move.eq(move) for part in (self._upper, self._lower, self._buffer)]
        self._connect_upper(m)
        self._connect_lower(m, move)
        self._select(m, move)
        m.d.comb += [
            move.eq(self.o.ready | ~self._buffer.o_valid),
            self.i.ready.eq(move),
            self.o.valid.eq(self._buffer.o_valid),
            self.o.payload.eq(self._buffer.o),
        ]
        return m

    def _connect_upper(self, m: Module) -> None:
        """First pass: the rank is the upper half of a value."""
        upper = self._upper
        m.d.comb += [upper.valid.eq(self.i.valid), upper.values.eq(self.i.p.values)]
        for lane in range(self._lanes):
            m.d.comb += upper.ranks[lane].eq(self.i.p.values[lane][4:])

    def _connect_lower(self, m: Module, move: Value) -> None:
        """Second pass: the rank is the place in the bin that the first pass chose, 0 for all below the bin."""
        upper, lower = self._upper, self._lower
        valid, chosen = Signal(), Signal(4, reset_less=True)
        m.d.comb += [lower.valid.eq(valid), lower.tag.eq(chosen)]
        with m.If(move):
            m.d.sync += [valid.eq(upper.replay_valid), chosen.eq(upper.rank)]
        for lane in range(self._lanes):
            value, rank, above = Signal(8, reset_less=True), Signal(4, reset_less=True), Signal(reset_less=True)
            m.d.comb += [lower.values[lane].eq(value), lower.ranks[lane].eq(rank), lower.above[lane].eq(above)]
            replayed = upper.replay_values[lane]
            with m.If(move):
                m.d.sync += [
                    value.eq(replayed),
                    above.eq(replayed[4:] > upper.rank),
                    rank.eq(Mux(replayed[4:] > upper.rank, 15, Mux(replayed[4:] == upper.rank, replayed[:4], 0))),
                ]

    def _select(self, m: Module, move: Value) -> None:
        """Third pass: what is above the threshold wins, and of what equals it as many as are lacking."""
        lower, lanes = self._lower, self._lanes
        beat = Signal(range(max(2, self._beats)))
        last = Signal()
        m.d.comb += last.eq(beat == self._beats - 1)
        with m.If(move & lower.replay_valid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        lanes_of_last = self._features - (self._beats - 1) * lanes

        # Step 1: compare with the threshold.
        valid1, start1 = Signal(), Signal()
        above1, equal1, values1 = Signal(lanes), Signal(lanes), Signal.like(lower.replay_values, reset_less=True)
        lacking1 = Signal.like(lower.lacking, reset_less=True)
        threshold = Cat(lower.rank, lower.replay_tag)
        with m.If(move):
            m.d.sync += [
                valid1.eq(lower.replay_valid),
                start1.eq(beat == 0),
                values1.eq(lower.replay_values),
                lacking1.eq(lower.lacking),
            ]
            for lane in range(lanes):
                value = lower.replay_values[lane]
                exists = ~last if lane >= lanes_of_last else Const(1)
                m.d.sync += [
                    above1[lane].eq((value > threshold) & exists),
                    equal1[lane].eq((value == threshold) & exists),
                ]

        # Step 2: how many equal ones are lacking before this beat (below 0 once there were more than enough).
        width = max(self._winners, self._beats * lanes).bit_length() + 1
        after, before = Signal(signed(width), reset_less=True), Signal(signed(width))
        valid2, before2 = Signal(), Signal(signed(width), reset_less=True)
        above2, equal2, values2 = Signal(lanes), Signal(lanes), Signal.like(values1, reset_less=True)
        earlier2 = [Signal(range(lane + 1), name=f"earlier2_{lane}", reset_less=True) for lane in range(lanes)]
        m.d.comb += before.eq(Mux(start1, lacking1, after))
        with m.If(move):
            m.d.sync += [
                valid2.eq(valid1),
                above2.eq(above1),
                equal2.eq(equal1),
                values2.eq(values1),
                before2.eq(before),
            ]
            for lane in range(lanes):
                m.d.sync += earlier2[lane].eq(popcount(equal1[:lane]))
        with m.If(move & valid1):
            m.d.sync += after.eq(before - popcount(equal1))

        # Step 3: an equal one wins if fewer than are lacking come before it.
        buffer = self._buffer
        valid3, wins3, values3 = Signal(), Signal(lanes), Signal.like(values1, reset_less=True)
        m.d.comb += [buffer.valid.eq(valid3), buffer.wins.eq(wins3), buffer.values.eq(values3)]
        with m.If(move):
            m.d.sync += [valid3.eq(valid2), values3.eq(values2)]
            for lane in range(lanes):
                m.d.sync += wins3[lane].eq(above2[lane] | (equal2[lane] & (before2 > earlier2[lane])))

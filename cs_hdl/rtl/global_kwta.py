"""Global k-WTA: the k largest of a whole word, by a histogram in two levels of sixteen bins.

A word passes three times: the first pass counts by the upper four bits of a value and finds the bin in which the
k-th largest lies, the second counts the sixteen values of that bin and finds the threshold itself, the third lets
through what is above the threshold and, in order, as many equal to it as are missing. Between passes the values
wait in a memory; three words are under way at once, one in each pass.

The histograms are cumulative and start at -k, so a bin's sign says whether k is reached: nothing has to be scanned,
and one register a bin (not a memory a lane, which would have to be cleared) is all that they take.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.streams import index_width, pairs_layout, values_layout

__all__ = ["GlobalKWTA"]

#: Bins of each level: the upper, then the lower four bits of a value.
_BINS = 16
#: Cycles from a word's last beat at a counter to its first beat being given again, with the level's result.
_REPLAY_DELAY = 4
#: From a beat at the selection to its winners being written, and from there to them being given.
_SELECT_DELAY, _GIVE_DELAY = 5, 2


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
        self._beats, self._out_beats = -(-features // lanes), -(-winners // lanes)
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
        counted = 2 * (self._beats - 1 + _REPLAY_DELAY) + 1
        return counted + self._first_give + self._out_beats - 1 + _SELECT_DELAY + _GIVE_DELAY

    @property
    def _first_give(self) -> int:
        """The beat of the last pass with which the first output beat is certain to be complete.

        From it on an output beat a cycle can be given, however the winners are spread over the word.
        """
        first = 0
        for out_beat in range(self._out_beats):
            may_lack = self._winners - min(self._winners, (out_beat + 1) * self._lanes)
            # What is still to come after this beat holds no more than `may_lack` winners.
            beat = max(0, -(-(self._features - may_lack) // self._lanes) - 1)
            first = max(first, beat - out_beat)
        return first

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One enable moves everything, so each word's way takes the same steps whatever it holds.
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]

        m.submodules.upper = upper = _Level(features=self._features, winners=self._winners, lanes=self._lanes)
        m.submodules.lower = lower = _Level(features=self._features, winners=self._winners, lanes=self._lanes)
        m.submodules.select = select = _Select(features=self._features, winners=self._winners, lanes=self._lanes)
        m.submodules.compact = compact = _Compact(
            features=self._features, winners=self._winners, lanes=self._lanes, first_give=self._first_give
        )
        m.d.comb += [part.move.eq(move) for part in (upper, lower, select, compact)]

        m.d.comb += [upper.valid.eq(self.i.valid), upper.values.eq(self.i.p.values)]
        for lane in range(self._lanes):
            m.d.comb += [upper.ranks[lane].eq(self.i.p.values[lane][4:]), upper.above[lane].eq(0)]

        # Between the levels, values become their place in the chosen bin: below 0, above 15 and "above".
        lower_valid = Signal()
        upper_bin = Signal(4, reset_less=True)
        with m.If(move):
            m.d.sync += [lower_valid.eq(upper.replay_valid), upper_bin.eq(upper.bin)]
            for lane in range(self._lanes):
                value = upper.replay_values[lane]
                greater = value[4:] > upper.bin
                m.d.sync += [
                    lower.values[lane].eq(value),
                    lower.above[lane].eq(greater),
                    lower.ranks[lane].eq(
                        Mux(greater, _BINS - 1, Mux(value[4:] == upper.bin, value[:4], 0))
                    ),
                ]
        m.d.comb += lower.valid.eq(lower_valid)
        return m

"""The AXI4-Stream border, input and output joined: any words in, words of the right length out, faults marked."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from prover import Proof, Refuted, always, assumed, constant, prove
from slow import quick_first
from streams import Claims, lasting, outputs_of_followed, unchanging

from cs_hdl.rtl.axi_input import AxiInput
from cs_hdl.rtl.axi_output import AxiOutput
from cs_hdl.rtl.primitives.register_slice import RegisterSlice


class Border(Elaboratable):
    """``AxiInput``, ``AxiOutput``, a slice between or not; a word of any length is followed from end to end.

    ``claims`` as of :class:`streams.StreamHarness`, one of them and not ``all``.
    """

    def __init__(self, *, beats: int, words_in_flight: int, slice_between: bool, claims: Claims) -> None:
        self._beats, self._words = beats, words_in_flight
        self._slice_between, self._claims = slice_between, claims
        #: Cycles of rest in which all that is owed comes.
        self.drain = 6 + (words_in_flight + 6) * beats
        self._input = AxiInput(values_per_beat=1, beats=beats, dtype="uint8", before_slice=slice_between)
        self._output = AxiOutput(values_per_beat=1, beats=beats, dtype="uint8", words_in_flight=words_in_flight)
        self._follow = Signal(name="follow")

    @property
    def ports(self) -> list[Any]:
        source = self._input.s_axis
        return [source.tvalid, source.tdata, source.tlast, self._output.m_axis.tready, self._follow]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.input, m.submodules.output = self._input, self._output
        middle = self._input.o
        if self._slice_between:
            m.submodules.slice = between = RegisterSlice(self._input.o.payload.shape())
            wiring.connect(m, self._input.o, between.i)
            middle = between.o
        wiring.connect(m, middle, self._output.i)
        wiring.connect(m, self._input.reports, self._output.reports)
        source, sink = self._input.s_axis, self._output.m_axis
        payload = Signal(9)
        shown = Signal(10)
        m.d.comb += [
            payload.eq((source.tdata << 1) | source.tlast),
            shown.eq((sink.tdata << 2) | (sink.tlast << 1) | sink.tuser),
        ]
        unchanging(m, source.tvalid, source.tready, payload, say=assumed)
        if self._claims == "values":
            unchanging(m, sink.tvalid, sink.tready, shown, say=always)
            unchanging(m, middle.valid, middle.ready, middle.payload, say=always)
        self._words_through(m)
        return m

    def _words_through(self, m: Module) -> None:
        beats, source, sink = self._beats, self._input.s_axis, self._output.m_axis
        taken, given, begun = Signal(), Signal(), Signal()
        at_start, number = Signal(init=1), Signal(range(beats + 1))  # the number stays at `beats` in the excess
        m.d.comb += [
            taken.eq(source.tvalid & source.tready),
            given.eq(sink.tvalid & sink.tready),
            begun.eq(taken & at_start),
        ]
        with m.If(taken):
            m.d.sync += [
                at_start.eq(source.tlast),
                number.eq(Mux(source.tlast, 0, Mux(number == beats, beats, number + 1))),
            ]
        most = (self._words + 7) * beats
        owed = Signal(range(most + beats + 1))
        m.d.sync += owed.eq(owed + Mux(begun, beats, 0) - given)
        # The followed word: its beats and its length, `beats + 1` standing for every length above.
        inputs = [constant(m, 8, f"input_{beat}") for beat in range(beats)]
        length = constant(m, range(beats + 2), "length")
        started, entering, start = Signal(), Signal(), Signal()
        m.d.comb += [start.eq(begun & self._follow & ~started), assumed((length >= 1) & (length <= beats + 1))]
        with m.If(start):
            m.d.sync += started.eq(1)
        with m.If(taken):
            m.d.sync += entering.eq((start | entering) & ~source.tlast)
        with m.If(taken & (start | entering)):
            for beat in range(beats):
                with m.If(number == beat):
                    m.d.comb += [assumed(source.tdata == inputs[beat]), assumed(source.tlast == (length == beat + 1))]
        out, mine = outputs_of_followed(m, start=start, started=started, owed=owed, given=given, beats=beats)
        rested = lasting(m, ~source.tvalid & at_start & sink.tready, self.drain, "rests")
        match self._claims:
            case "values":
                with m.If(mine):
                    self._right(m, out=out, inputs=inputs, length=length)
            case "control":
                m.d.comb += [always((owed != 0) | ~sink.tvalid), always(owed <= most)]
                self._in_the_end(m, taken=taken, number=number, owed=owed, rested=rested)
            case "no end":
                m.d.comb += always(out != beats)
            case "no rest":
                m.d.comb += always(~(rested & (out == beats)))

    def _right(self, m: Module, *, out: Any, inputs: Any, length: Any) -> None:
        """What the beat ``out`` of the followed word must be."""
        sink, beats = self._output.m_axis, self._beats
        for beat in range(beats):
            with m.If(out == beat):
                m.d.comb += always(sink.tdata == Mux(length > beat, inputs[beat], 0))
        m.d.comb += [
            always(sink.tlast == (out == beats - 1)),
            always(~sink.tuser | (length != beats)),
            always((out != beats - 1) | (sink.tuser == (length != beats))),
        ]

    def _in_the_end(self, m: Module, *, taken: Any, number: Any, owed: Any, rested: Any) -> None:
        source, sink, beats = self._input.s_axis, self._output.m_axis, self._beats
        faults = Signal(16)
        with m.If(taken & Mux(number == beats - 1, ~source.tlast, source.tlast & (number < beats))):
            m.d.sync += faults.eq(faults + 1)
        m.d.comb += always(~rested | ((owed == 0) & (self._output.error_count == faults)))
        m.d.comb += always(~lasting(m, source.tvalid & ~source.tready & sink.tready, self.drain, "hangs"))


#: (beats, words in flight, whether a slice is between), cycles to look at what beats hold.
BORDERS = [
    ((1, 1, False), 12),
    ((1, 1, True), 12),
    ((2, 1, False), 18),
    ((2, 1, True), 18),
    ((3, 2, False), 18),
]


def run(kind: tuple[int, int, bool], folder: Any, *, claims: Claims, depth: int | None) -> None:
    """Without a ``depth``: to the end of a rest behind a word."""
    beats, words, slice_between = kind
    border = Border(beats=beats, words_in_flight=words, slice_between=slice_between, claims=claims)
    depth = depth or border.drain + 2 * beats + 8
    prove(border, border.ports, folder, name="border", proof=Proof(depth=depth))


@pytest.mark.parametrize(("kind", "depth"), quick_first(BORDERS, 2))
def test_words_through_the_border(kind, depth, tmp_path):
    run(kind, tmp_path, claims="values", depth=depth)


@pytest.mark.parametrize(("kind", "depth"), quick_first(BORDERS, 2))
def test_nothing_is_lost_at_the_border(kind, depth, tmp_path):
    run(kind, tmp_path, claims="control", depth=None)


@pytest.mark.parametrize(("kind", "depth"), quick_first(BORDERS, 2))
def test_the_bounds_are_long_enough(kind, depth, tmp_path):
    for claims, bound in (("no end", depth), ("no rest", None)):
        with pytest.raises(Refuted):
            run(kind, tmp_path / claims.replace(" ", "-"), claims=claims, depth=bound)

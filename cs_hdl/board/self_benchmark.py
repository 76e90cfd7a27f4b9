"""Replays stored words through the accelerator as fast as it takes them, and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.host.self_benchmark import CHECK_BITS, stored_words
from cs_hdl.rtl.axi_stream import axi_stream

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["SelfBenchmark", "figures_layout"]


def figures_layout() -> data.StructLayout:
    """What is counted, as it goes into a BENCHMARKED response (docs/protocol.md)."""
    return data.StructLayout({"words": 32, "faults": 32, "cycles": 64, "checksum": CHECK_BITS})


class SelfBenchmark(wiring.Component):
    """Sends ``words`` words, the stored ones in turn, without a pause; takes every result at once.

    Neither the link nor the host's clock can change what is counted: cycles from the first beat that the accelerator
    takes to the last that it gives, results marked as faulty, and a checksum over all beats of all results (see
    :func:`cs_hdl.host.self_benchmark.checksum`).

    Parameters
    ----------
    ports: the accelerator's. words: of a run.

    Members
    -------
    start: strobe, while ``done``. done: the figures are those of a whole run (or, after reset, of none).
    m_axis, s_axis: to the accelerator's input, from its output.
    figures: :func:`figures_layout`.
    """

    def __init__(self, *, ports: DesignPorts, words: int) -> None:
        if not 1 <= words < 1 << 32:
            raise ValueError(f"words must be 1..2**32 - 1, not {words!r}")
        self._ports, self._words = ports, words
        super().__init__(
            {
                "start": In(1),
                "done": Out(1, init=1),
                "m_axis": Out(axi_stream(ports.input.bytes_per_beat)),
                "s_axis": In(axi_stream(ports.output.bytes_per_beat, user=True)),
                "figures": Out(figures_layout()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._send(m)
        self._count(m)
        return m

    def _send(self, m: Module) -> None:
        """The stored words, again and again: an address, what the memory has there, a beat."""
        source = self._ports.input
        beats = self._beats()
        memory = m.submodules.words = Memory(shape=8 * source.bytes_per_beat, depth=len(beats), init=beats)
        read = memory.read_port()
        # Words count from 0: the carry chain of a counter that is loaded with a number lay in pieces on an iCE40.
        word, reading = Signal(range(self._words)), Signal()
        beat, last = Signal(range(source.beats)), Signal(init=source.beats == 1)
        move, valid, valid_last = Signal(), Signal(), Signal()
        m.d.comb += [move.eq(~self.m_axis.tvalid | self.m_axis.tready), read.en.eq(move)]
        with m.If(move):
            m.d.sync += [
                valid.eq(reading),
                valid_last.eq(last),
                self.m_axis.tvalid.eq(valid),
                self.m_axis.tlast.eq(valid_last),
                self.m_axis.tdata.eq(read.data),
            ]
            with m.If(reading):
                m.d.sync += [
                    read.addr.eq(Mux(read.addr == len(beats) - 1, 0, read.addr + 1)),
                    beat.eq(Mux(last, 0, beat + 1)),
                ]
                if source.beats > 1:
                    m.d.sync += last.eq(beat == source.beats - 2)
                with m.If(last):
                    m.d.sync += [word.eq(word + 1), reading.eq(word != self._words - 1)]
        with m.If(self.start):
            m.d.sync += [word.eq(0), reading.eq(1), read.addr.eq(0)]

    def _count(self, m: Module) -> None:
        figures = self.figures
        running = Signal()
        taken, ended = Signal(), Signal()
        m.d.comb += [
            self.s_axis.tready.eq(1),
            taken.eq(self.m_axis.tvalid & self.m_axis.tready),
            ended.eq(self.s_axis.tvalid & self.s_axis.tlast & ~self.done),
        ]
        beat = self.s_axis.tdata
        pieces = [beat[first : first + CHECK_BITS] for first in range(0, len(beat), CHECK_BITS)]
        folded: Value = pieces[0]
        for piece in pieces[1:]:
            folded = folded ^ piece
        checksum = figures.checksum
        with m.If(taken):
            m.d.sync += running.eq(1)
        with m.If(running | taken):
            m.d.sync += figures.cycles.eq(figures.cycles + 1)
        with m.If(self.s_axis.tvalid & ~self.done):
            m.d.sync += checksum.eq(Cat(checksum[-1], checksum[:-1]) + folded)
        with m.If(ended):
            m.d.sync += [figures.words.eq(figures.words + 1), figures.faults.eq(figures.faults + self.s_axis.tuser)]
            with m.If(figures.words == self._words - 1):
                m.d.sync += [self.done.eq(1), running.eq(0)]
        with m.If(self.start):
            m.d.sync += [self.done.eq(0), figures.as_value().eq(0)]

    def _beats(self) -> list[int]:
        source, identity = self._ports.input, self._ports.identity
        size = source.bytes_per_beat
        beats: list[int] = []
        for word in stored_words(identity):
            padded = word.ljust(size * source.beats, b"\0")
            beats += [int.from_bytes(padded[first : first + size], "little") for first in range(0, len(padded), size)]
        return beats

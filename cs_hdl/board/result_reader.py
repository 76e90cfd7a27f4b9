"""Takes a result from the accelerator, byte by byte, and says in a last byte whether it is good."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.axi_stream import axi_stream

__all__ = ["ResultReader"]


class ResultReader(wiring.Component):
    """Gives the first ``word_bytes`` bytes of a result, and one more: 0, or 1 where ``tuser`` was set at its end.

    Parameters
    ----------
    bytes_per_beat:
        Of the accelerator's output.
    word_bytes:
        Bytes that count; those behind them in the last beat are padding.

    Members
    -------
    start:
        Strobe: a result is wanted. Until then nothing is taken.
    s_axis:
        AXI4-Stream with ``tuser``, from the accelerator.
    o:
        Stream of bytes, ``word_bytes + 1`` a result.
    """

    def __init__(self, *, bytes_per_beat: int, word_bytes: int) -> None:
        self._bytes, self._word_bytes = bytes_per_beat, word_bytes
        super().__init__(
            {
                "start": In(1),
                "s_axis": In(axi_stream(bytes_per_beat, user=True)),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        beat = Signal(8 * self._bytes)
        last, faulty = Signal(), Signal()
        lane = Signal(range(self._bytes))
        left = Signal(range(self._word_bytes + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += left.eq(self._word_bytes)
                with m.If(self.start):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.s_axis.tready.eq(1)
                m.d.sync += [
                    beat.eq(self.s_axis.tdata),
                    last.eq(self.s_axis.tlast),
                    faulty.eq(self.s_axis.tuser),
                    lane.eq(0),
                ]
                with m.If(self.s_axis.tvalid):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [self.o.payload.eq(beat[:8]), self.o.valid.eq(left != 0)]
                with m.If(self.o.ready | (left == 0)):
                    m.d.sync += [beat.eq(beat >> 8), lane.eq(lane + 1)]
                    with m.If(left != 0):
                        m.d.sync += left.eq(left - 1)
                    with m.If(lane == self._bytes - 1):
                        m.next = "TAKE"
                        with m.If(last):
                            m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [self.o.payload.eq(faulty), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m

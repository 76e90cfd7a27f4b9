"""Sends a word from the payload's memory to the accelerator."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.axi_stream import axi_stream

__all__ = ["WordSender"]


class WordSender(wiring.Component):
    """Reads a byte every two cycles and sends ``beats`` beats, ``tlast`` on the last.

    Parameters
    ----------
    bytes_per_beat, beats:
        Of the accelerator's input; all bytes of all beats are read.

    Members
    -------
    start:
        Strobe, while ``done``.
    done:
        Nothing is left to send.
    address, data:
        To the memory, whose data come one cycle after the address.
    m_axis:
        AXI4-Stream to the accelerator.
    """

    def __init__(self, *, bytes_per_beat: int, beats: int) -> None:
        self._bytes, self._beats = bytes_per_beat, beats
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "address": Out(range(bytes_per_beat * beats)),
                "data": In(8),
                "m_axis": Out(axi_stream(bytes_per_beat)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        lane = Signal(range(self._bytes))
        beat = Signal(range(self._beats))
        with m.FSM():
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.d.sync += [self.address.eq(0), lane.eq(0), beat.eq(0)]
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += self.address.eq(self.address + 1)
                m.next = "STORE"
            with m.State("STORE"):
                # The first byte ends up in the lowest place.
                m.d.sync += [self.m_axis.tdata.eq(Cat(self.m_axis.tdata[8:], self.data)), lane.eq(lane + 1)]
                m.next = "READ"
                with m.If(lane == self._bytes - 1):
                    m.d.sync += [lane.eq(0), self.m_axis.tvalid.eq(1), self.m_axis.tlast.eq(beat == self._beats - 1)]
                    m.next = "SEND"
            with m.State("SEND"), m.If(self.m_axis.tready):
                m.d.sync += [self.m_axis.tvalid.eq(0), beat.eq(beat + 1)]
                m.next = "READ"
                with m.If(self.m_axis.tlast):
                    m.next = "DONE"
        return m

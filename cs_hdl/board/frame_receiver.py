"""Finds requests among the bytes of the serial link (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.host.protocol import SYNC, ErrorCode, FrameType

__all__ = ["FrameReceiver", "request_layout"]


def request_layout() -> data.StructLayout:
    """``type`` and ``tag`` of a good frame, or ``error`` other than 0 and nothing else."""
    return data.StructLayout({"type": 8, "tag": 8, "error": 8})


class FrameReceiver(wiring.Component):
    """Gives one request for every frame, when its checksum has been found right, or wrong.

    What is no frame is skipped silently. After a frame of a wrong type, length or checksum
    everything is skipped until the line has been quiet for ``timeout`` cycles, so that nothing
    inside a damaged frame is taken for another one; a frame that stops in its middle is given up
    after the same time. While a request waits to be taken, so do the bytes, and the payload stays
    where it is.

    Parameters
    ----------
    payload_bytes:
        Payload of an INFER request, 1..65535; the others have none.
    timeout:
        Clock cycles.

    Members
    -------
    i:
        Stream of bytes.
    write_address, write_data, write_enable:
        To the memory that holds the payload.
    o:
        Stream of :func:`request_layout`.
    """

    def __init__(self, *, payload_bytes: int, timeout: int) -> None:
        if not isinstance(payload_bytes, int) or not 1 <= payload_bytes <= 65535:
            raise TypeError(f"payload_bytes must be 1..65535, not {payload_bytes!r}")
        if not isinstance(timeout, int) or timeout < 1:
            raise TypeError(f"timeout must be a positive integer, not {timeout!r}")
        self._payload_bytes = payload_bytes
        self._timeout = timeout
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "write_address": Out(range(payload_bytes)),
                "write_data": Out(8),
                "write_enable": Out(1),
                "o": Out(stream.Signature(request_layout())),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = checksum = crc.catalog.CRC32_ETHERNET(8).create()
        m.d.comb += checksum.data.eq(self.i.payload)

        quiet = Signal(range(self._timeout + 1), init=self._timeout)
        timed_out = Signal()
        m.d.comb += timed_out.eq(quiet == 0)
        with m.If(self.i.valid):
            m.d.sync += quiet.eq(self._timeout)
        with m.Elif(~timed_out):
            m.d.sync += quiet.eq(quiet - 1)

        length = Signal(16)
        left = Signal(range(max(self._payload_bytes, 4) + 1))
        request = self.o.payload
        m.d.comb += [self.write_data.eq(self.i.payload)]

        @contextmanager
        def byte(state: str) -> Iterator[None]:
            """A state that waits for a byte of the frame; its body runs in the cycle that takes it."""
            with m.State(state):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.comb += checksum.valid.eq(1)
                    yield
                with m.Elif(timed_out):
                    m.d.sync += request.error.eq(ErrorCode.TIMEOUT)
                    m.next = "GIVE"

        with m.FSM():
            with m.State("HUNT"):
                m.d.comb += [self.i.ready.eq(1), checksum.start.eq(1)]
                with m.If(self.i.valid & (self.i.payload == SYNC[0])):
                    m.next = "SYNC"
            with m.State("SYNC"):
                m.d.comb += [self.i.ready.eq(1), checksum.start.eq(1)]
                with m.If(self.i.valid & (self.i.payload != SYNC[0])):
                    m.next = "HUNT"
                    with m.If(self.i.payload == SYNC[1]):
                        m.d.sync += request.error.eq(0)
                        m.next = "TYPE"
            with byte("TYPE"):
                m.d.sync += request.type.eq(self.i.payload)
                m.next = "TAG"
            with byte("TAG"):
                m.d.sync += request.tag.eq(self.i.payload)
                m.next = "LENGTH_LOW"
            with byte("LENGTH_LOW"):
                m.d.sync += length[:8].eq(self.i.payload)
                m.next = "LENGTH_HIGH"
            with byte("LENGTH_HIGH"):
                m.d.sync += length[8:].eq(self.i.payload)
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [left.eq(4), self.write_address.eq(0)]
                with m.Switch(request.type):
                    with m.Case(FrameType.IDENTIFY, FrameType.BENCHMARK):
                        self._accept(m, length == 0, "CHECKSUM")
                    with m.Case(FrameType.INFER):
                        m.d.sync += left.eq(self._payload_bytes)
                        self._accept(m, length == self._payload_bytes, "PAYLOAD")
                    with m.Default():
                        m.d.sync += request.error.eq(ErrorCode.TYPE)
                        m.next = "DRAIN"
            with byte("PAYLOAD"):
                m.d.comb += self.write_enable.eq(1)
                m.d.sync += [self.write_address.eq(self.write_address + 1), left.eq(left - 1)]
                with m.If(left == 1):
                    m.d.sync += left.eq(4)
                    m.next = "CHECKSUM"
            with byte("CHECKSUM"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 1):
                    m.next = "VERDICT"
            with m.State("VERDICT"):
                m.next = "GIVE"
                with m.If(~checksum.match_detected):
                    m.d.sync += request.error.eq(ErrorCode.CRC)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(timed_out & ~self.i.valid):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "HUNT"
        return m

    def _accept(self, m: Module, right_length: Any, then: str) -> None:
        m.next = then
        with m.If(~right_length):
            m.d.sync += self.o.payload.error.eq(ErrorCode.LENGTH)
            m.next = "DRAIN"

"""Writes responses as frames of the serial link (docs/protocol.md)."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.host.protocol import SYNC

__all__ = ["FrameTransmitter", "response_layout"]


def response_layout() -> data.StructLayout:
    """``type``, ``tag`` and ``length`` (the payload's bytes, at least 1) of a response."""
    return data.StructLayout({"type": 8, "tag": 8, "length": 16})


class FrameTransmitter(wiring.Component):
    """Puts sync and header before, and the checksum behind, ``length`` bytes of payload.

    Initiation interval one byte a cycle.

    Members
    -------
    start:
        Stream of :func:`response_layout`; taken when the frame has gone out, so it stays in place.
    payload:
        Stream of bytes, ``length`` of which are taken.
    o:
        Stream of bytes.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(stream.Signature(response_layout())),
                "payload": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = checksum = crc.catalog.CRC32_ETHERNET(8).create()
        # The checksum follows a cycle later: a byte may come a long way.
        covers = Signal()
        m.d.sync += [checksum.data.eq(self.o.payload), checksum.valid.eq(covers)]
        count = Signal(16)

        header = self.start.payload
        steps = [
            ("SYNC_0", SYNC[0], False),
            ("SYNC_1", SYNC[1], False),
            ("TYPE", header.type, True),
            ("TAG", header.tag, True),
            ("LENGTH_LOW", header.length[:8], True),
            ("LENGTH_HIGH", header.length[8:], True),
            ("PAYLOAD", None, True),
            *((f"CHECKSUM_{i}", checksum.crc[8 * i : 8 * i + 8], False) for i in range(4)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += checksum.start.eq(1)
                m.d.sync += count.eq(0)
                with m.If(self.start.valid):
                    m.next = "SYNC_0"
            behind = {"PAYLOAD": "SETTLE", "CHECKSUM_3": "DONE"}
            with m.State("SETTLE"):
                m.next = "CHECKSUM_0"
            for index, (state, value, covered) in enumerate(steps):
                following = behind.get(state) or steps[index + 1][0]
                with m.State(state):
                    if value is None:
                        m.d.comb += [
                            self.o.payload.eq(self.payload.payload),
                            self.o.valid.eq(self.payload.valid),
                            self.payload.ready.eq(self.o.ready),
                        ]
                    else:
                        m.d.comb += [self.o.payload.eq(value), self.o.valid.eq(1)]
                    with m.If(self.o.valid & self.o.ready):
                        m.d.comb += covers.eq(int(covered))
                        if value is None:
                            m.d.sync += count.eq(count + 1)
                            with m.If(count == header.length - 1):
                                m.next = following
                        else:
                            m.next = following
            with m.State("DONE"):
                m.d.comb += self.start.ready.eq(1)
                m.next = "IDLE"
        return m

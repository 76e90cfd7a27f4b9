"""A queue between two streams."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]

#: Bits that one pair of pointers serves: 512 bits on one pair closed at 96 MHz on an LFE5U-85F, for the wires alone.
_PART_BITS = 64


class Queue(wiring.Component):
    """Holds up to ``depth`` beats of ``layout``; latency 2 cycles, initiation interval 1.

    Wide beats are cut into parts that move together, each with pointers of its own. (The build keeps modules
    called ``part_0``, ``part_1``, ... apart: Yosys would merge the pointers again.)
    """

    def __init__(self, *, layout: Any, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth!r}")
        self._depth = depth
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload, result = Value.cast(self.i.payload), Value.cast(self.o.payload)
        for index, first in enumerate(range(0, max(1, len(payload)), _PART_BITS)):
            bits = payload[first : first + _PART_BITS]
            fifo = SyncFIFOBuffered(width=len(bits), depth=self._depth)
            m.submodules["fifo" if len(payload) <= _PART_BITS else f"part_{index}"] = fifo
            m.d.comb += [
                fifo.w_data.eq(bits),
                fifo.w_en.eq(self.i.valid),
                result[first : first + _PART_BITS].eq(fifo.r_data),
                fifo.r_en.eq(self.o.ready),
            ]
            if first == 0:
                m.d.comb += [self.i.ready.eq(fifo.w_rdy), self.o.valid.eq(fifo.r_rdy)]
        return m

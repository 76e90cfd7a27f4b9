"""Hands bytes from one clock to another, one at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["ByteCrossing"]


class ByteCrossing(wiring.Component):
    """A byte waits in a register while a change of level tells the other domain of it, and another one comes back.

    Far less logic than a FIFO between two clocks, and no memory, which suits a line that brings a byte in hundreds of
    cycles: after one is taken, ``i`` is ready again within 3 cycles of each domain. Both domains have to be reset
    together.

    Parameters
    ----------
    source, target:
        The domains of ``i`` and of ``o``.

    Members
    -------
    i, o:
        The stream of bytes before and behind.
    """

    def __init__(self, *, source: str, target: str) -> None:
        self._source, self._target = source, target
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        byte = Signal(8, reset_less=True)
        given, given_there, taken, taken_there = Signal(), Signal(), Signal(), Signal()
        m.submodules.to_target = FFSynchronizer(given, given_there, o_domain=self._target)
        m.submodules.to_source = FFSynchronizer(taken, taken_there, o_domain=self._source)
        m.d.comb += [
            self.i.ready.eq(given == taken_there),
            self.o.valid.eq(given_there != taken),
            # (It stands still from before the other domain hears of it until it has answered.)
            self.o.payload.eq(byte),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d[self._source] += [byte.eq(self.i.payload), given.eq(~given)]
        with m.If(self.o.valid & self.o.ready):
            m.d[self._target] += taken.eq(given_there)
        return m

"""A register stage that cuts every combinational path of a stream, in both directions."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """A stream through two registers: ``o`` and ``i.ready`` come straight from flip-flops.

    Latency is one clock cycle, the initiation interval one. ``i.ready`` is low in reset and in
    the first cycle behind it, so a producer that offers an item during reset does not lose it.

    Parameters
    ----------
    layout:
        Shape of the payload.

    Members
    -------
    i, o:
        The stream before and behind the slice.
    """

    def __init__(self, layout: Any) -> None:
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # An item that is taken in the very cycle in which the consumer stalls waits in `spare`. While the slice is
        # ready, `spare` takes whatever comes: its enable is a register and waits for nobody.
        spare = Signal.like(self.i.payload, reset_less=True)
        spare_valid, ready = Signal(), Signal()
        payload = Signal.like(self.o.payload, reset_less=True)
        valid = Signal()
        m.d.comb += [self.o.payload.eq(payload), self.o.valid.eq(valid), self.i.ready.eq(ready)]

        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & ready)
        with m.If(self.o.ready | ~valid):
            m.d.sync += [valid.eq(spare_valid | taken), spare_valid.eq(0), ready.eq(1)]
            with m.If(spare_valid):
                m.d.sync += payload.eq(spare)
            with m.Else():
                m.d.sync += payload.eq(self.i.payload)
        with m.Elif(taken):
            m.d.sync += [spare_valid.eq(1), ready.eq(0)]
        with m.Elif(~spare_valid):
            m.d.sync += ready.eq(1)
        with m.If(ready):
            m.d.sync += spare.eq(self.i.payload)
        return m

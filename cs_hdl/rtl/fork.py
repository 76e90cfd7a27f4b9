"""One stream to two consumers, and two streams to one."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fork", "Join"]


class Fork(wiring.Component):
    """Gives each beat of ``i`` to ``first`` and to ``second``, in whichever order they take it.

    A beat that one has taken waits for the other, so they are never more than one beat apart. No latency;
    initiation interval 1.
    """

    def __init__(self, layout: Any) -> None:
        signature = stream.Signature(layout)
        super().__init__({"i": In(signature), "first": Out(signature), "second": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outputs = (self.first, self.second)
        taken = [Signal(name="first_taken"), Signal(name="second_taken")]
        gone = [output.ready | flag for output, flag in zip(outputs, taken, strict=True)]
        m.d.comb += self.i.ready.eq(gone[0] & gone[1])
        for output, flag, done in zip(outputs, taken, gone, strict=True):
            m.d.comb += [output.payload.eq(self.i.payload), output.valid.eq(self.i.valid & ~flag)]
            with m.If(self.i.valid):
                m.d.sync += flag.eq(done & ~self.i.ready)
        return m


class Join(wiring.Component):
    """A beat of ``first`` and one of ``second`` together, as ``operand_0`` and ``operand_1``.

    No latency; initiation interval 1.
    """

    def __init__(self, *, first: Any, second: Any) -> None:
        super().__init__(
            {
                "first": In(stream.Signature(first)),
                "second": In(stream.Signature(second)),
                "o": Out(stream.Signature(data.StructLayout({"operand_0": first, "operand_1": second}))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.valid.eq(self.first.valid & self.second.valid),
            self.first.ready.eq(self.o.ready & self.second.valid),
            self.second.ready.eq(self.o.ready & self.first.valid),
            self.o.payload.operand_0.eq(self.first.payload),
            self.o.payload.operand_1.eq(self.second.payload),
        ]
        return m

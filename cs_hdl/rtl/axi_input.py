"""From AXI4-Stream to a stream of values: every word gets the length that it must have."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.axi_stream import axi_stream, bytes_per_value, lanes_of_last_beat
from cs_hdl.rtl.fault import fault_reports
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.streams import value_shape, values_layout

__all__ = ["AxiInput"]


class AxiInput(wiring.Component):
    """Takes words from AXI4-Stream and gives exactly ``beats`` beats for each of them.

    A word whose ``tlast`` comes early is completed with zeros, one a cycle, while nothing is
    taken; of one that is too long the excess is dropped, up to and including its ``tlast``. Both
    are reported, so that the result can be marked; the words behind are not touched.

    Latency is one clock cycle, the initiation interval one beat a cycle. ``s_axis.tready`` is a
    register (low in reset), so up to two beats are taken ahead of ``o``; a fault is found and
    reported in the cycle in which its beat goes on to ``o``.

    Parameters
    ----------
    values_per_beat:
        Values in one beat, the first in the lowest bits of ``tdata``.
    beats:
        Beats of one word.
    dtype:
        Type of a value; it takes a whole number of bytes of ``tdata``.
    values:
        Values of one word, at most ``beats * values_per_beat`` (the default) and more than one
        beat less holds; lanes behind the last value are given as 0, whatever came in.
    before_slice:
        A register slice takes ``o``. Then a word's first beat, while it is not taken, may be taken back when it is
        heard that there are enough words under way: a slice does not mind, and nothing has to be remembered for it.

    Members
    -------
    s_axis:
        AXI4-Stream, see :func:`cs_hdl.rtl.axi_stream.axi_stream`.
    o:
        Stream of :func:`cs_hdl.rtl.streams.values_layout`.
    reports:
        To ``AxiOutput``, see :func:`cs_hdl.rtl.fault.fault_reports`.
    """

    def __init__(
        self, *, values_per_beat: int, beats: int, dtype: str, values: int | None = None, before_slice: bool = False
    ) -> None:
        self._last_lanes = lanes_of_last_beat(values_per_beat=values_per_beat, beats=beats, values=values)
        self._values_per_beat = values_per_beat
        self._beats = beats
        self._dtype = dtype
        self._before_slice = before_slice
        super().__init__(
            {
                "s_axis": In(axi_stream(values_per_beat * bytes_per_value(dtype))),
                "o": Out(stream.Signature(values_layout(dtype, values_per_beat))),
                "reports": Out(fault_reports()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits = 8 * bytes_per_value(self._dtype)
        width = value_shape(self._dtype).width

        # Foreign logic sees registers only.
        m.submodules.slice = register = RegisterSlice(
            data.StructLayout({"data": self._values_per_beat * bits, "last": 1})
        )
        m.d.comb += [
            register.i.payload.data.eq(self.s_axis.tdata),
            register.i.payload.last.eq(self.s_axis.tlast),
            register.i.valid.eq(self.s_axis.tvalid),
            self.s_axis.tready.eq(register.i.ready),
        ]
        beat = register.o

        count = Signal(range(self._beats))
        at_last = Signal()
        m.d.comb += at_last.eq(count == self._beats - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(at_last):
                m.d.sync += count.eq(0)

        # A word begins only when its report is sure to find a place.
        may_begin = Signal()
        begins = (count != 0) | ~self.reports.full
        if not self._before_slice:
            offered = Signal()  # and not taken
            m.d.sync += offered.eq(self.o.valid & ~self.o.ready)
            begins |= offered
        m.d.comb += may_begin.eq(begins)

        with m.FSM():
            with m.State("PASS"):
                for lane in range(self._values_per_beat):
                    value = beat.payload.data[lane * bits : lane * bits + width]
                    if lane >= self._last_lanes:
                        value = Cat(bit & ~at_last for bit in value)
                    m.d.comb += self.o.payload.values[lane].eq(value)
                m.d.comb += [self.o.valid.eq(beat.valid & may_begin), beat.ready.eq(self.o.ready & may_begin)]
                with m.If(self.o.valid & self.o.ready):
                    m.d.comb += [
                        self.reports.finish.eq(at_last | beat.payload.last),
                        self.reports.faulty.eq(at_last ^ beat.payload.last),
                    ]
                    with m.If(beat.payload.last & ~at_last):
                        m.next = "COMPLETE"
                    with m.If(at_last & ~beat.payload.last):
                        m.next = "DROP"
            with m.State("COMPLETE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready & at_last):
                    m.next = "PASS"
            with m.State("DROP"):
                m.d.comb += beat.ready.eq(1)
                with m.If(beat.valid & beat.payload.last):
                    m.next = "PASS"
        return m

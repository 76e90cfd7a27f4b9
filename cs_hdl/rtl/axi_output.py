"""From a stream of values to AXI4-Stream: packed into bytes, ended by ``tlast``, marked where wrong."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.axi_stream import axi_stream, bytes_per_value, lanes_of_last_beat
from cs_hdl.rtl.fault import FaultQueue, fault_reports
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.streams import values_layout

__all__ = ["AxiOutput"]


class AxiOutput(wiring.Component):
    """Gives words of ``beats`` beats to AXI4-Stream, ``tlast`` on the last of each.

    ``tuser`` is 1 on every beat that first shows three or more cycles after the word's input was
    reported as too short or too long, up to the word's last beat. **The last beat waits until the word's input is
    complete**, so whoever looks at ``tuser`` together with ``tlast`` never takes a faulty word
    for a good one, not even where the last inputs do not count (a stride that leaves some out).
    One more beat finds room behind it, so the components before it are not held up by the wait
    and the rest of the input can always come in.

    Latency is two clock cycles (for the last beat: or three cycles after the report of its word),
    the initiation interval one beat a cycle. What ``m_axis`` gives and ``i.ready`` are registers.

    Parameters
    ----------
    values_per_beat:
        Values in one beat, the first in the lowest bits of ``tdata``.
    beats:
        Beats of one word.
    dtype:
        Type of a value; it takes a whole number of bytes of ``tdata``, sign-extended.
    values:
        Values of one word, at most ``beats * values_per_beat`` (the default) and more than one
        beat less holds; lanes behind the last value are sent as 0.
    words_in_flight:
        Words that may have come in without their result having left; while there are as many,
        the input does not begin a new one.

    Members
    -------
    i:
        Stream of :func:`cs_hdl.rtl.streams.values_layout`.
    m_axis:
        AXI4-Stream with ``tuser``, see :func:`cs_hdl.rtl.axi_stream.axi_stream`.
    reports:
        From ``AxiInput``, see :func:`cs_hdl.rtl.fault.fault_reports`.
    error_count:
        Faulty words since reset, modulo 65536; counted when the fault is found.
    """

    def __init__(
        self,
        *,
        values_per_beat: int,
        beats: int,
        dtype: str,
        values: int | None = None,
        words_in_flight: int = 16,
    ) -> None:
        self._last_lanes = lanes_of_last_beat(values_per_beat=values_per_beat, beats=beats, values=values)
        if not isinstance(words_in_flight, int) or words_in_flight < 1:
            raise TypeError(f"words_in_flight must be a positive integer, not {words_in_flight!r}")
        self._values_per_beat = values_per_beat
        self._beats = beats
        self._dtype = dtype
        self._words_in_flight = words_in_flight
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, values_per_beat))),
                "m_axis": Out(axi_stream(values_per_beat * bytes_per_value(dtype), user=True)),
                "reports": In(fault_reports()),
                "error_count": Out(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits = 8 * bytes_per_value(self._dtype)

        m.submodules.queue = queue = FaultQueue(words=self._words_in_flight)
        wiring.connect(m, wiring.flipped(self.reports), queue.reports)
        m.d.comb += self.error_count.eq(queue.error_count)

        # A last beat waits at the slice's output; the slice's other place keeps `i.ready` high.
        m.submodules.slice = register = RegisterSlice(values_layout(self._dtype, self._values_per_beat))
        wiring.connect(m, wiring.flipped(self.i), register.i)
        beat = register.o

        count = Signal(range(self._beats))
        at_last, may_go, free = Signal(), Signal(), Signal()
        m.d.comb += [
            at_last.eq(count == self._beats - 1),
            may_go.eq(~at_last | queue.known),
            free.eq(self.m_axis.tready | ~self.m_axis.tvalid),
            beat.ready.eq(free & may_go),
            queue.take.eq(beat.valid & beat.ready & at_last),
        ]
        with m.If(beat.valid & beat.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(at_last):
                m.d.sync += count.eq(0)

        # `tuser` is what is known in the cycle before the beat shows; from then on it is stable.
        with m.If(free):
            m.d.sync += [
                self.m_axis.tvalid.eq(beat.valid & may_go),
                self.m_axis.tlast.eq(at_last),
                self.m_axis.tuser.eq(queue.faulty),
            ]
            for lane in range(self._values_per_beat):
                # Assigning to the wider field extends the sign.
                field = self.m_axis.tdata[lane * bits : (lane + 1) * bits]
                m.d.sync += field.eq(beat.payload.values[lane])
                if lane >= self._last_lanes:
                    with m.If(at_last):
                        m.d.sync += field.eq(0)
        return m

"""Brings the positions that several engines work on back into one stream, in raster order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

if TYPE_CHECKING:
    from amaranth.lib import data

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Takes ``beats`` beats of ``i_0``, then of ``i_1``, and so on; after the last one a new group begins.

    Parameters
    ----------
    layout: of a beat; beats: of a position.
    inputs: streams, one position of a group each.
    groups: groups in a row; last: positions in the last group of a row, from ``i_0`` on.

    Members
    -------
    i_0, i_1, ...: streams in; o: stream out.

    Latency 0 cycles, initiation interval 1 beat.
    """

    def __init__(self, *, layout: data.StructLayout, beats: int, inputs: int, groups: int, last: int) -> None:
        if not 1 <= last <= inputs:
            raise ValueError(f"the last of {groups} groups must have 1..{inputs} positions, not {last!r}")
        self._beats, self._inputs, self._groups, self._last = beats, inputs, groups, last
        signature = stream.Signature(layout)
        super().__init__({"o": Out(signature), **{f"i_{index}": In(signature) for index in range(inputs)}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, group = Signal(range(max(2, self._beats))), Signal(range(max(2, self._groups)))
        turn = Signal(self._inputs, init=1)  # one bit an input
        taken, beat_last, turn_last, group_last = Signal(), Signal(), Signal(), Signal()
        streams = [getattr(self, f"i_{index}") for index in range(self._inputs)]
        m.d.comb += [
            self.o.valid.eq((turn & Cat(own.valid for own in streams)).any()),
            taken.eq(self.o.valid & self.o.ready),
            beat_last.eq(beat == self._beats - 1),
            group_last.eq(group == self._groups - 1),
            turn_last.eq(turn[-1] | (group_last & turn[self._last - 1])),
        ]
        payload = self.o.payload.as_value()
        chosen = None
        for index, own in enumerate(streams):
            m.d.comb += own.ready.eq(self.o.ready & turn[index])
            gated = own.payload.as_value() & turn[index].replicate(len(payload))
            chosen = gated if chosen is None else chosen | gated
        m.d.comb += payload.eq(chosen)
        with m.If(taken):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat_last):
                m.d.sync += [beat.eq(0), turn.eq(turn << 1)]
                with m.If(turn_last):
                    m.d.sync += [turn.eq(1), group.eq(group + 1)]
                    with m.If(group_last):
                        m.d.sync += group.eq(0)
        return m

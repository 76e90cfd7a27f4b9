"""Takes the stream of entries and writes it into the lanes' activation memories, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.lane import write_layout
from cs_hdl.rtl.streams import index_width, pairs_layout, value_shape, values_layout

if TYPE_CHECKING:
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["ActivationWriter", "input_layout"]


def input_layout(plan: LanesPlan, dtype: str) -> data.StructLayout:
    """The payload that the engine takes: pairs where only winners come, else values of every channel."""
    if plan.sparse:
        return pairs_layout(plan.geometry.shape[2], plan.beat)
    return values_layout(dtype, plan.beat)


class ActivationWriter(wiring.Component):
    """The line buffer's write side: a ring of input rows, copied into every lane that reads them.

    Members
    -------
    i: ``input_layout``, ``beats`` a position, positions in raster order; ready while ``space``.
    write: registered, ``write_layout``; row_written: a row is complete, in the cycle in which its last
        beat is taken.

    Latency 1 cycle, initiation interval 1 beat.
    """

    def __init__(self, *, plan: LanesPlan, dtype: str) -> None:
        self._plan = plan
        self._value_shape: Shape = value_shape(dtype)
        super().__init__(
            {
                "i": In(stream.Signature(input_layout(plan, dtype))),
                "write": Out(write_layout(plan, self._value_shape)),
                "space": In(1),
                "row_written": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self._plan
        width = plan.geometry.shape[1]
        beat, part, column = (
            Signal(range(max(plan.lane_beats, 2))),
            Signal(plan.slices, init=1),
            Signal(range(width + 1)),
        )
        # One for each lane with columns of its own (beyond the last of them none), and the column within it.
        owner, share = Signal(plan.shares // plan.slices, init=1), Signal(plan.shares)
        own, own_last = Signal(range(max(plan.lane_columns, 2))), Signal()
        total = Signal(range(max(plan.beats, 2)))  # beat of the position, over all slices
        # Registers, since what ends with a row is far away: whether it is the last one, and its column the row's last.
        position_end, column_last = Signal(init=plan.beats == 1), Signal(init=width == 1)
        slot_start = Signal(index_width(plan.ring_rows * plan.row_pitch))
        word = Signal(range(max(plan.row_words, 2)))
        slot = Signal(range(max(plan.ring_rows, 2)))
        column_start = Signal.like(word)
        taken = Signal()
        m.d.comb += [self.i.ready.eq(self.space), taken.eq(self.i.valid & self.space)]
        part_end, row_end = Signal(), Signal()
        m.d.comb += [
            part_end.eq((beat == plan.lane_beats - 1) | position_end),
            row_end.eq(position_end & column_last),
            own_last.eq(own == plan.lane_columns - 1),
            self.row_written.eq(taken & row_end),
        ]
        with m.If(taken):
            m.d.sync += [beat.eq(beat + 1), total.eq(total + 1), word.eq(word + 1)]
            if plan.beats > 1:
                m.d.sync += position_end.eq(total == plan.beats - 2)
            with m.If(part_end):
                m.d.sync += [beat.eq(0), part.eq(part << 1), word.eq(column_start)]
            with m.If(position_end):
                m.d.sync += [
                    total.eq(0),
                    part.eq(1),
                    column.eq(column + 1),
                    column_start.eq(column_start + plan.lane_beats),
                    word.eq(column_start + plan.lane_beats),
                ]
                if width > 1:
                    m.d.sync += column_last.eq(column == width - 2)
            if plan.own_columns:
                with m.If(position_end & own_last):  # the next lane's first column, at the start of its memory
                    m.d.sync += [owner.eq(owner << 1), column_start.eq(0), word.eq(0)]
                with m.If(position_end):
                    m.d.sync += own.eq(Mux(own_last | row_end, 0, own + 1))
            with m.If(row_end):
                m.d.sync += [
                    owner.eq(1),
                    column.eq(0),
                    column_start.eq(0),
                    word.eq(0),
                    slot.eq(slot + 1),
                    slot_start.eq(slot_start + plan.row_pitch),
                ]
                with m.If(slot == plan.ring_rows - 1):
                    m.d.sync += [slot.eq(0), slot_start.eq(0)]
        m.d.comb += share.eq(Cat(part & owner_bit.replicate(plan.slices) for owner_bit in owner))
        address = Signal(self.write.address.shape(), reset_less=True)
        entries = Signal(self.write.entries.shape(), reset_less=True)
        m.d.comb += [self.write.address.eq(address), self.write.entries.eq(entries)]
        m.d.sync += self.write.enable.eq(0)
        with m.If(taken):
            m.d.sync += [self.write.enable.eq(share), address.eq(slot_start + word)]
            for index in range(plan.beat):
                m.d.sync += entries[index].value.eq(self.i.p.values[index])
                if plan.sparse:
                    m.d.sync += entries[index].index.eq(self.i.p.indices[index])
        return m

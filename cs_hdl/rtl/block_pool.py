"""Max-pooling where windows lie side by side: each value belongs to one window, so a running maximum does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from cs_hdl.plan.stages import PoolStage
from cs_hdl.plan.timing import BLOCK_POOL_LATENCY
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.room import room_register
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.geometry import Geometry

__all__ = ["BlockMaxPool"]

#: Values that have control registers of their own: a wire to all values of a wide beat is slow.
_PART_LANES = 8


class BlockMaxPool(wiring.Component):
    """The largest value of each window, channel by channel, compared with the sign of ``dtype``.

    It holds one number for each channel of an output row, where windows that overlap take whole input rows.

    Parameters
    ----------
    geometry: of the pooling, with ``geometry.blocks``; lanes, beats: values of a beat and beats of a position;
        dtype: of values.

    Members
    -------
    i, o: ``values_layout(dtype, lanes)``, ``beats`` a position. Both handshakes come from registers.

    Initiation interval 1 cycle a beat that comes in; a result leaves ``BLOCK_POOL_LATENCY`` cycles after the last
    beat that it depends on. The pipeline never stops: results go into a queue, and beats are let in while there is
    room for what they complete.
    """

    def __init__(self, *, geometry: Geometry, lanes: int, beats: int, dtype: str) -> None:
        if not geometry.blocks:
            raise ValueError(f"windows must lie side by side, without padding: {geometry!r}")
        self._geometry, self._lanes, self._beats, self._dtype = geometry, lanes, beats, dtype
        layout = values_layout(dtype, lanes)
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        height, width, _ = self._geometry.shape
        return height * width * self._beats

    @property
    def latency(self) -> int:
        """Cycles from a word's first beat to its first result, with a driver that never waits."""
        return self._geometry.anchor_delay(self._beats) + BLOCK_POOL_LATENCY

    @property
    def _depth(self) -> int:
        """Beats of an output row."""
        return max(2, self._geometry.out[1] * self._beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal()
        walk = self._walk(m, taken)
        # First step: the beat, and what is to be done with it.
        values = Signal.like(self.i.p.values, reset_less=True)
        step = Signal(walk.shape())
        m.d.sync += [values.eq(self.i.p.values), step.eq(walk)]
        # Second and third step, a few channels each.
        m.submodules.queue = queue = Queue(layout=self.o.p.shape(), depth=PoolStage.RUNNING_DEPTH)
        complete = Signal()
        for number, first in enumerate(range(0, self._lanes, _PART_LANES)):
            m.submodules[f"part_{number}"] = part = Module()
            lanes = range(first, min(first + _PART_LANES, self._lanes))
            largest, ends = self._compare(part, [values[lane] for lane in lanes], step)
            m.d.comb += [queue.i.p.values[lane].eq(value) for lane, value in zip(lanes, largest, strict=True)]
            if number == 0:
                m.d.comb += complete.eq(ends)
        m.d.comb += queue.i.valid.eq(complete)
        connect(m, queue.o, flipped(self.o))
        # That a result has gone is known a cycle later: the way from the stage behind to the one before is long.
        given = delayed(m, self.o.valid & self.o.ready, 1, name="given")[-1]
        room = room_register(m, limit=PoolStage.RUNNING_DEPTH, taken=taken & walk.inside & walk.ends, given=given)
        m.d.comb += [self.i.ready.eq(room), taken.eq(self.i.valid & room)]
        return m

    def _compare(self, m: Module, values: list[Value], step: data.View[data.StructLayout]) -> tuple[Value, Value]:
        """The largest values so far, and whether they are complete, two cycles later."""
        shape = data.ArrayLayout(value_shape(self._dtype), len(values))
        # (Where the same place is read and written, what was just written is taken instead.)
        memory = m.submodules.memory = Memory(
            shape=shape, depth=self._depth, init=[], attrs={"ram_style": "distributed", "no_rw_check": 1}
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        value, stored, largest, larger = (
            Signal(shape, name=name, reset_less=True) for name in ("value", "stored", "largest", "larger")
        )
        own, complete = Signal(step.shape(), name="own"), Signal(name="complete")
        m.d.sync += [value[lane].eq(values[lane]) for lane in range(len(values))]
        m.d.comb += read.addr.eq(step.address)
        m.d.sync += [stored.eq(read.data), own.eq(step)]
        for lane in range(len(values)):
            before = Signal(value_shape(self._dtype), name=f"before_{lane}")
            m.d.comb += [
                before.eq(Mux(own.again, largest[lane], stored[lane])),
                larger[lane].eq(Mux(own.begins | (value[lane] > before), value[lane], before)),
            ]
        m.d.comb += [write.en.eq(own.inside), write.addr.eq(own.address), write.data.eq(larger)]
        m.d.sync += [largest.eq(larger), complete.eq(own.inside & own.ends)]
        return largest, complete

    def _walk(self, m: Module, taken: Value) -> data.View[data.StructLayout]:
        """Of the beat that is taken: ``address`` of its window's maximum; whether it is ``inside`` a window, whether
        that ``begins`` or ``ends`` with it, and whether the cycle before brought a beat of the same (``again``)."""
        geometry = self._geometry
        (height, width, _), (rows, columns) = geometry.shape, geometry.kernel
        _, position_end = self._counter(m, "beat", self._beats, taken)
        x, row_end = self._counter(m, "x", width, position_end)
        y, _ = self._counter(m, "y", height, row_end)
        # The place within the window; it begins anew with each row and each word.
        column, column_end = self._counter(m, "column", columns, position_end, restart=row_end)
        row, _ = self._counter(m, "row", rows, row_end, restart=row_end & (y == height - 1))
        address, block = Signal(range(self._depth)), Signal(range(self._depth))
        with m.If(taken):
            m.d.sync += address.eq(address + 1)
        with m.If(position_end & ~column_end):
            m.d.sync += address.eq(block)
        with m.If(column_end):
            m.d.sync += block.eq(address + 1)
        with m.If(row_end):
            m.d.sync += [address.eq(0), block.eq(0)]
        before = Signal()  # the cycle before brought a beat of a window
        layout = {"address": len(address), "inside": 1, "begins": 1, "ends": 1, "again": 1}
        walk = Signal(data.StructLayout(layout))
        same = 1 if geometry.out[1] * self._beats == 1 else (column != 0) if self._beats == 1 else 0
        m.d.comb += [
            walk.address.eq(address),
            walk.inside.eq(taken & (x < geometry.out[1] * columns) & (y < geometry.out[0] * rows)),
            walk.begins.eq((column == 0) & (row == 0)),
            walk.ends.eq((column == columns - 1) & (row == rows - 1)),
            walk.again.eq(before & same),
        ]
        m.d.sync += before.eq(walk.inside)
        return walk

    @staticmethod
    def _counter(
        m: Module, name: str, limit: int, step: Value, *, restart: Value | None = None
    ) -> tuple[Signal, Signal]:
        """A counter 0..limit-1 that moves with ``step``, and whether it steps from its last value."""
        count, end = Signal(range(max(limit, 2)), name=name), Signal(name=f"{name}_end")
        m.d.comb += end.eq(step & (count == limit - 1))
        with m.If(step):
            m.d.sync += count.eq(count + 1)
        with m.If(end if restart is None else end | restart):
            m.d.sync += count.eq(0)
        return count, end

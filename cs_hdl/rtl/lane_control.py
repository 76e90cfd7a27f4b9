"""The engine's control: walks over output positions, passes and the kernel, one command a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.lane_timing import row_needs
from cs_hdl.rtl.lane import command_layout
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["LaneControl", "tag_layout"]


def tag_layout(plan: LanesPlan) -> data.StructLayout:
    """What goes with a drained sum.

    ``valid``, ``address`` = drain * kernels_per_set + kernel id, and ``short``: its positions are the last
    group of an output row, which may have fewer of them than there are engines.
    """
    return data.StructLayout({"valid": 1, "address": index_width(plan.drained), "short": 1})


class LaneControl(wiring.Component):
    """Issues the commands of :func:`cs_hdl.rtl.lane.command_layout`.

    Accumulating and draining are two counters of their own, tied together by two banks: a pass (or,
    where its sets share accumulators, a whole position) starts when its bank is drained and (first pass
    of a row) its input rows are there; a drain starts when its bank is full and (first of a position)
    the reorder buffers have a slot. In steady state a drain is hidden behind the next accumulation, or
    the other way round, with no bubble. After reset both banks are drained once without a result, since
    LUT RAM has no reset.

    All engines follow the same commands, each ``engine_delay`` cycles behind the one before and one output column on.

    Members
    -------
    command: registered, two cycles behind its decision; tag: what belongs to the drain in ``command``, in the same
        cycle.
    row_written: high for a cycle when an input row is complete; space: a slot for a further row is free.
    slot_free: every reorder buffer can take one more position; reserve: one is taken, for a cycle, while
        ``reserve_short`` says that the group is the last of its row. ``slot_free`` tells of it in the next cycle.
    """

    def __init__(self, plan: LanesPlan) -> None:
        self._plan = plan
        super().__init__(
            {
                "command": Out(command_layout(plan)),
                "tag": Out(tag_layout(plan)),
                "row_written": In(1),
                "space": Out(1),
                "slot_free": In(1),
                "reserve": Out(1),
                "reserve_short": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal(2)
        set_full, clear_full = Signal(2), Signal(2)
        m.d.sync += full.eq((full | set_full) & ~clear_full)
        uncleared = Signal()  # not both banks will have been drained since reset: they count as full
        left_full = (full & ~clear_full) | uncleared.replicate(2)
        self._accumulate(m, left_full=left_full, set_full=set_full)
        self._drain(m, filled=full | set_full, clear_full=clear_full, uncleared=uncleared)
        return m

    @staticmethod
    def _bank(m: Module, name: str, step: Value, full: Value, *, init: int) -> tuple[Signal, Signal]:
        """The bank whose turn it is, the other one behind each ``step``, and a register: whether it is full.

        ``full``: the banks that will be so, but for what ``step`` itself does to its own. A decision is one LUT so.
        """
        bank, is_full = Signal(name=f"{name}_bank"), Signal(name=f"{name}_bank_full", init=init)
        m.d.sync += [
            bank.eq(bank ^ step),
            is_full.eq(Mux(step, full.bit_select(~bank, 1), full.bit_select(bank, 1))),
        ]
        return bank, is_full

    @staticmethod
    def _counter(m: Module, name: str, limit: int, step: Value) -> tuple[Signal, Signal]:
        """A counter 0..limit-1 that moves with ``step``, and whether it is at its last value."""
        count, last = Signal(range(max(limit, 2)), name=name), Signal(name=f"{name}_last")
        m.d.comb += last.eq(count == limit - 1)
        with m.If(step):
            m.d.sync += count.eq(count + 1)
            with m.If(last):
                m.d.sync += count.eq(0)
        return count, last

    def _accumulate(self, m: Module, *, left_full: Value, set_full: Signal) -> None:
        plan, geometry, command = self._plan, self._plan.geometry, self.command
        height = geometry.shape[0]
        step = Signal()
        place = self._next_place(m, step)
        ends_bank = place.ends_position if plan.spanning else place.ends_pass
        bank_end, line_end = Signal(), Signal()
        m.d.comb += [bank_end.eq(step & ends_bank), line_end.eq(step & place.ends_line)]

        available = self._rows(m, place=place, line_end=line_end)
        bank, bank_full = self._bank(m, "accumulate", bank_end, left_full, init=1)
        running, row_running = Signal(), Signal()  # within what is drained at once; within an output row
        with m.If(step):
            m.d.sync += [running.eq(~ends_bank), row_running.eq(~place.ends_line)]
        m.d.comb += step.eq(running | (~bank_full & (row_running | available)))
        with m.If(bank_end):
            m.d.comb += set_full.bit_select(bank, 1).eq(1)
        # What is decided here moves many registers: those of the places follow a cycle later.
        now = place
        place = Signal.like(now, name="later_place", reset_less=True)
        m.d.sync += place.eq(now)
        step, bank = (
            delayed(m, value, 1, name=f"later_{name}")[-1] for name, value in (("step", step), ("bank", bank))
        )
        tap_end, row_end, position_end, line_end = (
            step & place[name] for name in ("ends_tap", "ends_row", "ends_position", "ends_line")
        )

        # Where the window lies: memory word and column of its left edge, ring slot and row of its top.
        word_offset = Signal(range(max(plan.lane_columns * plan.lane_beats, 2)))
        with m.If(step & place.ends_word):
            m.d.sync += word_offset.eq(word_offset + 1)
            with m.If(row_end):
                m.d.sync += word_offset.eq(0)
        stride, left, top = geometry.stride, geometry.padding[1], geometry.padding[0]
        edge_word = Signal(command.word.shape(), init=-left * plan.lane_beats)
        edge_column = Signal(command.column.shape(), init=-left)
        with m.If(position_end):
            step_columns = stride[1] * plan.engines
            m.d.sync += [
                edge_word.eq(edge_word + step_columns * plan.lane_beats),
                edge_column.eq(edge_column + step_columns),
            ]
            with m.If(place.ends_line):
                m.d.sync += [edge_word.eq(-left * plan.lane_beats), edge_column.eq(-left)]
        ring = plan.ring_rows
        edge_slot = Signal(range(max(ring, 2)), init=-top % ring)
        edge_row = Signal(command.row.shape(), init=-top)
        with m.If(line_end):
            m.d.sync += [edge_slot.eq((edge_slot + stride[0]) & (ring - 1)), edge_row.eq(edge_row + stride[0])]
            with m.If(place.ends_image):
                to_next = (height - (geometry.out[0] - 1) * stride[0]) % ring
                m.d.sync += [edge_slot.eq((edge_slot + to_next) & (ring - 1)), edge_row.eq(-top)]

        # The table's address: walks on by an entry, or by a tap where the channel comes with the entry.
        base = Signal(range(max(plan.table_depth, 2)))
        with m.If(tap_end if plan.sparse else step):
            m.d.sync += base.eq(base + (plan.table_channels if plan.sparse else 1))
            with m.If(position_end):
                m.d.sync += base.eq(0)

        m.d.sync += [
            command.valid.eq(step),
            command.bank.eq(bank),
            command.slot.eq((edge_slot + place.kernel_row) & (ring - 1)),
            command.row.eq(edge_row + place.kernel_row),
            command.word.eq(edge_word + word_offset),
            command.column.eq(edge_column + place.kernel_column),
            command.lane.eq(place.lane),
            command.base.eq(base),
        ]

    def _next_place(self, m: Module, step: Value) -> Any:
        """The place of the next command, a register that moves on with ``step``; valid from the third cycle on.

        A walk that runs ahead fills a queue of two places, so that all ends of loops are bits of a register, and so
        is what lets the walk go on: its counters may lie far from the decision.
        """
        plan, geometry = self._plan, self._plan.geometry
        walk = Signal()

        # Innermost first: entry (beat lane, beat), kernel column, kernel row, pass, x, y.
        ends: list[Value] = []

        def counter(name: str, limit: int) -> Signal:
            """A counter that moves where all within it end; its own end is the next of ``ends``."""
            end = Signal(name=f"ends_{name}")
            count, last = self._counter(m, name, limit, walk & ends[-1] if ends else walk)
            m.d.comb += end.eq(last & ends[-1] if ends else last)
            ends.append(end)
            return count

        counter("entry", plan.lane_entries)
        lane, lane_last = Signal(range(max(plan.beat, 2))), Signal()
        m.d.comb += lane_last.eq((lane == plan.beat - 1) | ends[0])
        with m.If(walk):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane_last):
                m.d.sync += lane.eq(0)
        kernel_column = counter("kernel_column", plan.lane_columns)
        kernel_row = counter("kernel_row", plan.lane_rows)
        counter("turn", plan.passes)
        counter("x", plan.row_groups)
        y = counter("y", geometry.out[0])
        tap, row, turn, position, line, image = ends

        more, release = self._row_steps(m, y)
        values = {
            "lane": lane, "kernel_column": kernel_column, "kernel_row": kernel_row, "more": more, "release": release,
            "ends_word": lane_last, "ends_tap": tap, "ends_row": row, "ends_pass": turn, "ends_position": position,
            "ends_line": line, "ends_image": image,
        }  # fmt: skip
        layout = data.StructLayout({name: value.shape() for name, value in values.items()})
        m.submodules.places = places = RegisterSlice(layout)
        m.d.comb += [walk.eq(places.i.ready), places.i.valid.eq(1), places.o.ready.eq(step)]
        m.d.comb += [places.i.payload[name].eq(value) for name, value in values.items()]
        return places.o.payload

    def _row_steps(self, m: Module, y: Value) -> tuple[Value, Value]:
        """For output row ``y``: how many more rows the next one needs, and how many are released at its end."""
        needs = row_needs(self._plan.geometry)
        following = [*needs[1:], needs[0]]
        # What is released counts as needed anew.
        steps = [
            {"more": free + after - need, "release": free}
            for (need, free), (after, _) in zip(needs, following, strict=True)
        ]
        layout = data.StructLayout({name: range(max(each[name] for each in steps) + 1) for name in steps[0]})
        table = m.submodules.row_steps = Memory(shape=layout, depth=max(2, len(steps)), init=steps)
        read = table.read_port(domain="comb")
        m.d.comb += read.addr.eq(y)
        return read.data.more, read.data.release

    def _rows(self, m: Module, *, place: Any, line_end: Value) -> Value:
        """Count input rows: returns whether those that the next output row needs are there; sets ``space``."""
        plan = self._plan
        used = Signal(range(plan.ring_rows + 1))  # complete and not yet read by the last lane
        space = Signal(init=1)
        late: Value = Signal.like(place.release, name="release")
        with m.If(line_end):
            m.d.comb += late.eq(place.release)
        late = delayed(m, late, plan.read_delay, name="release")[-1]
        # Rows that are complete and not released, less those that are needed: whether a row may start is one
        # register's bit. That a row was written, or ends, is known late, and only chooses between sums.
        needs = row_needs(plan.geometry)
        most = max(need for need, _ in needs)
        surplus = Signal(range(-most, plan.ring_rows + 1), init=-needs[0][0])
        fewer, left = surplus - place.more, used - late
        m.d.sync += [
            surplus.eq(Mux(self.row_written, Mux(line_end, fewer + 1, surplus + 1), Mux(line_end, fewer, surplus))),
            used.eq(Mux(self.row_written, left + 1, left)),
            space.eq(Mux(self.row_written, left + 1 != plan.ring_rows, left != plan.ring_rows)),
        ]
        m.d.comb += self.space.eq(space)
        return surplus >= 0

    def _drain(self, m: Module, *, filled: Value, clear_full: Signal, uncleared: Signal) -> None:
        plan = self._plan
        cleared = Signal()
        step, end = Signal(), Signal()
        running = Signal(init=1)  # within a bank, or both have still to be cleared
        bank, bank_full = self._bank(m, "drain", end, filled, init=0)
        kid, kid_last = self._counter(m, "kid", plan.kernels_per_set, step)
        m.d.comb += end.eq(step & kid_last)
        address, position_end = self._counter(m, "address", plan.drained, step & cleared)
        starts_position = Signal(init=1)
        with m.If(step & cleared):
            m.d.sync += starts_position.eq(position_end)
        if plan.engines > 1:
            ends_position = Signal()
            m.d.comb += ends_position.eq(step & cleared & position_end)
            _, short = self._counter(m, "drained_group", plan.row_groups, ends_position)
            self._set(m, self.reserve_short, short)
            m.d.sync += self.tag.short.eq(delayed(m, short, 1, name="later_short")[-1])
        m.d.comb += [
            step.eq(running | (bank_full & (~starts_position | self.slot_free))),
            uncleared.eq(~(cleared | (end & bank))),
        ]
        m.d.sync += cleared.eq(~uncleared)
        self._set(m, self.reserve, step & starts_position & cleared)
        with m.If(step):
            m.d.sync += running.eq(~end | uncleared)
        with m.If(end):
            m.d.comb += clear_full.bit_select(bank, 1).eq(1)
        # (A cycle later, as the other half of the command.)
        drain, drained, kid, bank, address = (
            delayed(m, value, 1, name=f"later_drain_{index}")[-1]
            for index, value in enumerate((step, step & cleared, kid, bank, address))
        )
        m.d.sync += [
            self.command.drain.eq(drain),
            self.command.drain_bank.eq(bank),
            self.command.drain_kid.eq(kid),
            self.tag.valid.eq(drained),
            self.tag.address.eq(address),
        ]

    def _set(self, m: Module, port: Any, value: Value) -> None:
        """Give what is told to the reorder buffers, which are far away, a cycle later, where the next decision that
        depends on their answer is one more cycle away."""
        if self._plan.drained > 1:
            m.d.sync += port.eq(value)
        else:
            m.d.comb += port.eq(value)

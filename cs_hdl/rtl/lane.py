"""One lane of the engine: fetch an entry, multiply by all its sets' weights, add by kernel id."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.cost import ram_style
from cs_hdl.rtl.lane_columns import LaneColumns, delayed_step, passed_on, step_layout
from cs_hdl.rtl.platform import shared_part
from cs_hdl.rtl.streams import index_width

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.lane_tables import LaneTable
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["Lane", "command_layout", "entry_layout", "write_layout"]


def entry_layout(plan: LanesPlan, value_shape: Shape) -> data.StructLayout:
    """One entry of a position: its value and, where only winners come, its channel."""
    fields = {"value": value_shape}
    if plan.sparse:
        fields["index"] = unsigned(index_width(plan.geometry.shape[2]))
    return data.StructLayout(fields)


def write_layout(plan: LanesPlan, value_shape: Shape) -> data.StructLayout:
    """A write into the activation memories: which share of the lanes, where, and one beat of entries."""
    return data.StructLayout(
        {
            "enable": plan.shares,
            "address": index_width(plan.ring_rows * plan.row_pitch),
            "entries": data.ArrayLayout(entry_layout(plan, value_shape), plan.beat),
        }
    )


def command_layout(plan: LanesPlan) -> data.StructLayout:
    """What travels along the chain, one lane a cycle.

    Accumulate: ``valid``, ``bank``; the entry: ``slot`` and ``word`` in the
    activation memory, ``lane`` in its beat, with ``row`` and ``column`` (signed, of the input) for
    the padding; ``base`` in the table. Drain: ``drain``, ``drain_bank``, ``drain_kid``.
    """
    height, width, _ = plan.geometry.shape
    # (The last group of a row may reach beyond it.)
    columns = width + plan.geometry.kernel[1] + plan.engines * plan.geometry.stride[1]
    return data.StructLayout(
        {
            "valid": 1,
            "bank": 1,
            "slot": index_width(plan.ring_rows),
            "word": signed(_signed_width(columns, plan.lane_beats)),
            "lane": index_width(plan.beat),
            "row": signed(_signed_width(height + plan.geometry.kernel[0], 1)),
            "column": signed(_signed_width(columns, 1)),
            "base": index_width(plan.table_depth),
            "drain": 1,
            "drain_bank": 1,
            "drain_kid": index_width(plan.kernels_per_set),
        }
    )


def _signed_width(positions: int, words: int) -> int:
    return (2 * positions * words).bit_length() + 1


class Lane(wiring.Component):
    """A lane: its copy of the activations, its table, its multipliers and two banks of accumulators.

    Every cycle it takes one command, passes it on to the next lane one cycle later, and fetches the entry
    that the command and the lane's own place in the kernel name; for each of the ``set_columns`` sets a
    weight and a kernel id are looked up, multiplied and added (see :class:`LaneColumns`).

    Parameters
    ----------
    plan: the folding.
    table: weights and kernel ids of this lane, and the bounds of its sums.
    row, column, part: place of the lane in the grid (kernel rows, kernel columns, slices of entries).
    engine: which of the neighbouring output columns it works on.
    borrows: it reads no activations, but does what its neighbour in the engine before did a cycle ago.
    value_shape: shape of an activation, ``unsigned(8)`` or ``signed(8)``.
    sum_width: bits of the incoming partial sums; 0 for the first lane, which has none.

    Members
    -------
    command, next_command: in and out, ``command_layout``; out is one cycle later.
    write: ``write_layout``, straight into the activation memory.
    step, next_step: only where ``plan.shared_fetch``, ``step_layout``: what is borrowed; and, a cycle later, what this
        lane does itself.
    sums, next_sums: partial sums of ``set_columns`` kernels; a drain command's sums leave
        ``7 + memory_latency + spread_latency + rom_latency`` cycles after the command came in, and must come in
        one cycle before.

    The initiation interval is one command a cycle.
    """

    def __init__(
        self,
        *,
        plan: LanesPlan,
        table: LaneTable,
        row: int,
        column: int,
        part: int,
        value_shape: Shape,
        sum_width: int,
        engine: int = 0,
        borrows: bool = False,
    ) -> None:
        self._plan, self._table = plan, table
        self._row, self._borrows = row, borrows
        #: How many columns of the input the lane's first tap lies right of the command's; in its memory likewise.
        self._shift = column * plan.lane_columns + engine * plan.geometry.stride[1]
        self._memory_shift = 0 if plan.own_columns else self._shift
        self._share = column * plan.slices + part if plan.own_columns else part
        self._value_shape, self._sum_width = value_shape, sum_width
        command, step = command_layout(plan), step_layout(plan, value_shape)
        super().__init__(
            {
                "command": In(command),
                "next_command": Out(command),
                "write": In(write_layout(plan, value_shape)),
                **({"step": In(step), "next_step": Out(step)} if plan.shared_fetch else {}),
                **({"sums": In(data.ArrayLayout(signed(sum_width), plan.set_columns))} if sum_width else {}),
                "next_sums": Out(data.ArrayLayout(signed(table.chain_width), plan.set_columns)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan, command, table = self._plan, self.command, self._table
        passed_on(m, self.next_command, command)
        step = self.step if self._borrows else self._make_step(m)
        if plan.shared_fetch:
            passed_on(m, self.next_step, step)
        for number, columns in enumerate(plan.column_groups):
            # The lanes of all engines at the same place in the kernel are the same here.
            m.submodules[f"part_{number}"], group = shared_part(
                partial(
                    LaneColumns,
                    plan=plan,
                    table=table,
                    columns=columns,
                    value_shape=self._value_shape,
                    sum_width=self._sum_width,
                ),
                key=(LaneColumns, plan, number, table.key, self._sum_width, self._value_shape.signed),
                platform=platform,
            )
            m.d.comb += group.step.eq(step)
            for place, column in enumerate(columns):
                m.d.comb += self.next_sums[column].eq(group.next_sums[place])
                if self._sum_width:
                    m.d.comb += group.sums[place].eq(self.sums[column])
        return m

    def _make_step(self, m: Module) -> Any:
        """What the command says, ``3 + memory_latency`` cycles later."""
        plan, command = self._plan, self.command
        value, address = self._fetch(m)
        step = Signal(step_layout(plan, self._value_shape))
        m.d.comb += [step.value.eq(delayed_step(m, value, 1, "value")[-1]), step.address.eq(address)]
        for name in ("valid", "bank", "drain", "drain_bank", "drain_kid"):
            m.d.comb += step[name].eq(delayed_step(m, command[name], 3 + plan.memory_latency, name)[-1])
        return step

    def _fetch(self, m: Module) -> tuple[Value, Value]:
        """The entry's value (0 in the padding) after ``2 + memory_latency`` cycles, its table address one later."""
        plan, geometry, command = self._plan, self._plan.geometry, self.command
        # A row that is written has been read by all lanes: what comes of both at one place is not used.
        shape, depth = (
            data.ArrayLayout(entry_layout(plan, self._value_shape), plan.beat),
            plan.ring_rows * plan.row_pitch,
        )
        # Between a few words and many Yosys is left to judge: its block RAM is the better one there.
        style = ram_style(depth, shape.size)
        attrs = {"no_rw_check": 1} | ({"ram_style": style} if style == "block" or plan.memory_latency == 1 else {})
        memory = m.submodules.activations = Memory(shape=shape, depth=depth, init=[], attrs=attrs)
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write.enable[self._share]),
            write.addr.eq(self.write.address),
            write.data.eq(self.write.entries),
        ]
        # Stage 1: this lane's own row and column give the address, and whether it lies in the padding.
        row, column = Signal.like(command.row), Signal.like(command.column)
        slot = Signal.like(command.slot)
        word = Signal.like(command.word)
        m.d.comb += [
            row.eq(command.row + self._row * plan.lane_rows),
            column.eq(command.column + self._shift),
            slot.eq(command.slot + self._row * plan.lane_rows),
            word.eq(command.word + self._memory_shift * plan.lane_beats),
        ]
        inside = Signal(reset_less=True)
        address = Signal(index_width(plan.ring_rows * plan.row_pitch), reset_less=True)
        checks = [command.valid]
        # (Beyond the kernel the weights are 0, so only padding has to be looked for.)
        if geometry.padding[0] or geometry.padding[2]:
            checks.append((row >= 0) & (row < geometry.shape[0]))
        if geometry.padding[1] or geometry.padding[3]:
            checks.append((column >= 0) & (column < geometry.shape[1]))
        ring = slot & (plan.ring_rows - 1)
        m.d.sync += [inside.eq(Cat(*checks).all()), address.eq(_times(ring, plan.row_pitch) + word)]
        # Stage 2: the memory (and its register). Stage 3: one entry of its word.
        read = memory.read_port()
        m.d.comb += read.addr.eq(address)
        word_read = delayed_step(m, read.data, plan.memory_latency - 1, "word_read")[-1]
        inside_2 = delayed_step(m, inside, plan.memory_latency, "inside")[-1]
        lane = delayed_step(m, command.lane, 1 + plan.memory_latency, "lane")[-1]
        entry = Signal(entry_layout(plan, self._value_shape))
        with m.Switch(lane):
            for index in range(plan.beat):
                with m.Case(index):
                    m.d.comb += entry.eq(word_read[index])
        value = Signal(self._value_shape, reset_less=True)
        m.d.sync += value.eq(Mux(inside_2, entry.value, 0))
        base = delayed_step(m, command.base, 2 + plan.memory_latency, "base")[-1]
        # Stage 4: the address in the table.
        table_address = Signal(index_width(plan.table_depth), reset_less=True)
        if plan.sparse:
            index = Signal.like(entry.index, reset_less=True)
            m.d.sync += [index.eq(entry.index), table_address.eq(base + index)]
        else:
            m.d.sync += table_address.eq(base)
        return value, table_address


def _times(value: Value, factor: int) -> Value:
    """``value * factor`` for a factor of at most two signed digits: shifts and one adder."""
    low = factor & -factor
    rest = factor // low
    shift = low.bit_length() - 1
    if rest == 1:
        return value << shift
    if (rest + 1) & rest == 0:  # 2**n - 1
        return ((value << rest.bit_length()) - value) << shift
    return ((value << ((rest - 1).bit_length() - 1)) + value) << shift

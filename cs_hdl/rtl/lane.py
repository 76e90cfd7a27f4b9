"""One lane of the engine: fetch an entry, multiply by all its sets' weights, add by kernel id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.multiplier import RegisteredMultiplier
from cs_hdl.rtl.primitives.registers import delayed
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
    """A write into the activation memories: which slice of lanes, where, and one beat of entries."""
    return data.StructLayout(
        {
            "enable": plan.slices,
            "address": index_width(plan.ring_rows * plan.row_pitch),
            "entries": data.ArrayLayout(entry_layout(plan, value_shape), plan.beat),
        }
    )


def command_layout(plan: LanesPlan) -> data.StructLayout:
    """What travels along the chain, one lane a cycle.

    Accumulate: ``valid``, ``first`` (of a pass), ``bank``; the entry: ``slot`` and ``word`` in the
    activation memory, ``lane`` in its beat, with ``row`` and ``column`` (signed, of the input) for
    the padding; ``base`` in the table. Drain: ``drain``, ``drain_bank``, ``drain_kid``.
    """
    height, width, _ = plan.geometry.shape
    # (The last group of a row may reach beyond it.)
    columns = width + plan.geometry.kernel[1] + plan.engines * plan.geometry.stride[1]
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
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

    Every cycle it takes one command, passes it on to the next lane one cycle later, fetches the entry
    that the command and the lane's own place in the kernel name, reads the packed word of all
    ``set_columns`` sets (weight and kernel id each), multiplies, and adds each product to the
    accumulator that its kernel id names. While one bank accumulates, the other is drained, kernel id
    by kernel id, which also clears it; the drained sums of the lane before are added on the way.

    Parameters
    ----------
    plan: the folding.
    table: weights and kernel ids of this lane, and the bounds of its sums.
    row, column, part: place of the lane in the grid (kernel rows, kernel columns, slices of entries).
    engine: which of the neighbouring output columns it works on.
    value_shape: shape of an activation, ``unsigned(8)`` or ``signed(8)``.
    sum_width: bits of the incoming partial sums.

    Members
    -------
    command, next_command: in and out, ``command_layout``; out is one cycle later.
    write: ``write_layout``, straight into the activation memory.
    sums, next_sums: partial sums of ``set_columns`` kernels; a drain command's sums leave
        ``7 + memory_latency + rom_latency`` cycles after the command came in, and must come in one cycle before.

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
    ) -> None:
        self._plan, self._table = plan, table
        self._row, self._part = row, part
        #: How many columns of the input the lane's first tap lies right of the command's.
        self._shift = column * plan.lane_columns + engine * plan.geometry.stride[1]
        self._value_shape = value_shape
        command = command_layout(plan)
        super().__init__(
            {
                "command": In(command),
                "next_command": Out(command),
                "write": In(write_layout(plan, value_shape)),
                "sums": In(data.ArrayLayout(signed(sum_width), plan.set_columns)),
                "next_sums": Out(data.ArrayLayout(signed(table.chain_width), plan.set_columns)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.next_command.eq(self.command)

        value, address = self._fetch(m)
        weights, kernel_ids = self._look_up(m, address)
        # From the command to the multipliers' inputs: three stages and the two memories.
        multiply = 3 + self._plan.memory_latency + self._plan.rom_latency
        signals = {
            name: self._delayed(m, self.command[name], multiply + 1, name) for name in ("valid", "first", "bank")
        }
        drain = {name: self._delayed(m, self.command[name], multiply + 2, name) for name in ("drain_bank", "drain_kid")}
        # Which bank drains, decoded a cycle ahead: the accumulators' addresses hang on it.
        draining = [Signal(name=f"draining_{number}") for number in range(2)]
        before = self._delayed(m, self.command["drain"], multiply + 1, "drain")[-1]
        for number, own in enumerate(draining):
            m.d.sync += own.eq(before & (drain["drain_bank"][-2] == number))
        held_value = self._delayed(m, value, self._plan.rom_latency + 1, "value")[-1]
        for index in range(self._plan.set_columns):
            multiplier = RegisteredMultiplier(a_shape=self._value_shape, b_shape=signed(8))
            m.submodules[f"multiply_{index}"] = multiplier
            m.d.comb += [multiplier.a.eq(held_value), multiplier.b.eq(weights[index]), multiplier.en.eq(1)]
            kernel_id = Signal.like(kernel_ids[index], name=f"kernel_id_{index}", reset_less=True)
            m.d.sync += kernel_id.eq(kernel_ids[index])
            self._accumulate(
                m,
                index=index,
                product=multiplier.o,
                kernel_id=kernel_id,
                valid=signals["valid"][-1],
                first=signals["first"][-1],
                bank=signals["bank"][-1],
                draining=draining,
                drain_bank=drain["drain_bank"][-1],
                drain_kid=drain["drain_kid"][-1],
            )
        return m

    @staticmethod
    def _delayed(m: Module, value: Value, cycles: int, name: str) -> list[Value]:
        """As :func:`delayed`; only what makes something happen is reset."""
        return delayed(m, value, cycles, name=name, reset_less=name not in ("valid", "drain"))

    def _fetch(self, m: Module) -> tuple[Value, Value]:
        """The entry's value (0 in the padding) after ``2 + memory_latency`` cycles, its table address one later."""
        plan, geometry, command = self._plan, self._plan.geometry, self.command
        memory = m.submodules.activations = Memory(
            shape=data.ArrayLayout(entry_layout(plan, self._value_shape), plan.beat),
            depth=plan.ring_rows * plan.row_pitch,
            init=[],
        )
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write.enable[self._part]),
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
            word.eq(command.word + self._shift * plan.lane_beats),
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
        word_read = self._delayed(m, read.data, plan.memory_latency - 1, "word_read")[-1]
        inside_2 = self._delayed(m, inside, plan.memory_latency, "inside")[-1]
        lane = self._delayed(m, command.lane, 1 + plan.memory_latency, "lane")[-1]
        entry = Signal(entry_layout(plan, self._value_shape))
        with m.Switch(lane):
            for index in range(plan.beat):
                with m.Case(index):
                    m.d.comb += entry.eq(word_read[index])
        value = Signal(self._value_shape, reset_less=True)
        m.d.sync += value.eq(Mux(inside_2, entry.value, 0))
        base = self._delayed(m, command.base, 2 + plan.memory_latency, "base")[-1]
        # Stage 4: the address in the table.
        table_address = Signal(index_width(plan.table_depth), reset_less=True)
        if plan.sparse:
            index = Signal.like(entry.index, reset_less=True)
            m.d.sync += [index.eq(entry.index), table_address.eq(base + index)]
        else:
            m.d.sync += table_address.eq(base)
        return value, table_address

    def _look_up(self, m: Module, address: Value) -> tuple[list[Value], list[Value]]:
        """Weights and kernel ids of all set columns, ``rom_latency`` cycles after ``address``."""
        plan, table = self._plan, self._table
        ids_needed = plan.kernel_id_bits > 0
        word = 8 + plan.kernel_id_bits
        init = [
            sum((((int(k) << 8) if ids_needed else 0) | (int(w) & 0xFF)) << (word * i) for i, (w, k) in enumerate(rows))
            for rows in (zip(ws, ks, strict=True) for ws, ks in zip(table.weights, table.kernel_ids, strict=True))
        ]
        style = "block" if plan.rom_latency == 2 else "logic"
        memory = m.submodules.table = Memory(
            shape=plan.table_width, depth=plan.table_depth, init=init, attrs={"rom_style": style}
        )
        read = memory.read_port()
        m.d.comb += read.addr.eq(address)
        packed = self._delayed(m, read.data, plan.rom_latency - 1, "packed")[-1]
        weights, kernel_ids = [], []
        for index in range(plan.set_columns):
            field = packed[word * index : word * (index + 1)]
            weights.append(field[:8].as_signed())
            kernel_ids.append(field[8:] if ids_needed else Signal(1, name=f"no_kernel_id_{index}"))
        return weights, kernel_ids

    def _accumulate(
        self,
        m: Module,
        *,
        index: int,
        product: Value,
        kernel_id: Value,
        valid: Value,
        first: Value,
        bank: Value,
        draining: list[Signal],
        drain_bank: Value,
        drain_kid: Value,
    ) -> None:
        """Read the accumulator in one cycle, add and write it back in the next; drain the other bank.

        ``kernel_id``, ``valid``, ``first`` and ``bank`` come one cycle before ``product``, the drain
        command together with it. Three hazards are met: the same kernel id twice in a row takes the
        sum that is just being written; the first entry of a pass takes 0, since the drain that clears
        its bank may end only in this very cycle; a drain starts a cycle behind the last accumulation.
        """
        width = self._table.accumulator_width
        depth = max(2, self._plan.kernels_per_set)
        id_2 = Signal.like(kernel_id, name=f"kernel_id_2_{index}", reset_less=True)
        valid_2, bank_2 = Signal(name=f"valid_w_{index}"), Signal(name=f"bank_w_{index}")
        old = Signal(signed(width), name=f"old_{index}", reset_less=True)
        last = Signal(signed(width), name=f"last_{index}", reset_less=True)
        repeat = Signal(name=f"repeat_{index}")
        total = Signal(signed(width), name=f"total_{index}")
        m.d.comb += total.eq(Mux(repeat, last, old) + product)
        m.d.sync += [
            id_2.eq(kernel_id),
            valid_2.eq(valid),
            bank_2.eq(bank),
            last.eq(total),
            repeat.eq(valid_2 & ~first & (kernel_id == id_2)),
        ]
        reads = []
        for number in range(2):
            memory = m.submodules[f"bank_{index}_{number}"] = Memory(shape=signed(width), depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(draining[number] | (valid_2 & (bank_2 == number))),
                write.addr.eq(Mux(draining[number], drain_kid, id_2)),
                write.data.eq(Mux(draining[number], 0, total)),
                read.addr.eq(Mux(draining[number], drain_kid, kernel_id)),
            ]
            reads.append(read.data)
        with m.If(first):
            m.d.sync += old.eq(0)
        with m.Else():
            m.d.sync += old.eq(Mux(bank, reads[1], reads[0]))
        drained = Signal(signed(width), name=f"drained_{index}", reset_less=True)
        m.d.sync += [
            drained.eq(Mux(drain_bank, reads[1], reads[0])),
            self.next_sums[index].eq(self.sums[index] + drained),
        ]


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

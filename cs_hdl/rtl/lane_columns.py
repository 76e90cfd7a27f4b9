"""Some set columns of a lane: their table, their multipliers and their accumulators."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Array, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.carry_adders import AddOrClear, ChooseAndAdd
from cs_hdl.rtl.primitives.constant_table import ConstantTable
from cs_hdl.rtl.primitives.multiplier import RegisteredMultiplier
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.lane_tables import LaneTable
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["LaneColumns", "delayed_step", "passed_on", "step_layout"]


#: Banks of a table of which one is chosen by its number; of more, each has a register that says whether it is the one.
#: (Yosys makes 33 LUTs a bit of a choice among 19 by number, and 14 so.)
_MOST_INDEXED = 4
#: Parts of commands, steps, tags and writes by which something happens.
_RESET = ("valid", "drain", "enable")


def step_layout(plan: LanesPlan, value_shape: Shape) -> data.StructLayout:
    """What a lane does in one cycle: a value and the address of its weights, and what a command says."""
    return data.StructLayout(
        {
            "value": value_shape,
            "address": index_width(plan.table_depth),
            "valid": 1,
            "bank": 1,
            "drain": 1,
            "drain_bank": 1,
            "drain_kid": index_width(plan.kernels_per_set),
        }
    )


def delayed_step(m: Module, value: Value, cycles: int, name: str, *, prefix: str = "") -> list[Value]:
    """As :func:`delayed`, for the part ``name`` of a step; only what makes something happen is reset."""
    return delayed(m, value, cycles, name=prefix + name, reset_less=name not in _RESET)


def passed_on(m: Module, target: Any, source: Any, cycles: int = 1) -> None:
    """Give ``target`` what ``source``, of the same layout, was so many cycles ago; only what makes something happen
    is reset.

    (Members of an interface that are assigned in a clock domain are reset, all of them: thousands of wires.)
    """
    for name in source.shape().members:
        m.d.comb += target[name].eq(delayed_step(m, source[name], cycles, name, prefix="next_")[-1])


class LaneColumns(wiring.Component):
    """Looks up a weight and a kernel id for each of its set columns, multiplies, and adds by kernel id.

    While one bank of accumulators is added to, the other is drained, kernel id by kernel id, which also clears
    it; the drained sums of the lane before are added on the way.

    Parameters
    ----------
    plan: the folding.
    table: weights and kernel ids of the lane, and the bounds of its sums.
    columns: which of its set columns.
    value_shape: shape of an activation. sum_width: bits of the incoming partial sums, 0 where there are none.

    Members
    -------
    step: ``step_layout``, one a cycle.
    sums, next_sums: partial sums of a kernel for each column; a drain's sums leave
        ``4 + spread_latency + rom_latency`` cycles after its step came in, and must come in one cycle before.
    """

    def __init__(
        self, *, plan: LanesPlan, table: LaneTable, columns: range, value_shape: Shape, sum_width: int
    ) -> None:
        self._plan, self._table, self._columns = plan, table, columns
        self._value_shape, self._sum_width = value_shape, sum_width
        super().__init__(
            {
                "step": In(step_layout(plan, value_shape)),
                **({"sums": In(data.ArrayLayout(signed(sum_width), len(columns)))} if sum_width else {}),
                "next_sums": Out(data.ArrayLayout(signed(table.chain_width), len(columns))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = self._plan
        # Where a lane has several of these, each has registers of its own: no wire goes to all of them.
        step = {
            name: delayed_step(m, self.step[name], plan.spread_latency, name, prefix="step_")[-1]
            for name in self.step.shape().members
        }
        weights, kernel_ids = self._look_up(m, step["address"])
        value = delayed_step(m, step["value"], plan.rom_latency, "value")[-1]
        signals = {name: delayed_step(m, step[name], plan.rom_latency + 2, name) for name in ("valid", "bank")}
        drain = {
            name: delayed_step(m, step[name], plan.rom_latency + 3, name)
            for name in ("drain", "drain_bank", "drain_kid")
        }
        for index in range(len(self._columns)):
            multiplier = RegisteredMultiplier(a_shape=self._value_shape, b_shape=signed(8))
            m.submodules[f"multiply_{index}"] = multiplier
            m.d.comb += [multiplier.a.eq(value), multiplier.b.eq(weights[index]), multiplier.en.eq(1)]
            # Multipliers are where the chip has them: a product has a cycle to itself to get to its accumulators.
            product = delayed(m, multiplier.o, 1, name=f"product_{index}", reset_less=True)[-1]
            kernel_id = delayed(m, kernel_ids[index], 2, name=f"kernel_id_{index}", reset_less=True)[-1]
            self._accumulate(m, index=index, product=product, kernel_id=kernel_id, signals=signals, drain=drain)
        return m

    def _look_up(self, m: Module, address: Value) -> tuple[list[Value], list[Value]]:
        """Weights and kernel ids of all set columns, ``rom_latency`` cycles after ``address``."""
        plan = self._plan
        word = 8 + plan.kernel_id_bits
        columns = slice(self._columns.start, self._columns.stop)
        weights = self._table.weights[:, columns].astype(int) & 0xFF
        kernel_ids = self._table.kernel_ids[:, columns].astype(int) << 8
        fields = (weights | kernel_ids).tolist()
        init = [sum(field << (word * place) for place, field in enumerate(row)) for row in fields]
        packed = self._read_table(m, address, init, width=word * len(self._columns))
        found = [packed[word * index : word * (index + 1)] for index in range(len(self._columns))]
        return (
            [field[:8].as_signed() for field in found],
            [
                field[8:] if plan.kernel_id_bits else Signal(1, name=f"no_kernel_id_{index}")
                for index, field in enumerate(found)
            ],
        )

    def _read_table(self, m: Module, address: Value, init: list[int], *, width: int) -> Value:
        """The word at ``address`` of a table of constants.

        Block RAM is slow to give what it has read, so a register stands behind each; a table that is deeper than
        one block is cut into such, and which one was meant is chosen in a cycle of its own.
        """
        plan = self._plan
        banks = plan.table_banks
        bank_depth = len(init) if banks == 1 else plan.TABLE_BANK_DEPTH
        style, behind = ("block", 1) if plan.table_in_block_ram else ("logic", 0)
        words: list[Value] = []
        for bank in range(banks):
            rows = ConstantTable(init[bank * bank_depth : (bank + 1) * bank_depth], width=width, style=style)
            m.submodules["table" if banks == 1 else f"table_{bank}"] = rows
            m.d.comb += rows.address.eq(address[: len(rows.address)])
            words.append(delayed(m, rows.data, behind, name=f"word_{bank}", reset_less=True)[-1])
        if banks == 1:
            return words[0]
        packed = Signal(width, reset_less=True)
        number = address[(bank_depth - 1).bit_length() :]
        if banks <= _MOST_INDEXED:
            chosen = delayed(m, number, 2, name="table_bank", reset_less=True)[-1]
            m.d.sync += packed.eq(Array(words)[chosen])
            return packed
        picked = [
            Mux(delayed(m, number == bank, 2, name=f"is_bank_{bank}", reset_less=True)[-1], word, 0)
            for bank, word in enumerate(words)
        ]
        m.d.sync += packed.eq(reduce(or_, picked))
        return packed

    def _accumulate(
        self,
        m: Module,
        *,
        index: int,
        product: Value,
        kernel_id: Value,
        signals: dict[str, list[Value]],
        drain: dict[str, list[Value]],
    ) -> None:
        """Read the accumulator, add and write it back, all in one cycle; drain the other bank.

        The last of ``signals`` and ``kernel_id`` come one cycle before ``product``, the last of ``drain`` together with
        it: a bank's address and its enable are chosen a cycle ahead, so that each memory hangs on registers of its own.
        Nothing is in flight between a read and its write, so no hazard has to be met: neither the same kernel id twice
        in a row, nor a bank whose clearing or adding has only just ended. Each bank has an adder, since one that
        clears as well costs no more than the choice of what is written.
        """
        width = self._table.accumulator_width
        depth = max(2, self._plan.kernels_per_set)
        valid, bank = (signals[name][-1] for name in ("valid", "bank"))
        reads = []
        for number in range(2):
            memory = m.submodules[f"bank_{index}_{number}"] = Memory(shape=signed(width), depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            drains, enable = (Signal(name=f"{name}_{index}_{number}") for name in ("drains", "enable"))
            address = Signal.like(read.addr, name=f"address_{index}_{number}", reset_less=True)
            drains_next = drain["drain"][-2] & (drain["drain_bank"][-2] == number)
            m.d.sync += [
                drains.eq(drains_next),
                enable.eq(drains_next | (valid & (bank == number))),
                address.eq(Mux(drains_next, drain["drain_kid"][-2], kernel_id)),
            ]
            add = m.submodules[f"add_{index}_{number}"] = AddOrClear(width)
            m.d.comb += [
                read.addr.eq(address),
                add.clear.eq(drains),
                add.a.eq(read.data),
                add.b.eq(product),
                write.en.eq(enable),
                write.addr.eq(address),
                write.data.eq(add.o),
            ]
            reads.append(read.data)
        next_sum = Signal(self.next_sums[index].shape(), name=f"next_sum_{index}", reset_less=True)
        if self._sum_width:
            pass_on = m.submodules[f"pass_on_{index}"] = ChooseAndAdd(len(next_sum))
            m.d.comb += [
                pass_on.choice.eq(drain["drain_bank"][-1]),
                pass_on.a0.eq(reads[0]),
                pass_on.a1.eq(reads[1]),
                pass_on.b.eq(self.sums[index]),
            ]
            m.d.sync += next_sum.eq(pass_on.o)
        else:
            m.d.sync += next_sum.eq(Mux(drain["drain_bank"][-1], reads[1], reads[0]))
        m.d.comb += self.next_sums[index].eq(next_sum)

"""Brings drained results, which come in the order of sets and kernel ids, back to channel order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.plan.cost import ram_style
from cs_hdl.rtl.primitives.constant_table import ConstantTable
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width, value_shape, values_layout

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["Reorder"]


class Reorder(wiring.Component):
    """A buffer of ``slots`` output positions, written by set and kernel id, read by channel.

    Parameters
    ----------
    places: for each channel, the column (set) and the address within it where its value arrives.
    columns, depth: values that arrive at once, and addresses of a column.
    slots: positions held; lanes: values of a beat of the output; dtype: of a value.
    table_in_block_ram: where the table of places is, which takes a cycle more; the values, then, mostly are as well,
        and take one more, too.

    Members
    -------
    write: ``valid``, ``address`` and one value a column; address ``depth - 1`` ends a position. It is
        never refused: a place is taken beforehand with ``reserve`` while ``slot_free``.
    o: ``values_layout(dtype, lanes)``, ``ceil(channels / lanes)`` beats a position.

    The first beat of a position is valid 4 cycles after its last write (6 with ``table_in_block_ram``); one
    beat a cycle. A slot is free again once the values of its last beat have been read.
    """

    def __init__(
        self,
        *,
        places: Sequence[tuple[int, int]],
        columns: int,
        depth: int,
        slots: int,
        lanes: int,
        dtype: str,
        table_in_block_ram: bool = False,
    ) -> None:
        if not 1 <= lanes <= len(places):
            raise ValueError(f"lanes must be 1..{len(places)}, not {lanes!r}")
        self._places, self._columns, self._depth = tuple(places), columns, depth
        self._slots, self._lanes, self._dtype = slots, lanes, dtype
        self._table_in_block_ram = table_in_block_ram
        super().__init__(
            {
                "write": In(
                    data.StructLayout(
                        {
                            "valid": 1,
                            "address": index_width(depth),
                            "values": data.ArrayLayout(value_shape(dtype), columns),
                        }
                    )
                ),
                "slot_free": Out(1, init=1),
                "reserve": In(1),
                "o": Out(stream.Signature(values_layout(dtype, lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = -(-len(self._places) // self._lanes)
        written, fetched = Signal(), Signal()  # a position is complete; a position has been read
        reserved, complete = Signal(range(self._slots + 1)), Signal(range(self._slots + 1))
        m.d.comb += written.eq(self.write.valid & (self.write.address == self._depth - 1))
        freed = Signal()  # the values of its last beat have been read
        # `slot_free` is a register: what is decided by it is far away. `reserve` comes late, and only chooses.
        left = reserved - freed
        m.d.sync += [
            reserved.eq(Mux(self.reserve, left + 1, left)),
            self.slot_free.eq(Mux(self.reserve, left + 1 != self._slots, left != self._slots)),
            complete.eq(complete + written - fetched),
        ]
        write_slot, read_slot = self._slot(m, "write_slot", written), self._slot(m, "read_slot", fetched)

        # Stages that move together: the addresses of a beat (two, if in block RAM), what all columns have there, its
        # values.
        move, beat = Signal(), Signal(range(max(beats, 2)))
        last = Signal()
        cycles = self._read_cycles
        pending = delayed(m, complete != 0, cycles, name="pending", enable=move)[-1]
        pending_last = delayed(m, last, cycles, name="pending_last", enable=move)[-1]
        read = delayed(m, pending, cycles, name="read", enable=move)[-1]
        m.d.comb += [
            freed.eq(move & pending & pending_last),
            move.eq(self.o.ready | ~self.o.valid),
            last.eq(beat == beats - 1),
            fetched.eq(move & (complete != 0) & last),
        ]
        with m.If(move):
            m.d.sync += self.o.valid.eq(read)
            with m.If(complete != 0):
                m.d.sync += beat.eq(beat + 1)
                with m.If(last):
                    m.d.sync += beat.eq(0)
        for lane in range(self._lanes):
            self._lane(m, lane=lane, beat=beat, move=move, write_slot=write_slot, read_slot=read_slot)
        return m

    @property
    def _read_cycles(self) -> int:
        """Steps in which a beat's places are looked up, and again in which the columns are read there: block RAM is
        slow, and has a register behind it."""
        return 2 if self._table_in_block_ram else 1

    def _slot(self, m: Module, name: str, step: Value) -> Signal:
        slot = Signal(range(max(self._slots, 2)), name=name)
        with m.If(step):
            m.d.sync += slot.eq(slot + 1)
            with m.If(slot == self._slots - 1):
                m.d.sync += slot.eq(0)
        return slot

    def _look_up(
        self, m: Module, *, lane: int, beat: Value, move: Value, used: list[int], channels: list[int]
    ) -> tuple[Signal, Signal, Signal]:
        """Registers: which of the columns, the address in it, and whether the beat has no channel here."""
        select = Signal(range(max(len(used), 2)), name=f"select_{lane}", reset_less=True)
        address = Signal(index_width(self._depth), name=f"address_{lane}", reset_less=True)
        absent = Signal(name=f"absent_{lane}", reset_less=True)
        places = [(used.index(column), place) for column, place in (self._places[channel] for channel in channels)]
        if self._table_in_block_ram:
            beats = -(-len(self._places) // self._lanes)
            width = len(select) + len(address) + 1
            rows = [column | place << len(select) for column, place in places]
            rows += [1 << (width - 1)] * (beats - len(rows))
            m.submodules[f"table_{lane}"] = table = ConstantTable(rows, width=width, style="block")
            m.d.comb += [table.address.eq(beat), table.en.eq(move)]
            with m.If(move):
                m.d.sync += Cat(select, address, absent).eq(table.data)
            return select, address, absent
        with m.If(move):
            m.d.sync += absent.eq(1)
            with m.Switch(beat):
                for index, (column, place) in enumerate(places):
                    with m.Case(index):
                        m.d.sync += [select.eq(column), address.eq(place), absent.eq(0)]
        return select, address, absent

    def _lane(self, m: Module, *, lane: int, beat: Value, move: Value, write_slot: Value, read_slot: Value) -> None:
        """One lane has a copy of each column that any of its channels comes from."""
        address_width = index_width(self._depth)
        channels = list(range(lane, len(self._places), self._lanes))
        used = sorted({self._places[channel][0] for channel in channels})
        select, address, absent = self._look_up(m, lane=lane, beat=beat, move=move, used=used, channels=channels)
        cycles = self._read_cycles
        slot = delayed(m, read_slot, cycles, name=f"slot_{lane}", enable=move, reset_less=True)[-1]
        select, absent = (
            delayed(m, signal, cycles, name=f"fetched_{name}_{lane}", enable=move, reset_less=True)[-1]
            for name, signal in (("select", select), ("absent", absent))
        )
        value = self.o.p.values[lane]
        with m.If(move):
            m.d.sync += value.eq(0)
        for number, column in enumerate(used):
            shape, depth = value_shape(self._dtype), self._slots << address_width
            # A slot that is written is not read. With the register behind it Yosys might take either kind of memory;
            # block RAM is for what it does not waste.
            style = ram_style(depth, shape.width)
            memory = m.submodules[f"memory_{lane}_{column}"] = Memory(
                shape=shape, depth=depth, init=[], attrs={"ram_style": style, "no_rw_check": 1}
            )
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(self.write.valid),
                write.addr.eq((write_slot << address_width) | self.write.address),
                write.data.eq(self.write.values[column]),
                read.addr.eq((slot << address_width) | address),
            ]
            stored = delayed(m, read.data, cycles, name=f"stored_{lane}_{column}", enable=move, reset_less=True)[-1]
            with m.If(move & ~absent & (select == number)):
                m.d.sync += value.eq(stored)

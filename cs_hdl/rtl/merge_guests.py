"""Merges the partial sums of kernels that span two set columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.streams import index_width

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MergeGuests"]


class MergeGuests(wiring.Component):
    """``o[c] = i[c] + i[c + 1]`` where column ``c + 1`` (the first one behind the last) drains a guest, else ``i[c]``.

    Parameters
    ----------
    guests: for each column, the addresses at which its sum belongs to the column before.
    depth: addresses of a column; width: bits of a sum.

    Members
    -------
    i, address: the sums of all columns and where they were drained; o: one bit wider, 2 cycles later.

    Latency 2 cycles, initiation interval 1.
    """

    def __init__(self, *, guests: Sequence[Sequence[int]], depth: int, width: int) -> None:
        if any(not 0 <= address < depth for own in guests for address in own):
            raise ValueError(f"guests {guests!r} must have addresses of 0..{depth - 1}")
        self._guests, self._depth, self._width = [frozenset(own) for own in guests], depth, width
        super().__init__(
            {
                "i": In(data.ArrayLayout(signed(width), len(guests))),
                "address": In(index_width(depth)),
                "o": Out(data.ArrayLayout(signed(width + 1), len(guests))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = len(self._guests)
        flags = [
            sum((address in own) << column for column, own in enumerate(self._guests)) for address in range(self._depth)
        ]
        table = m.submodules.table = Memory(shape=columns, depth=max(2, self._depth), init=flags)
        read = table.read_port()
        m.d.comb += read.addr.eq(self.address)
        held = Signal.like(self.i, reset_less=True)
        m.d.sync += held.eq(self.i)
        for column in range(columns):
            after = (column + 1) % columns
            own = Signal(signed(self._width + 1), name=f"merged_{column}", reset_less=True)
            if self._guests[after]:
                m.d.sync += own.eq(held[column] + Mux(read.data[after], held[after], 0))
            else:
                m.d.sync += own.eq(held[column])
            m.d.comb += self.o[column].eq(own)
        return m

"""The reorder buffer, written by lanes that keep to its contract: every position comes out whole, in channel order."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from prover import Proof, Refuted, always, assumed, constant, prove
from slow import quick_first
from streams import lasting, outputs_of_followed, unchanging

from cs_hdl.rtl.reorder import Reorder


class Positions(Elaboratable):
    """A writer that reserves when it may and writes each position's addresses in any order, the last one last.

    With ``no_rest`` it also claims, wrongly, that nothing rests for long enough after the followed position.
    """

    def __init__(
        self,
        *,
        places: list[tuple[int, int]],
        columns: int,
        depth: int,
        slots: int,
        lanes: int,
        no_rest: bool = False,
    ) -> None:
        self._places, self._columns, self._depth, self._slots, self._lanes = places, columns, depth, slots, lanes
        self._dut = Reorder(places=places, columns=columns, depth=depth, slots=slots, lanes=lanes, dtype="uint8")
        self._follow, self._no_rest = Signal(name="follow"), no_rest

    @property
    def ports(self) -> list[Any]:
        return [self._dut.write, self._dut.reserve, self._dut.o.ready, self._follow]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, depth, slots = self._dut, self._depth, self._slots
        m.submodules.dut = dut
        beats = -(-len(self._places) // self._lanes)
        unchanging(m, dut.o.valid, dut.o.ready, dut.o.payload, say=always)
        last, given = Signal(), Signal()
        to_write, written = Signal(range(slots + 1)), Signal(depth)  # positions reserved; addresses of this one
        m.d.comb += [
            last.eq(dut.write.valid & (dut.write.address == depth - 1)),
            given.eq(dut.o.valid & dut.o.ready),
            assumed(~dut.reserve | dut.slot_free),
            assumed(~dut.write.valid | ((to_write != 0) & (dut.write.address < depth))),
            assumed(~last | written[: depth - 1].all()),
            always(to_write <= slots),
        ]
        m.d.sync += to_write.eq(to_write + dut.reserve - last)
        with m.If(dut.write.valid):
            one = Cat(dut.write.address == address for address in range(depth))
            m.d.sync += written.eq(Mux(last, 0, written | one))
        owed = Signal(range((slots + 2) * beats + 1))
        m.d.sync += owed.eq(owed + Mux(last, beats, 0) - given)
        m.d.comb += [always((owed != 0) | ~dut.o.valid), always(owed <= (slots + 1) * beats)]
        number = self._followed(m, last=last, given=given, owed=owed, fresh=written == 0, beats=beats)
        rests = ~dut.write.valid & dut.o.ready & ~dut.reserve
        ended = lasting(m, rests, slots * beats + 4, "rests")
        m.d.comb += always(~ended | ((owed == 0) & ((to_write == slots) | dut.slot_free)))
        if self._no_rest:
            m.d.comb += always(~(ended & (number == beats)))
        return m

    def _followed(self, m: Module, *, last: Value, given: Value, owed: Value, fresh: Value, beats: int) -> Signal:
        """From its first write on, the followed position's values are unknown constants; gives how many of its beats
        came out."""
        dut = self._dut
        values = [
            [constant(m, 8, f"value_{address}_{column}") for column in range(self._columns)]
            for address in range(self._depth)
        ]
        chosen, entering, complete, begins = Signal(), Signal(), Signal(), Signal()
        m.d.comb += begins.eq(dut.write.valid & fresh & self._follow & ~chosen)
        with m.If(begins):
            m.d.sync += chosen.eq(1)
        with m.If(dut.write.valid):
            m.d.sync += entering.eq((begins | entering) & ~last)
        mine_in = begins | entering
        for address, row in enumerate(values):
            for column, value in enumerate(row):
                hit = dut.write.valid & mine_in & (dut.write.address == address)
                m.d.comb += assumed(~hit | (dut.write.values[column] == value))
        start = Signal()
        m.d.comb += start.eq(last & mine_in)
        with m.If(start):
            m.d.sync += complete.eq(1)
        number, mine = outputs_of_followed(m, start=start, started=complete, owed=owed, given=given, beats=beats)
        with m.If(mine):
            for beat in range(beats):
                for lane in range(self._lanes):
                    channel = beat * self._lanes + lane
                    expected: Value = Const(0, 8)
                    if channel < len(self._places):
                        column, address = self._places[channel]
                        expected = values[address][column]
                    m.d.comb += always((number != beat) | (dut.o.payload.values[lane] == expected))
        return number


SIZES = [
    ([(0, 0), (1, 0)], 2, 1, 2, 1, 12),
    ([(1, 0), (0, 1), (0, 0)], 2, 2, 2, 2, 18),
    ([(0, 2), (0, 0), (0, 1)], 1, 3, 3, 1, 20),
]
NAMES = ("places", "columns", "depth", "slots", "lanes", "bound")


@pytest.mark.parametrize(NAMES, quick_first(SIZES, 1))
def test_positions_come_out_whole(places, columns, depth, slots, lanes, bound, tmp_path):
    harness = Positions(places=places, columns=columns, depth=depth, slots=slots, lanes=lanes)
    prove(harness, harness.ports, tmp_path, name="reorder", proof=Proof(depth=bound))


@pytest.mark.parametrize(NAMES, quick_first(SIZES, 1))
def test_the_bound_is_long_enough(places, columns, depth, slots, lanes, bound, tmp_path):
    harness = Positions(places=places, columns=columns, depth=depth, slots=slots, lanes=lanes, no_rest=True)
    with pytest.raises(Refuted):
        prove(harness, harness.ports, tmp_path, name="reorder", proof=Proof(depth=bound))

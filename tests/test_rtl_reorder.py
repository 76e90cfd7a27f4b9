"""The reorder buffer: written by set and kernel id as the lanes drain, read by channel."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from cs_hdl.rtl.reorder import Reorder

# channels, columns, addresses of a column, slots, values a beat
SIZES = [(1, 1, 1, 1, 1), (5, 1, 5, 2, 1), (7, 3, 3, 2, 2), (12, 4, 3, 1, 12), (13, 2, 7, 3, 4), (6, 6, 1, 4, 1)]


class Driver:
    """Reserves whenever it may, writes position after position, and reads; one cycle at a time."""

    def __init__(self, dut, places, *, columns, depth, count, seed, wait, stall):
        self.dut, self.places, self.columns, self.depth = dut, places, columns, depth
        self.rng, self.wait, self.stall = random.Random(seed), wait, stall
        self.values = np.random.default_rng(seed).integers(0, 256, (count, depth, columns))
        self.written, self.order, self.last_writes = 0, [], []
        self.reserved, self.outputs, self.out_cycles = 0, [], []
        self.cycle, self.waiting = 0, None

    def _addresses(self):
        """All addresses of a position in any order, the last one last."""
        if not self.order and self.written < self.reserved:
            self.order = [*self.rng.sample(range(self.depth - 1), self.depth - 1), self.depth - 1]
        return self.order

    async def step(self, ctx):
        dut, count = self.dut, len(self.values)
        writing = bool(self._addresses()) and self.rng.random() >= self.wait
        ctx.set(dut.write.valid, writing)
        address = self.order[0] if writing else self.rng.randrange(self.depth)
        ctx.set(dut.write.address, address)
        for column in range(self.columns):
            value = int(self.values[self.written, address, column]) if writing else self.rng.randrange(256)
            ctx.set(dut.write.values[column], value)
        if writing:
            self.order.pop(0)
            if address == self.depth - 1:
                self.written += 1
                self.last_writes.append(self.cycle)
        ready = self.rng.random() >= self.stall
        ctx.set(dut.o.ready, ready)
        reserve = ctx.get(dut.slot_free) and self.reserved < count and self.rng.random() >= self.wait
        ctx.set(dut.reserve, reserve)
        self.reserved += bool(reserve)
        beat = list(ctx.get(dut.o.payload.values)) if ctx.get(dut.o.valid) else None
        if self.waiting is not None:
            assert beat == self.waiting, f"cycle {self.cycle}: the beat changed before it was taken"
        self.waiting = None if ready else beat
        if ready and beat is not None:
            self.outputs.append(beat)
            self.out_cycles.append(self.cycle)
        await ctx.tick()
        self.cycle += 1

    def expected(self, lanes):
        channels = [[int(position[address, column]) for column, address in self.places] for position in self.values]
        spare = [0] * (-len(self.places) % lanes)
        return [(row + spare)[first : first + lanes] for row in channels for first in range(0, len(row), lanes)]


def run(channels, columns, depth, slots, lanes, *, count=9, wait=0.0, stall=0.0, disturb=0, seed=1, block=False):
    every = [(column, address) for column in range(columns) for address in range(depth)]
    places = random.Random(channels).sample(every, channels)
    dut = Reorder(
        places=places,
        columns=columns,
        depth=depth,
        slots=slots,
        lanes=lanes,
        dtype="uint8",
        table_in_block_ram=block,
    )
    reset = Signal()
    options = {"columns": columns, "depth": depth, "count": count, "wait": wait, "stall": stall}
    before = Driver(dut, places, seed=seed + 1, **options)
    driver = Driver(dut, places, seed=seed, **options)

    async def bench(ctx):
        if disturb:
            for _ in range(disturb):
                await before.step(ctx)
            ctx.set(dut.write.valid, 0)
            ctx.set(dut.reserve, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        expected = driver.expected(lanes)
        while len(driver.outputs) < len(expected):
            await driver.step(ctx)
            assert driver.cycle < 3000, f"{len(driver.outputs)} of {len(expected)} beats came"
        for _ in range(30):
            await driver.step(ctx)
        assert driver.outputs == expected

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return driver


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("channels, columns, depth, slots, lanes", SIZES)
def test_full_rate(channels, columns, depth, slots, lanes, block):
    driver, beats = run(channels, columns, depth, slots, lanes, block=block), -(-channels // lanes)
    assert driver.out_cycles[0] == driver.last_writes[0] + (6 if block else 4)
    for first in range(0, len(driver.out_cycles), beats):
        start = driver.out_cycles[first]
        assert driver.out_cycles[first : first + beats] == list(range(start, start + beats))


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("channels, columns, depth, slots, lanes", SIZES)
@pytest.mark.parametrize("wait, stall, disturb", [(0.3, 0.0, 0), (0.0, 0.7, 0), (0.3, 0.3, 23), (0.0, 0.9, 0)])
def test_pauses_and_resets(channels, columns, depth, slots, lanes, wait, stall, disturb, block):
    run(channels, columns, depth, slots, lanes, wait=wait, stall=stall, disturb=disturb, block=block)


@pytest.mark.parametrize("lanes", [0, 3])
def test_lanes_beyond_the_channels_are_refused(lanes):
    with pytest.raises(ValueError, match=rf"lanes must be 1\.\.2, not {lanes}"):
        Reorder(places=[(0, 0), (0, 1)], columns=1, depth=2, slots=1, lanes=lanes, dtype="uint8")

"""Partial sums of kernels that span two columns."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from cs_hdl.rtl.merge_guests import MergeGuests


@pytest.mark.parametrize("columns, depth, width", [(1, 3, 5), (2, 1, 9), (3, 7, 20), (5, 16, 12)])
def test_guests_are_added_to_the_column_before(columns, depth, width):
    rng = np.random.default_rng(columns)
    guests = [sorted(rng.choice(depth, rng.integers(0, depth + 1), replace=False).tolist()) for _ in range(columns)]
    dut = MergeGuests(guests=guests, depth=depth, width=width)
    low, high = -(1 << width - 1), 1 << width - 1
    sums = rng.integers(low, high, (60, columns))
    sums[0], sums[1] = low, high - 1
    addresses = rng.integers(0, depth, 60)

    async def bench(ctx):
        outputs = []
        for cycle in range(len(sums) + 2):
            number = min(cycle, len(sums) - 1)
            for column in range(columns):
                ctx.set(dut.i[column], int(sums[number, column]))
            ctx.set(dut.address, int(addresses[number]))
            outputs.append([ctx.get(dut.o[column]) for column in range(columns)])
            await ctx.tick()
        for cycle, address in enumerate(addresses.tolist()):
            expected = [
                sums[cycle, c] + (sums[cycle, (c + 1) % columns] if address in guests[(c + 1) % columns] else 0)
                for c in range(columns)
            ]
            assert outputs[cycle + 2] == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_addresses_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"must have addresses of 0\.\.2"):
        MergeGuests(guests=[[3], []], depth=3, width=4)

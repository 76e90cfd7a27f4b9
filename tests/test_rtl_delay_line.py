"""The delay line against a list of what went in: steps that pause, and a reset in the middle."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import ResetInserter, Signal, signed
from amaranth.sim import Simulator

from cs_hdl.rtl.primitives.delay_line import DelayLine


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_gives_what_came_in_length_steps_ago(length, pause):
    dut = DelayLine(shape=signed(9), length=length)
    reset, rng = Signal(), random.Random(length)

    async def bench(ctx):
        for _ in range(3):  # runs, with a reset before each but the first
            history: list[int] = []
            for _ in range(5 * length + 9):
                assert ctx.get(dut.filled) == (len(history) >= length)
                if len(history) >= length:
                    assert ctx.get(dut.o) == history[-length]
                value, step = rng.randrange(-256, 256), rng.random() >= pause
                ctx.set(dut.i, value)
                ctx.set(dut.en, step)
                if step:
                    history.append(value)
                await ctx.tick()
            # A reset takes effect whether a step is made or not.
            ctx.set(reset, 1)
            ctx.set(dut.en, rng.random() < 0.5)
            await ctx.tick()
            ctx.set(reset, 0)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_no_length_is_refused():
    with pytest.raises(ValueError, match="length must be at least 1, not 0"):
        DelayLine(shape=8, length=0)

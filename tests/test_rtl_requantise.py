"""Bias and scale against their definition, for every accumulator of a range."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from cs_hdl.fixedpoint import requantise
from cs_hdl.rtl.requantise import Requantiser


def results(dut, values, addresses):
    """What ``dut`` gives for ``values`` at ``addresses``, one a cycle, with an enable that pauses now and then."""
    rng = np.random.default_rng(0)
    taken = []

    async def bench(ctx):
        for value, address in zip([*values, *[0] * dut.latency], [*addresses, *[0] * dut.latency], strict=True):
            ctx.set(dut.en, 0)
            while rng.random() < 0.2:
                ctx.set(dut.i, int(rng.integers(-4, 4)))
                await ctx.tick()
            ctx.set(dut.en, 1)
            ctx.set(dut.i, int(value))
            ctx.set(dut.address, int(address))
            await ctx.tick()
            taken.append(ctx.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return taken[dut.latency - 1 :][: len(values)]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    "multiplier, shift", [(1, 0), (1, 1), (1, 4), (1, 9), (2, 5), (8, 1), (4, 0), (3, 2), (77, 9), (65535, 16), (1, 14)]
)
def test_every_accumulator(dtype, multiplier, shift):
    low, high = -1100, 1100
    dut = Requantiser(low=low, high=high, biases=[-37], multipliers=[multiplier], shifts=[shift], dtype=dtype)
    values = np.arange(low, high + 1)
    expected = requantise(values - 37, multiplier, shift, dtype)
    assert results(dut, values, np.zeros_like(values)) == expected.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_tables_by_address(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9))
    biases = rng.integers(-5000, 5000, count)
    multipliers = rng.integers(1, 65536, count) if seed % 2 else np.ones(count, dtype=int)
    shifts = rng.integers(10, 26, count) if seed % 2 else rng.integers(3, 7, count)
    low, high = -90000, 70000
    dut = Requantiser(
        low=low,
        high=high,
        biases=biases.tolist(),
        multipliers=multipliers.tolist(),
        shifts=shifts.tolist(),
        dtype="uint8",
    )
    values = np.concatenate([[low, high], rng.integers(low, high + 1, 300)])
    addresses = rng.integers(0, count, len(values))
    expected = requantise(values + biases[addresses], multipliers[addresses], shifts[addresses], "uint8")
    assert results(dut, values, addresses) == expected.tolist()


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    "multiplier, shift", [(1, 0), (65535, 0), (1, 47), (65535, 47), (32768, 31), (1, 24), (40503, 40), (3, 1)]
)
def test_the_widest_accumulators(dtype, multiplier, shift):
    low, high = -(2**31), 2**31 - 1
    rng = np.random.default_rng(shift)
    # The ends, what is near 0, and what lies at and beside the ties of results within the range.
    ties = (((2 * np.arange(-140, 270) + 1) << shift) // (2 * multiplier)).clip(low + 1, high - 1)
    values = np.concatenate([[low, high], np.arange(-5, 6), ties - 1, ties, ties + 1, rng.integers(low, high, 100)])
    dut = Requantiser(low=low, high=high, biases=[0], multipliers=[multiplier], shifts=[shift], dtype=dtype)
    expected = requantise(values, multiplier, shift, dtype)
    assert results(dut, values, np.zeros_like(values)) == expected.tolist()


def test_latency_is_three_for_shifts_and_six_for_multipliers():
    options = {"low": -8, "high": 7, "biases": [0, 1], "dtype": "uint8"}
    assert Requantiser(multipliers=[2, 4], shifts=[1, 2], **options).latency == 3
    assert Requantiser(multipliers=[1, 1], shifts=[1, 2], **options).latency == 6
    assert Requantiser(multipliers=[3, 3], shifts=[1, 1], **options).latency == 6


def test_without_a_scale_the_sum_is_exact():
    dut = Requantiser(low=-8, high=7, biases=[100, -100], multipliers=[], shifts=[], dtype="int16")
    assert dut.latency == 2
    assert results(dut, [7, -8, 3], [0, 1, 1]) == [107, -108, -97]


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="2 biases, 1 multipliers and 1 shifts do not fit"):
        Requantiser(low=0, high=1, biases=[0, 0], multipliers=[1], shifts=[1], dtype="uint8")

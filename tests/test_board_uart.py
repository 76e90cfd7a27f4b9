# amaranth: UnusedElaboratable=no
"""The serial port's two halves, against lines that are driven and read bit by bit."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from cs_hdl.board.uart import UartReceiver, UartTransmitter


def simulate(dut, *testbenches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for index, testbench in enumerate(testbenches):
        simulator.add_testbench(testbench, background=index > 0)
    simulator.run()


def bits_of(byte):
    return [0, *((byte >> i) & 1 for i in range(8)), 1]


@pytest.mark.parametrize(("clocks", "sender"), [(8, 8), (25, 25), (25, 26), (25, 24), (217, 217)])
def test_receives_every_byte_with_a_clock_that_is_a_little_off(clocks, sender):
    dut = UartReceiver(clocks_per_bit=clocks)
    choose = random.Random(clocks)
    data = bytes(choose.randrange(256) for _ in range(30)) + b"\x00\xff\x55"
    received = bytearray()

    async def line(ctx):
        for byte in data:
            for bit in bits_of(byte):
                ctx.set(dut.rx, bit)
                await ctx.tick().repeat(sender)
        await ctx.tick().repeat(30 * sender)
        assert received == data

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            received.extend([byte] if valid else [])

    simulate(dut, line, take)


@pytest.mark.parametrize("clocks", [8, 11, 25])
@pytest.mark.parametrize("error", [-0.02, 0.02])
def test_receives_with_a_sender_that_is_two_percent_off(clocks, error):
    """Edges fall between the clocks, as on a real line."""
    dut = UartReceiver(clocks_per_bit=clocks)
    choose = random.Random(clocks)
    data = bytes(choose.randrange(256) for _ in range(60)) + b"\x00\xff\x55"
    received = bytearray()

    async def line(ctx):
        now, bit_end = 0, 0.0
        for byte in data:
            for bit in bits_of(byte):
                ctx.set(dut.rx, bit)
                bit_end += clocks * (1 + error)
                await ctx.tick().repeat(round(bit_end) - now)
                now = round(bit_end)
        await ctx.tick().repeat(20 * clocks)
        assert received == data

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            received.extend([byte] if valid else [])

    simulate(dut, line, take)


def test_short_pulses_and_missing_stop_bits_give_nothing():
    dut = UartReceiver(clocks_per_bit=16)
    received = bytearray()

    async def line(ctx):
        for low, high in ((3, 200), (200, 400), (5, 100)):
            ctx.set(dut.rx, 0)
            await ctx.tick().repeat(low)
            ctx.set(dut.rx, 1)
            await ctx.tick().repeat(high)
        assert not received
        for bit in bits_of(0x42):
            ctx.set(dut.rx, bit)
            await ctx.tick().repeat(16)
        assert received == b"\x42"

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            received.extend([byte] if valid else [])

    simulate(dut, line, take)


def test_a_byte_that_is_not_taken_stays():
    dut = UartReceiver(clocks_per_bit=8)

    async def line(ctx):
        for byte in (1, 2):
            for bit in bits_of(byte):
                ctx.set(dut.rx, bit)
                await ctx.tick().repeat(8)
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == 1

    simulate(dut, line)


@pytest.mark.parametrize("clocks", [8, 25])
def test_transmits_with_exact_bits(clocks):
    dut = UartTransmitter(clocks_per_bit=clocks)
    data = b"\x00\xff\xa5\x01"
    levels = []

    async def give(ctx):
        for byte in data:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(15 * clocks)
        start = levels.index(0)
        assert all(levels[:start])
        expected = [bit for byte in data for bit in bits_of(byte) for _ in range(clocks)]
        # Between two bytes there may be a cycle more of the stop bit, but not less.
        position = start
        for byte in data:
            while levels[position]:
                position += 1
            assert position - start <= 1 or byte is data[0]
            frame = [bit for bit in bits_of(byte) for _ in range(clocks)]
            assert levels[position : position + len(frame)] == frame
            position = start = position + len(frame)
        assert all(levels[position:])
        assert len(expected) <= len(levels)

    async def watch(ctx):
        async for _, _, level in ctx.tick().sample(dut.tx):
            levels.append(level)

    simulate(dut, give, watch)


def test_too_few_clocks():
    with pytest.raises(TypeError, match="clocks_per_bit must be an integer of at least 8, not 7"):
        UartReceiver(clocks_per_bit=7)
    with pytest.raises(TypeError, match="at least 8"):
        UartTransmitter(clocks_per_bit=8.5)

"""Bytes from one clock to another, at all ratios of the two and with pauses on both sides."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from cs_hdl.board.byte_crossing import ByteCrossing

BYTES = 60


@pytest.mark.parametrize("source_ns, target_ns", [(10, 10), (40, 7), (7, 40), (10, 9.7), (3, 100)])
@pytest.mark.parametrize("pauses", [(0, 0), (20, 0), (0, 20), (9, 9)])
def test_bytes_arrive_once_and_in_order(source_ns, target_ns, pauses):
    crossing = ByteCrossing(source="source", target="target")
    rng = random.Random(f"{source_ns} {target_ns} {pauses}")
    sent, received, waits = [rng.randrange(256) for _ in range(BYTES)], [], []

    async def give(context):
        for byte in sent:
            await context.tick("source").repeat(rng.randint(0, pauses[0]) + 1)
            context.set(crossing.i.payload, byte)
            context.set(crossing.i.valid, 1)
            wait = 0
            while not (await context.tick("source").sample(crossing.i.ready))[2]:
                wait += 1
            waits.append(wait)
            context.set(crossing.i.valid, 0)
            # What stands there without being valid is nobody's.
            context.set(crossing.i.payload, rng.randrange(256))
        # Long enough for the last byte to be taken, and for one that nobody gave.
        await context.delay(60e-9 * (source_ns + target_ns))

    async def take(context):
        while True:
            await context.tick("target").repeat(rng.randint(0, pauses[1]) + 1)
            context.set(crossing.o.ready, 1)
            while True:
                _, _, valid, byte = await context.tick("target").sample(crossing.o.valid, crossing.o.payload)
                if valid:
                    break
            received.append(byte)
            context.set(crossing.o.ready, 0)

    simulator = Simulator(crossing)
    simulator.add_clock(source_ns * 1e-9, domain="source")
    simulator.add_clock(target_ns * 1e-9, phase=target_ns * 0.37e-9, domain="target")
    simulator.add_testbench(give)
    simulator.add_testbench(take, background=True)
    simulator.run()
    assert received == sent
    if pauses == (0, 0):
        # Ready again within 3 cycles of either domain, and one more that the bench takes.
        assert max(waits) * source_ns <= 4 * (source_ns + target_ns)

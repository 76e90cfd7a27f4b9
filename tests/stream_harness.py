"""Drives a component with one stream in (``i``) and one out (``o``) in Amaranth's simulator, and watches the rules.

Checked in every cycle: ``o.valid`` does not depend on ``o.ready``, neither falls before the beat is taken nor
does the payload change until then, nothing comes after the last result, and something moves at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ResetInserter, Shape, Signal, Value
from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Result", "run_stream"]


@dataclass(frozen=True)
class Result:
    """What a run gave.

    ``outputs`` are plain ints, lists (arrays) and dicts (structures); ``in_cycles[n]`` and ``out_cycles[n]`` are
    the cycles in which input beat n was taken and output beat n was given (cycle 0 is the first after the reset).
    """

    outputs: list[Any]
    in_cycles: list[int]
    out_cycles: list[int]


def _plain(value: Any) -> Any:
    """A simulator's constant as ints, lists and dicts."""
    if not isinstance(value, data.Const):
        return value
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [_plain(value[index]) for index in range(layout.length)]
    return {key: _plain(value[key]) for key, _ in layout}


def _decode(shape: Any, raw: int) -> Any:
    if isinstance(shape, data.Layout):
        return _plain(shape.from_bits(raw))
    width, signed = Shape.cast(shape).width, Shape.cast(shape).signed
    return raw - (1 << width) if signed and raw >> (width - 1) else raw


def run_stream(
    dut: Any,
    inputs: Sequence[Any],
    expected_count: int,
    *,
    seed: int,
    gap: float = 0.0,
    stall: float = 0.0,
    disturb: int = 0,
    patience: int = 3000,
    quiet: int = 100,
) -> Result:
    """Send ``inputs`` through ``dut`` and collect ``expected_count`` results.

    Parameters
    ----------
    dut: component with the stream ports ``i`` and ``o``.
    inputs: payloads of ``i``: ints, or whatever the payload's layout makes a constant of (dicts, lists).
    gap, stall: probability that the driver starts to pause, and that the consumer is not ready, in a cycle.
        Every other pause is a long one, so that whole buffers fill and run empty.
    disturb: cycles of random traffic before a reset of one cycle, behind which the run proper begins.
    patience: cycles without any transfer that end the run as a failure.
    quiet: cycles to wait after the last result, in which no other may come.
    """
    rng = random.Random(seed)
    reset = Signal()
    in_payload, out_payload = Value.cast(dut.i.payload), Value.cast(dut.o.payload)
    in_shape, out_shape = dut.i.payload.shape(), dut.o.payload.shape()
    if isinstance(in_shape, data.Layout):
        raw_inputs = [Value.cast(in_shape.const(item)).value for item in inputs]
    else:
        mask = (1 << Shape.cast(in_shape).width) - 1
        raw_inputs = [item & mask for item in inputs]
    out_mask = (1 << len(out_payload)) - 1
    outputs: list[Any] = []
    in_cycles: list[int] = []
    out_cycles: list[int] = []

    def paused(pause: int, probability: float) -> int:
        """Cycles that are left of a pause; the start of a new one is drawn where there is none."""
        if pause or rng.random() >= probability:
            return max(0, pause - 1)
        return rng.choice((1, rng.randint(2, 12)))

    async def disturbance(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for cycle in range(disturb):
            ctx.set(in_payload, raw_inputs[cycle % len(raw_inputs)] ^ rng.getrandbits(1))
            ctx.set(dut.i.valid, rng.random() < 0.8)
            ctx.set(dut.o.ready, rng.random() < 0.8)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)

    async def testbench(ctx: Any) -> None:
        if disturb:
            await disturbance(ctx)
        cycle = last_move = in_pause = out_pause = 0
        offering = False
        waiting: int | None = None
        while len(in_cycles) < len(raw_inputs) or len(outputs) < expected_count or cycle < last_move + quiet:
            in_pause = 0 if offering else paused(in_pause, gap)
            out_pause = paused(out_pause, stall)
            offering = len(in_cycles) < len(raw_inputs) and not in_pause
            ctx.set(dut.i.valid, offering)
            # What is not valid is rubbish, so that a component which takes it anyway is found out.
            ctx.set(in_payload, raw_inputs[len(in_cycles)] if offering else rng.getrandbits(len(in_payload)))
            before = ctx.get(dut.o.valid)
            accept = not out_pause
            ctx.set(dut.o.ready, accept)
            in_ready, out_valid, raw = ctx.get(dut.i.ready), ctx.get(dut.o.valid), ctx.get(out_payload) & out_mask
            assert out_valid == before, f"cycle {cycle}: o.valid depends on o.ready"
            if waiting is not None:
                assert out_valid, f"cycle {cycle}: o.valid fell before the beat was taken"
                assert raw == waiting, f"cycle {cycle}: o.payload changed before it was taken"
            waiting = raw if out_valid and not accept else None
            if offering and in_ready:
                in_cycles.append(cycle)
                last_move, offering = cycle, False
            if out_valid:
                assert len(outputs) < expected_count, f"cycle {cycle}: a result after the last of {expected_count}"
                if accept:
                    outputs.append(_decode(out_shape, raw))
                    out_cycles.append(cycle)
                    last_move = cycle
            assert cycle < last_move + patience, (
                f"nothing moved for {patience} cycles: {len(in_cycles)} of {len(raw_inputs)} beats taken, "
                f"{len(outputs)} of {expected_count} given"
            )
            await ctx.tick()
            cycle += 1

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return Result(outputs, in_cycles, out_cycles)

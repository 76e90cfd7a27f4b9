"""The emitted Verilog beside Amaranth's own simulation of the same accelerator, cycle by cycle at the ports.

What the bench cannot see, since no rule is broken by it, shows here: a stage that holds a beat less than it could, an
answer that comes a cycle later under stalls.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.sim import Simulator
from numpy.typing import NDArray
from verilator_program import verilator_command

from cs_hdl.plan.plan import Plan
from cs_hdl.rtl.accelerator import Accelerator
from cs_hdl.simulate.beats import pack_beats
from cs_hdl.simulate.environment import verilator_environment

__all__ = ["CYCLES", "Recording", "compile_replay", "record", "replay_problems"]

#: Long enough for hundreds of words, hundreds of resets and many stalls that fill the pipeline.
CYCLES = 60000
_BENCH = Path(__file__).with_name("replay.v")
_WRONG_LENGTH_EVERY, _LONG_RUN_EVERY = 12, 24


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A row a cycle, as ``replay.v`` has them: what came in and what went out, and how many bits the data has."""

    input_bits: int
    output_bits: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def record(plan: Plan, words: NDArray[Any], *, cycles: int = CYCLES, seed: int = 1) -> Recording:
    """What Amaranth's simulator makes of ``words``, taken at random, with pauses, wrong lengths and resets."""
    generator = random.Random(seed)
    dut, m = Accelerator(plan), Module()
    m.submodules.dut = dut
    m.domains.bench = ClockDomain()
    m.d.comb += dut.aclk.eq(ClockSignal("bench"))
    input_bits, output_bits = len(dut.s_axis_tdata), len(dut.m_axis_tdata)
    long = 2 * plan.latency_cycles
    inputs, outputs = [], []

    async def bench(ctx: Any) -> None:
        gaps, stalls = _pauses(generator, long), _pauses(generator, long)
        beats = _beats(plan, words, generator)
        offered: tuple[int, int] | None = None
        for cycle in range(cycles):
            # In a third of the time resets come when the pipeline has hardly filled.
            seldom = 20 + (plan.latency_cycles // 2 if cycle > cycles * 2 // 3 else 2 * long)
            running = cycle >= 2 and generator.randrange(seldom) > 0
            if not running:
                beats, offered = _beats(plan, words, generator), None
            elif offered is None and not next(gaps):
                offered = next(beats)
            tdata, tlast = offered or (0, 0)
            tready = running and not next(stalls)
            driven = (
                (dut.aresetn, running), (dut.s_axis_tvalid, offered is not None), (dut.s_axis_tlast, tlast),
                (dut.m_axis_tready, tready), (dut.s_axis_tdata, tdata),
            )  # fmt: skip
            for signal, value in driven:
                ctx.set(signal, int(value))
            inputs.append(_joined((value, len(signal)) for signal, value in driven))
            _, _, taken, valid, last, user, errors, result = await ctx.tick("bench").sample(
                dut.s_axis_tready, dut.m_axis_tvalid, dut.m_axis_tlast, dut.m_axis_tuser, dut.error_count,
                dut.m_axis_tdata,
            )  # fmt: skip
            seen = ((taken, 1), (valid, 1), (valid & last, 1), (valid & user, 1), (errors, 16))
            outputs.append(_joined((*seen, (valid * result, output_bits))))
            if taken and offered is not None:
                offered = None

    simulator = Simulator(m)
    simulator.add_clock(1e-8, domain="bench")
    simulator.add_testbench(bench)
    simulator.run()
    return Recording(input_bits=input_bits, output_bits=output_bits, inputs=tuple(inputs), outputs=tuple(outputs))


def compile_replay(design: Path, recording: Recording, folder: Path) -> None:
    """Compile ``design`` (a Verilog file whose top is ``cs_accelerator``) for ``replay_problems`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("inputs", recording.inputs), ("outputs", recording.outputs)):
        (folder / f"{name}.hex").write_text("".join(f"{row:x}\n" for row in rows))
    defines = {
        "ACCELERATOR": "cs_accelerator", "ROWS": len(recording.inputs),
        "INPUT_BITS": recording.input_bits, "OUTPUT_BITS": recording.output_bits,
    }  # fmt: skip
    flags = ("-CFLAGS", "-O1", *(f"-D{name}={value}" for name, value in defines.items()))
    command = verilator_command([str(_BENCH), str(design.resolve())], top="replay", program="replay", flags=flags)
    result = subprocess.run(
        command, cwd=folder, env=verilator_environment(), capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"verilator failed on {design}:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")


def replay_problems(folder: Path, *plusargs: str) -> tuple[str, ...]:
    """In which cycle the outputs are first other than Amaranth's; nothing where they never are."""
    result = subprocess.run(["obj_dir/replay", *plusargs], cwd=folder, capture_output=True, text=True, check=False)
    if "converge" in result.stdout + result.stderr:
        return ("the logic never settles",)
    found = re.search(r"(equal|differs) in (?:cycle )?(\d+)", result.stdout)
    if found is None:
        raise RuntimeError(f"{folder}: the replay ended without a result:\n{result.stdout}{result.stderr}")
    return () if found[1] == "equal" else (f"cycle by cycle: not as Amaranth simulates it in cycle {found[2]}",)


def _beats(plan: Plan, words: NDArray[Any], generator: random.Random) -> Iterator[tuple[int, int]]:
    """(tdata, tlast) of one beat after the other, of random words without end; some are too short, some too long."""
    packed = pack_beats(words, dtype=plan.network.input.dtype, values_per_beat=plan.input_lanes, beats=plan.input_beats)
    while True:
        word = packed[generator.randrange(len(packed))]
        length = len(word)
        if not generator.randrange(_WRONG_LENGTH_EVERY):
            length = generator.randrange(1, 2 * len(word) + 1)
        for beat in range(length):
            yield int.from_bytes(bytes(word[beat % len(word)]), "little"), int(beat == length - 1)


def _pauses(generator: random.Random, long: int) -> Iterator[bool]:
    """Runs of pauses and of transfers; some are ``long`` cycles, which fills or drains all between the ports."""
    while True:
        for pause in (False, True):
            length = generator.choice((1, 1, 1, 2, 3, 7, 20)) if generator.randrange(_LONG_RUN_EVERY) else long
            for _ in range(length):
                yield pause


def _joined(fields: Iterable[tuple[int, int]]) -> int:
    """Fields of (value, bits), the first in the highest bits."""
    row = 0
    for value, bits in fields:
        row = row << bits | int(value)
    return row

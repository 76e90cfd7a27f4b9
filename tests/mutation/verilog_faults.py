"""Plants faults in the designs' Verilog and puts each through what a right design must pass."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cs_hdl.emit.design import write_design
from cs_hdl.errors import ToolError
from cs_hdl.network import load_network
from cs_hdl.plan.plan import load_plan
from cs_hdl.resources import data_folder
from cs_hdl.simulate.environment import find_simulator
from cs_hdl.simulate.simulate import simulate
from mutation.designs import DESIGNS, design_words
from mutation.operators import Fault
from mutation.replay import CYCLES, compile_replay, record, replay_problems
from mutation.results import Cache, Outcome
from mutation.schemata import PLUSARG, plant_all

__all__ = ["PlantedDesign", "bench_problems", "emit", "plant", "prepare_replay", "run_faults"]

_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, kw_only=True)
class PlantedDesign:
    """A design directory whose Verilog holds ``faults`` (numbered from 1); ``original`` is its right text."""

    name: str
    folder: Path
    original: str
    faults: tuple[Fault, ...]


def emit(name: str, folder: Path) -> str:
    """Write the design ``name`` to ``folder``; gives its Verilog."""
    write_design(DESIGNS[name]().plan(), folder, source="scripts/mutate")
    return (folder / "design.v").read_text()


def bench_problems(folder: Path, simulator: str, *, fault: int = 0) -> tuple[str, ...]:
    """What the bench has to say of the design: full rate, random pauses, resets amid words, wrong lengths.

    A fault that fails at full rate is not run any further.
    """
    words = _words(folder)
    for thorough in (False, True) if fault else (True,):
        try:
            result = simulate(
                folder,
                words=words,
                simulator=simulator,
                backpressure=thorough,
                wrong_lengths=thorough,
                plusargs=(f"+{PLUSARG}={fault}",),
            )
        except ToolError as error:
            # A loop without a register never settles, unknown bits end a cocotb test. All else is no verdict.
            if "converge" in str(error):
                return ("the logic never settles",)
            if re.search(r"TESTS=\d+ PASS=\d+ FAIL=[1-9]", str(error)):
                return ("unknown bits",)
            raise
        if result.problems:
            return result.problems
    return ()


def plant(name: str, right: Path, faults: Iterable[Fault], folder: Path) -> PlantedDesign:
    """Copy the design directory ``right`` to ``folder`` with ``faults`` in it; what was compiled there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in right.iterdir():
        if path.is_file() and path.name != "simulation.json":
            shutil.copyfile(path, folder / path.name)
    original = (right / "design.v").read_text()
    planted = PlantedDesign(name=name, folder=folder, original=original, faults=tuple(faults))
    (folder / "design.v").write_text(plant_all(original, dict(enumerate(planted.faults, 1))))
    return planted


def run_faults(
    designs: Iterable[PlantedDesign], *, simulator: str, jobs: int, cache: Cache, progress: Callable[[str], None]
) -> Iterator[Outcome]:
    """One outcome for each fault, in any order; those in ``cache`` come first, and no others with 0 jobs."""
    bench = _bench_digest(simulator)
    for design in designs:
        words = hashlib.sha256(_words(design.folder).tobytes()).hexdigest()
        waiting = []
        for number, fault in enumerate(design.faults, 1):
            key = _digest(bench, design.original, words, str(fault.statement.line), fault.operator, fault.now)
            known = cache.get(key)
            if known is None:
                waiting.append((number, fault, key))
            else:
                yield known
        if waiting and jobs:
            yield from _run(design, waiting, simulator, jobs, cache, progress)


def _run(
    design: PlantedDesign,
    waiting: list[tuple[int, Fault, str]],
    simulator: str,
    jobs: int,
    cache: Cache,
    progress: Callable[[str], None],
) -> Iterator[Outcome]:
    progress(f"{design.name}: compiling, with {len(design.faults)} faults")
    problems = bench_problems(design.folder, simulator)
    if problems:
        raise SystemExit(f"{design.name} fails without any fault:\n" + "\n".join(problems))
    replay = prepare_replay(design)

    def problems_of(number: int) -> tuple[str, ...]:
        # What the bench passes is no fault that a user would see at once; Amaranth's simulation is more exact.
        return bench_problems(design.folder, simulator, fault=number) or replay_problems(replay, f"+{PLUSARG}={number}")

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(problems_of, number): (fault, key) for number, fault, key in waiting}
        try:
            for future in as_completed(futures):
                fault, key = futures[future]
                outcome = Outcome(
                    design=design.name,
                    place=fault.place.lstrip("\\"),
                    line=fault.statement.line + 1,
                    operator=fault.operator,
                    was=fault.was,
                    now=fault.now,
                    caught_by=tuple(sorted({problem.split(":")[0] for problem in future.result()})),
                )
                cache.put(key, outcome)
                yield outcome
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def prepare_replay(design: PlantedDesign, *, cycles: int = CYCLES) -> Path:
    """Record Amaranth's simulation and compile the planted Verilog beside it; gives the folder for the replay.

    SystemExit where they differ without any fault.
    """
    folder = design.folder / "replay"
    plan = load_plan(design.folder)
    recording = record(plan, np.concatenate([design_words(plan.network, seed) for seed in range(1, 21)]), cycles=cycles)
    compile_replay(design.folder / "design.v", recording, folder)
    problems = replay_problems(folder)
    if problems:
        raise SystemExit(f"{design.name} fails without any fault:\n" + "\n".join(problems))
    return folder


def _words(folder: Path) -> NDArray[Any]:
    return design_words(load_network(folder / "network.npz"))


def _bench_digest(simulator: str) -> str:
    """Changes with anything that a verdict depends on, but for the design, its words and the fault."""
    found = find_simulator(simulator)
    files = [*data_folder("sim").iterdir(), *(_ROOT / "cs_hdl" / "simulate").glob("*.py")]
    files += (_ROOT / "cs_hdl" / "golden").glob("*.py")
    files += Path(__file__).parent.glob("replay.*")
    contents = [path.read_text() for path in sorted(files) if path.suffix in (".py", ".v")]
    return _digest(found.name, found.version, *contents)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

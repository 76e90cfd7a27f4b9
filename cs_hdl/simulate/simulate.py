"""The emitted Verilog of a design directory against the golden model."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cs_hdl.emit.design import check_design
from cs_hdl.errors import InputError, ResultError
from cs_hdl.files import write_aside
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import check_input, run_dense
from cs_hdl.network import Network, load_network
from cs_hdl.simulate.beats import pack_beats, unpack_beats
from cs_hdl.simulate.bench import BenchOptions, BenchResult, WrongLengths, run_bench
from cs_hdl.simulate.environment import find_simulator

__all__ = ["SimulationResult", "check_result", "random_words", "simulate"]

#: Words over which the cycles of a word are measured at least, behind those that fill the pipeline.
_MEASURED_WORDS = 4
#: Words of the run with wrong lengths.
_WRONG_LENGTHS = 12


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """What ``simulation.json`` says (see the contract), and the outputs.

    ``cycles`` runs from the first beat taken to the last beat given of the full-rate run. With
    back-pressure its words and mismatches are counted apart, in ``back_pressure``, and so in
    ``wrong_lengths``. ``problems`` are the sentences that a person should read; empty where all is right.
    """

    words: int
    values: int
    mismatches: int
    cycles: int
    cycles_per_word: float
    latency_cycles: int
    simulator: str
    seconds: float
    seed: int
    expected_cycles_per_word: float
    expected_latency_cycles: int
    back_pressure: dict[str, int] | None
    wrong_lengths: dict[str, int] | None
    problems: tuple[str, ...]
    outputs: NDArray[Any] = field(repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The object that ``simulation.json`` holds."""
        items = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "outputs"}
        if float(self.cycles_per_word).is_integer():
            items["cycles_per_word"] = int(self.cycles_per_word)
        return items | {"problems": list(self.problems)}


def random_words(network: Network, count: int, *, seed: int) -> NDArray[Any]:
    """``count`` random words ``[count, *input shape]`` over the whole range of the input's dtype.

    The first holds only the largest value, the second only the smallest: the corners of the accumulators.
    """
    low, high = dtype_range(network.input.dtype)
    generator = np.random.default_rng(seed)
    words = generator.integers(low, high, size=(count, *network.input.shape), endpoint=True)
    words[0] = high
    if count > 1:
        words[1] = low
    return words.astype(network.input.dtype)


def simulate(
    design_dir: Path,
    *,
    words: NDArray[Any] | None = None,
    random_count: int = 20,
    simulator: str = "verilator",
    backpressure: bool = False,
    wrong_lengths: bool = False,
    waves: Path | None = None,
    seed: int = 1,
    plusargs: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda step: None,
) -> SimulationResult:
    """Run ``words`` (or ``random_count`` random ones) through the Verilog in ``design_dir``.

    Writes ``simulation.json`` there. A wrong result is no exception: see :func:`check_result`.
    ``backpressure`` adds a run with random pauses and a reset amid words, ``wrong_lengths`` one of words
    whose tlast comes early or late. ``waves`` is written as FST where its name ends in .fst, otherwise as
    VCD; ``plusargs`` reach the simulation as they are. Raises InputError
    for a folder that is no design or wrong words; ToolError where the simulator is missing or fails.
    """
    manifest = check_design(design_dir)
    network = load_network(design_dir / "network.npz")
    words = random_words(network, random_count, seed=seed) if words is None else check_input(network, words)
    if len(words) == 0:
        raise InputError("the input holds no words; at least 1 is needed")
    found = find_simulator(simulator)
    started = time.monotonic()
    progress("golden model")
    expected = run_dense(network, words)
    order = np.arange(_words_to_send(len(words), manifest)) % len(words)
    result = run_bench(
        design_dir / "design.v",
        design_dir / "manifest.json",
        sent=_pack(words[order], manifest["input"]),
        expected=_pack(expected[order], manifest["output"]),
        build_root=design_dir / "build" / "simulation",
        options=BenchOptions(simulator=found, back_pressure=backpressure, waves=waves, seed=seed, plusargs=plusargs),
        progress=progress,
        wrong=_wrong_lengths(network, manifest, words, seed) if wrong_lengths else None,
    )
    report = _report(manifest, network, result, count=len(words), simulator=f"{found.name} {found.version}", seed=seed)
    report = dataclasses.replace(report, seconds=round(time.monotonic() - started, 3))
    write_aside(design_dir / "simulation.json", json.dumps(report.as_json(), indent=2) + "\n")
    return report


def check_result(result: SimulationResult) -> None:
    """ResultError with all that is wrong in ``result``; nothing where all is right."""
    if result.problems:
        raise ResultError("\n".join(result.problems))


def _pack(words: NDArray[Any], port: dict[str, Any]) -> NDArray[np.uint8]:
    return pack_beats(words, dtype=port["dtype"], values_per_beat=port["values_per_beat"], beats=port["beats"])


def _wrong_lengths(network: Network, manifest: dict[str, Any], words: NDArray[Any], seed: int) -> WrongLengths:
    """Words of the right length, one beat, one too few, one and five too many, in random order."""
    generator, port = np.random.default_rng(seed), manifest["input"]
    beats, width = port["beats"], port["values_per_beat"]
    lengths = np.array([beats, 1, max(1, beats - 1), beats + 1, beats + 5, beats])
    lengths = np.concatenate([[beats], generator.permutation(np.resize(lengths, _WRONG_LENGTHS)), [beats]])
    repaired = words[np.arange(len(lengths)) % len(words)].reshape(len(lengths), -1)
    # Zeros behind an early tlast; what comes after the last value is dropped.
    repaired[np.arange(repaired.shape[1]) >= width * lengths[:, None]] = 0
    repaired = repaired.reshape(len(lengths), *words.shape[1:])
    packed = _pack(repaired, port)
    excess = generator.integers(0, 256, (len(lengths), 5, packed.shape[2]), dtype=np.uint8)
    offered = np.concatenate([packed, excess], axis=1)
    return WrongLengths(
        sent=np.concatenate([word[:length] for word, length in zip(offered, lengths, strict=True)]),
        lengths=lengths,
        expected=_pack(run_dense(network, repaired), manifest["output"]),
    )


def _words_to_send(count: int, manifest: dict[str, Any]) -> int:
    """At least ``count``; few words are sent again, so that the pipeline is full when it is measured."""
    in_flight = math.ceil(manifest["latency_cycles"] / manifest["cycles_per_word"])
    return max(count, 2 + 2 * in_flight + _MEASURED_WORDS)


def _report(
    manifest: dict[str, Any], network: Network, result: BenchResult, *, count: int, simulator: str, seed: int
) -> SimulationResult:
    run, output = result.full_rate, manifest["output"]
    given, taken = run["last_given"], run["first_taken"]
    complete = len(given) == len(result.received)
    latency = given[0] - taken[0] if given and taken else 0
    cycles_per_word = _steady_state(given) if complete else 0.0
    problems = [*_bench_problems(run, "at full rate")]
    if complete and latency != manifest["latency_cycles"]:
        problems.append(f"latency measured {latency} cycles, but the manifest states {manifest['latency_cycles']}")
    if complete and cycles_per_word != manifest["cycles_per_word"]:
        stated = manifest["cycles_per_word"]
        problems.append(f"cycles a word measured {cycles_per_word:g}, but the manifest states {stated}")
    runs = {"with random pauses": result.back_pressure, "with wrong lengths": result.wrong_lengths}
    for how, other in runs.items():
        problems += _bench_problems(other, how) if other else []
    if result.failed_tests and not problems:
        problems.append(f"cocotb reports {result.failed_tests} failed tests")
    values = network.output.size
    return SimulationResult(
        words=count,
        values=count * values,
        mismatches=run["mismatches"],
        cycles=given[-1] - taken[0] + 1 if given and taken else 0,
        cycles_per_word=cycles_per_word,
        latency_cycles=latency,
        simulator=simulator,
        seconds=0.0,
        seed=seed,
        expected_cycles_per_word=manifest["cycles_per_word"],
        expected_latency_cycles=manifest["latency_cycles"],
        back_pressure=_summary(result.back_pressure, len(result.received)),
        wrong_lengths=_summary(result.wrong_lengths, _WRONG_LENGTHS + 2),
        problems=tuple(problems),
        outputs=unpack_beats(result.received[:count], dtype=output["dtype"], shape=tuple(output["shape"])),
    )


def _summary(run: dict[str, Any] | None, words: int) -> dict[str, int] | None:
    return run and {"words": words, "mismatches": run["mismatches"], "faults": len(run["faults"])}


def _steady_state(last_given: list[int]) -> float:
    """Mean distance of the results in the second half, where the pipeline is full.

    Without the last word, which nothing follows: its end is pushed out faster than a next word would push it.
    """
    first = len(last_given) // 2
    return (last_given[-2] - last_given[first]) / (len(last_given) - 2 - first)


def _bench_problems(run: dict[str, Any], how: str) -> list[str]:
    problems = [f"{how}: {fault}" for fault in run["faults"][:5]]
    if len(run["faults"]) > 5:
        problems.append(f"{how}: {len(run['faults']) - 5} more faults")
    if run["mismatches"]:
        first = "; ".join(
            f"word {item['word']}, index {item['index']}: expected {item['expected']}, got {item['got']}"
            for item in run["first"][:5]
        )
        problems.append(f"{how}: {run['mismatches']} values differ from the golden model: {first or 'unused bits'}")
    if run["error_count"]:
        wrong = f"error_count is {run['error_count']}, not 0"
        problems.append(f"{how}: {wrong if how != 'with wrong lengths' else 'beyond the wrong words, ' + wrong}")
    return problems

"""Runs the cocotb bench of ``sim/`` over one emitted design, on beats that were packed before."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cs_hdl.errors import ToolError
from cs_hdl.files import write_aside
from cs_hdl.resources import data_folder
from cs_hdl.simulate.environment import Simulator, simulator_environment

__all__ = ["BenchOptions", "BenchResult", "WrongLengths", "run_bench"]

_BUILD_ARGS = {
    # harness.v marks the signals that the bench reaches; making all others public costs half the speed.
    "verilator": ["-O3", "-Wno-fatal", "--no-public-flat-rw", "-CFLAGS", "-O1"],
    "icarus": [],
}


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How to run: the simulator, whether with random pauses, a waveform file, the seed, plusargs for the Verilog."""

    simulator: Simulator
    back_pressure: bool = False
    waves: Path | None = None
    seed: int = 1
    plusargs: tuple[str, ...] = ()

    @property
    def waves_format(self) -> str:
        """ "" for no waveform, "fst" where the file's name ends in .fst, otherwise "vcd"."""
        if self.waves is None:
            return ""
        return "fst" if self.waves.suffix == ".fst" else "vcd"


@dataclass(frozen=True, kw_only=True)
class WrongLengths:
    """Words whose tlast comes early or late, and what they must give.

    ``sent``: the beats of all words, uint8 ``[beats in all, bytes of a beat]``; ``lengths``: how many of
    them each word has; ``expected``: uint8 ``[words, beats, bytes of a beat]``, of the repaired words.
    """

    sent: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    expected: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What the bench saw.

    ``received``: the full-rate run's beats, as ``expected`` was given. ``full_rate``,
    ``back_pressure`` and ``wrong_lengths`` (None where it was not asked for): ``{"faults",
    "mismatches", "first", "error_count"}``, the first also with ``first_taken`` and ``last_given``,
    the cycles in which each word's first beat was taken and its last beat given; the last one's
    ``error_count`` is what was counted beyond the wrong words. ``failed_tests`` is cocotb's own verdict.
    """

    received: NDArray[np.uint8]
    full_rate: dict[str, Any]
    back_pressure: dict[str, Any] | None
    wrong_lengths: dict[str, Any] | None
    failed_tests: int


def run_bench(
    design: Path,
    manifest: Path,
    *,
    sent: NDArray[np.uint8],
    expected: NDArray[np.uint8],
    build_root: Path,
    options: BenchOptions,
    progress: Callable[[str], None],
    wrong: WrongLengths | None = None,
) -> BenchResult:
    """Compile ``design`` (unless ``build_root`` has it compiled already) and run the bench.

    ``sent`` and ``expected`` are uint8 ``[words, beats, bytes of a beat]``; ``wrong`` asks for a run of
    such words, too. Differences are no error here: they stand in the result. Raises ToolError where the
    simulator fails.
    """
    header = json.loads(manifest.read_text())
    tests = ["full_rate", *["back_pressure"] * options.back_pressure, *["wrong_lengths"] * (wrong is not None)]
    build_root = build_root.resolve()
    build = build_root / _digest(design, options)
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=build_root) as name:
        folder = Path(name)
        np.save(folder / "sent.npy", sent, allow_pickle=False)
        np.save(folder / "expected.npy", expected, allow_pickle=False)
        if wrong is not None:
            np.savez(folder / "wrong_lengths.npz", sent=wrong.sent, lengths=wrong.lengths, expected=wrong.expected)
        job = {
            "manifest": str(manifest.resolve()),
            "patience": 1000 + 2 * header["latency_cycles"] + 2 * math.ceil(header["cycles_per_word"]),
            "seed": options.seed,
            "simulator": options.simulator.name,
            "design": str(design.resolve()),
            "build": str(build),
            "folder": str(folder),
            "top": header["top"],
            "input_bits": 8 * sent.shape[2],
            "output_bits": 8 * expected.shape[2],
            "waves": options.waves is not None,
            "tests": tests,
            "build_args": _build_args(options),
            "plusargs": list(options.plusargs),
        }
        if not (build / "compiled").exists():
            progress(f"compiling for {options.simulator.name}")
            _run(job | {"compile_only": True}, folder, options)
        progress(f"simulating {len(sent)} words")
        _run(job | {"compile_only": False}, folder, options)
        if options.waves is not None:
            _keep_waves((folder / f"dump.{options.waves_format}", build / "harness.fst"), options.waves)
        results = {test: _result(folder, test) for test in tests}
        verdict = _result(folder, "verdict")
        if verdict["tests"] != len(tests):
            raise ToolError(f"cocotb ran {verdict['tests']} tests, not {len(tests)}")
        received = np.load(folder / "received.npy", allow_pickle=False)
    return BenchResult(
        received=received,
        full_rate=results["full_rate"],
        back_pressure=results.get("back_pressure"),
        wrong_lengths=results.get("wrong_lengths"),
        failed_tests=verdict["failed"],
    )


def _build_args(options: BenchOptions) -> list[str]:
    args = list(_BUILD_ARGS[options.simulator.name])
    if options.simulator.name == "verilator" and options.waves_format == "fst":
        args.append("--trace-fst")
    return args


def _digest(design: Path, options: BenchOptions) -> str:
    """Names the folder of the compiled simulation: the same parts give the same name."""
    digest = hashlib.sha256(design.read_bytes())
    for name in ("harness.v", "run.py"):
        digest.update((data_folder("sim") / name).read_bytes())
    found = options.simulator
    parts = [found.name, found.version, found.path, options.waves_format, sys.executable]
    digest.update(json.dumps([*parts, _build_args(options)]).encode())
    return f"{options.simulator.name}-{digest.hexdigest()[:16]}"


def _run(job: dict[str, Any], folder: Path, options: BenchOptions) -> None:
    job_file, log_file = folder / "job.json", folder / "log.txt"
    job_file.write_text(json.dumps(job))
    environment = simulator_environment(options.simulator.name)
    # pytest's own variables would change what cocotb's runner does with its results.
    environment.pop("PYTEST_CURRENT_TEST", None)
    environment["PYTHONPATH"] = str(data_folder("sim"))
    environment["PYTHONWARNINGS"] = "ignore::DeprecationWarning"
    environment["COCOTB_ANSI_OUTPUT"] = "0"
    if options.simulator.name == "icarus" and options.waves_format == "vcd":
        environment["SIM_CMD_SUFFIX"] = "-vcd"  # the last such option counts
    command = [sys.executable, str(data_folder("sim") / "run.py"), str(job_file)]
    with log_file.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:  # Ctrl-C as well: the simulator below must end, too
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if code:
        kept = Path(job["build"]) / "log.txt"
        shutil.copyfile(log_file, kept)
        text = log_file.read_text(errors="replace")
        if "lz4" in text:
            raise ToolError("Verilator needs liblz4-dev and zlib1g-dev to write .fst; get them, or name a .vcd file")
        tail = "\n".join(text.strip().splitlines()[-12:])
        raise ToolError(f"{options.simulator.name} failed (exit {code}); the end of its output ({kept}):\n{tail}")


def _keep_waves(candidates: tuple[Path, ...], target: Path) -> None:
    for made in candidates:
        if made.exists():
            write_aside(target, made.read_bytes())
            made.unlink()
            return
    raise ToolError(f"the simulator wrote no waveform for {target}")


def _result(folder: Path, test: str) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / f"{test}.json").read_text()))
    except FileNotFoundError:
        tail = "\n".join((folder / "log.txt").read_text(errors="replace").strip().splitlines()[-20:])
        raise ToolError(f"the bench ended without a result; the end of its output:\n{tail}") from None

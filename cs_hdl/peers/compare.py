"""The comparison itself: every point's figures, or why there are none."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from amaranth.hdl import signed

import cs_hdl
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.errors import CsHdlError
from cs_hdl.peers.environment import ROOT, make_environment, pins, version
from cs_hdl.peers.points import MATRICES, OURS, constant_matrix, nngen_points
from cs_hdl.peers.steps import kept, run_limited, synthesise
from cs_hdl.plan.adder_graph import adder_graph
from cs_hdl.rtl.primitives.constant_adders import ConstantAdders
from cs_hdl.simulate.environment import simulator_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cs_hdl.peers.points import OwnPoint

__all__ = ["compare"]

_WORKERS = Path(__file__).parent


def compare(*, limit: float, only: str, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """One entry a point whose peer or layer holds ``only``, quick ones first.

    Each step may take ``limit`` seconds. A point with a step that failed or took longer says so in
    ``not_run``, and has no figures of that step and of those behind it.
    """
    for entry, steps in _points(limit):
        if only in entry["peer"] or only in entry["layer"]:
            progress(" ".join(str(entry.get(key, "")) for key in ("peer", "layer", "what", "multipliers")).strip())
            yield _measured(entry, steps)


def _points(limit: float) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
    """What is known of every point before, and its steps, that are run when they are asked for."""
    for name, (inputs, outputs, nonzeros) in MATRICES.items():
        matrix = {"layer": name, "inputs": inputs, "outputs": outputs, "weights": outputs * nonzeros}
        yield {"peer": "da4ml"} | matrix, _da4ml(name, limit)
        yield {"peer": "cs-hdl"} | matrix, _our_matrix(name, limit)
    for own in OURS:
        command = "cs-hdl generate " + " ".join(own.options)
        yield {"peer": "cs-hdl", "layer": own.layer, "what": own.what, "command": command}, _our_layer(own, limit)
    for name, multipliers, layer in nngen_points():
        yield {"peer": "nngen", "layer": name, "what": "dense", "multipliers": multipliers}, _nngen(layer, limit)


def _measured(entry: dict[str, Any], steps: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """``entry`` with what the steps give, up to the first that fails."""
    entry["version"] = cs_hdl.__version__ if entry["peer"] == "cs-hdl" else version(entry["peer"])
    try:
        for result in steps:
            entry |= result
    except CsHdlError as error:
        entry["not_run"] = str(error)
    return entry


def _worker(
    peer: str, data: bytes, suffix: str, limit: float, environment: dict[str, str]
) -> tuple[Path, dict[str, Any]]:
    """Folder and result of the peer's worker for ``data``, its first argument."""
    script = _WORKERS / f"{peer}_worker.py"

    def make(folder: Path) -> dict[str, Any]:
        given = folder / f"given.{suffix}"
        given.write_bytes(data)
        command = [make_environment(peer), script, given, folder]
        run_limited(command, folder=folder, limit=limit, environment=environment)
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return result

    return kept([peer, *pins(peer), sys.version, script.read_bytes(), data], make)


def _nngen(layer: dict[str, Any], limit: float) -> Iterator[dict[str, Any]]:
    data = json.dumps(layer, sort_keys=True).encode()
    folder, result = _worker("nngen", data, "json", limit, simulator_environment("verilator"))
    yield result
    yield synthesise(folder / "design.v", top="nngen_layer", limit=limit)


def _da4ml(name: str, limit: float) -> Iterator[dict[str, Any]]:
    matrix = constant_matrix(name)

    def make(folder: Path) -> dict[str, Any]:
        np.save(folder / "matrix.npy", matrix)
        return {}

    given = kept(["matrix", matrix.tobytes(), str(matrix.shape)], make)[0] / "matrix.npy"
    folder, result = _worker("da4ml", given.read_bytes(), "npy", limit, dict(os.environ))
    yield result
    yield synthesise(folder / "design.v", top="da4ml_layer", limit=limit)


def _our_matrix(name: str, limit: float) -> Iterator[dict[str, Any]]:
    """The adders alone, as da4ml gives them; whether they are right is tested elsewhere."""
    started = time.monotonic()
    graph = adder_graph(constant_matrix(name), -128, 127)
    yield {"adders": len(graph.adders), "cycles": 1, "generate_seconds": round(time.monotonic() - started, 2)}
    text = emit_verilog(ConstantAdders(graph=graph, shape=signed(8)), name="constant_adders")
    folder, _ = kept(["constant_adders", text], lambda folder: {"bytes": (folder / "design.v").write_text(text)})
    yield synthesise(folder / "design.v", top="constant_adders", limit=limit)


def _our_layer(own: OwnPoint, limit: float) -> Iterator[dict[str, Any]]:
    """Generated by the command line; its cycles are measured by the bench, on the emitted Verilog."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, "-m", "cs_hdl.cli"]
    started = time.monotonic()

    def generate(folder: Path) -> dict[str, Any]:
        run_limited(
            [*command, "generate", *own.options, "--out", "design"], folder=folder, limit=limit, environment=environment
        )
        manifest: dict[str, Any] = json.loads((folder / "design" / "manifest.json").read_text())
        return manifest | {"seconds": round(time.monotonic() - started, 2)}

    sources = [path.read_bytes() for path in sorted((ROOT / "cs_hdl").rglob("*.py")) if path.parent != _WORKERS]
    folder, manifest = kept(["generate", *own.options, *sources], generate)
    design = folder / "design"
    multipliers = sum(layer["multipliers"] for layer in manifest["layers"])
    yield {"multipliers": multipliers, "generate_seconds": manifest["seconds"]}

    def simulate(work: Path) -> dict[str, Any]:
        arguments: list[str | Path] = ["simulate", design, "--output", work / "y.npy"]
        run_limited([*command, *arguments], folder=work, limit=limit, environment=environment)
        result: dict[str, Any] = json.loads((design / "simulation.json").read_text())
        return result

    simulation = kept(["simulate", (design / "design.v").read_bytes()], simulate)[1]
    yield {
        "cycles": simulation["cycles_per_word"],
        "latency_cycles": simulation["latency_cycles"],
        "bit_exact": simulation["mismatches"] == 0,
        "simulate_seconds": simulation["seconds"],
    }
    yield synthesise(design / "design.v", top=manifest["top"], limit=limit)

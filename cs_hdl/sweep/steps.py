"""What is done with one point, each step on any machine: all that it needs comes with it, all that it gives is data.

A design travels as a zip of its directory. Every step gives a dict that JSON can hold, with ``seconds``; an error of
the user's or of a tool is such a dict too (``{"error", "exit_code"}``), anything else is raised.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.errors import CsHdlError
from cs_hdl.files import file_digest, unzip, zipped
from cs_hdl.sweep.study import RunOptions

__all__ = ["STEPS", "Prepared", "estimate_step", "prepare", "route_step", "simulate_step", "synthesise_step"]

_TOP = "cs_accelerator"
#: What the later steps need of a design directory.
_FILES = ("design.v", "manifest.json", "network.npz", "plan.json")
#: Options that say for what to plan; all others make the network.
_PLANNING = ("board", "device", "cycles", "words_per_second", "mode")
#: Totals over the layers that a manifest has.
_TOTALS = ("sets", "set_bound", "multipliers", "constant_multipliers", "macs_dense", "macs_sparse", "nonzeros")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A generated design: what there is to say about it, and its files (empty where it was refused)."""

    summary: dict[str, Any]
    archive: bytes = dataclasses.field(default=b"", repr=False)


def prepare(options: Mapping[str, Any], files: Mapping[str, tuple[str, bytes]]) -> Prepared:
    """Generate the design of ``options``; ``files`` has the name and the content of those that the options name."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        folder = Path(name)
        placed = dict(options)
        for option, (file, content) in files.items():
            (folder / option).mkdir()
            path = folder / option / Path(file).name
            path.write_bytes(content)
            placed[option] = path if option in ("weights", "bias") else str(path)
        try:
            summary = _generate(placed, folder / "design")
        except CsHdlError as error:
            # Paths of this machine say nothing to the user, and would make equal results differ.
            return Prepared(summary=_failure(error, started, hide=f"{folder}/"))
        archive = zipped(folder / "design", _FILES)
    return Prepared(summary=summary | {"seconds": _since(started)}, archive=archive)


def _generate(options: dict[str, Any], out: Path) -> dict[str, Any]:
    from cs_hdl.commands.generate import read_network
    from cs_hdl.commands.target import cycles_for_rate, find_target
    from cs_hdl.emit.design import write_design
    from cs_hdl.plan.device_limits import needs
    from cs_hdl.plan.planner import explain, make_plan

    planning = {key: options.pop(key, None) for key in _PLANNING}
    model = options.pop("model")
    target = find_target(board=planning["board"], device=planning["device"])
    cycles = planning["cycles"]
    if planning["words_per_second"] is not None:
        cycles = cycles_for_rate(target, planning["words_per_second"], cycles)
    network, source = read_network(model, options)
    plan = make_plan(network, limits=target.limits, cycles=cycles, mode=planning["mode"])
    manifest = write_design(plan, out, name=_TOP, source=source)
    planned = needs(explain(plan).cost, target.limits)
    layers = manifest["layers"]
    modes = sorted({layer["mode"] for layer in layers if layer["mode"]})
    metrics = {
        "cycles_per_word": manifest["cycles_per_word"],
        "latency_cycles": manifest["latency_cycles"],
        "layer_modes": "+".join(modes),
        "engines": "+".join(sorted({layer["engine"] for layer in layers if layer["engine"]})),
        **{key: sum(layer[key] for layer in layers) for key in _TOTALS},
        "all_weights": sum(layer["weights"] for layer in layers),
        "planned_lut": planned["LUT"],
        "planned_dsp": planned["DSP"],
        "planned_block_ram": planned["block RAM"],
    }
    digests = {file: file_digest(out / file) for file in _FILES}
    return {"metrics": metrics, "digests": digests}


def simulate_step(prepared: Prepared, run: RunOptions) -> dict[str, Any]:
    """A short simulation of the Verilog against the golden model."""
    from cs_hdl.simulate.simulate import simulate

    def work(folder: Path) -> dict[str, Any]:
        _use_compiler_cache()
        result = simulate(folder, random_count=run.words, simulator=run.simulator, seed=run.seed)
        metrics = {
            "simulated_words": result.words,
            "simulated_values": result.values,
            "mismatches": result.mismatches,
            "measured_cycles_per_word": result.cycles_per_word,
            "measured_latency_cycles": result.latency_cycles,
        }
        wrong = {"error": "; ".join(result.problems), "exit_code": 1} if result.problems else {}
        return {"metrics": metrics, **wrong}

    return _with_design(prepared, work)


def synthesise_step(prepared: Prepared, run: RunOptions) -> dict[str, Any]:
    """The cells of an ECP5 that Yosys makes of the design alone."""
    from cs_hdl.build.alone import synthesise_alone

    def work(folder: Path) -> dict[str, Any]:
        cells = synthesise_alone((folder / "design.v").read_text(), top=_TOP)
        return {"metrics": {"lut": cells.comb, **dataclasses.asdict(cells)}}

    return _with_design(prepared, work)


def route_step(prepared: Prepared, run: RunOptions) -> dict[str, Any]:
    """Fmax after routing, alone on the device of :data:`cs_hdl.build.alone.BENCH_DEVICE`."""
    from cs_hdl.build.alone import route_alone

    def work(folder: Path) -> dict[str, Any]:
        return {"metrics": {"fmax_mhz": route_alone((folder / "design.v").read_text(), top=_TOP).fmax_mhz}}

    return _with_design(prepared, work)


def estimate_step(prepared: Prepared, run: RunOptions) -> dict[str, Any]:
    """What ``cs-hdl estimate`` says of the design, and how many of the LUTs are those of its k-WTAs."""
    from cs_hdl.build.alone import Cells
    from cs_hdl.emit.manifest import read_manifest
    from cs_hdl.estimate.by_layer import cells_by_layer
    from cs_hdl.estimate.model import estimate_cells

    def work(folder: Path) -> dict[str, Any]:
        manifest = read_manifest(folder)
        layers = cells_by_layer(manifest, estimate_cells((folder / "design.v").read_text(), top=_TOP))
        cells = sum(layers.values(), start=Cells())
        values = {"lut": cells.comb, "ff": cells.ff, "dsp": cells.dsp, "block_ram": cells.block_ram}
        selections = [layer["name"] for layer in manifest["layers"] if "KWTA" in layer["kind"]]
        values["kwta_lut"] = sum(layers[name].comb for name in selections)
        return {"metrics": {f"estimated_{key}": value for key, value in values.items()}}

    return _with_design(prepared, work)


#: In the order in which a point goes through them.
STEPS: dict[str, Callable[[Prepared, RunOptions], dict[str, Any]]] = {
    "estimate": estimate_step,
    "simulate": simulate_step,
    "synthesise": synthesise_step,
    "route": route_step,
}


def _with_design(prepared: Prepared, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    started = time.monotonic()
    with _unpacked(prepared) as folder:
        try:
            result = work(folder)
        except CsHdlError as error:
            return _failure(error, started, hide=f"{folder}/")
    return result | {"seconds": _since(started)}


def _failure(error: CsHdlError, started: float, *, hide: str) -> dict[str, Any]:
    return {
        "error": str(error).replace(hide, ""),
        "exit_code": error.exit_code,
        "metrics": {},
        "seconds": _since(started),
    }


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)


@contextmanager
def _unpacked(prepared: Prepared) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        unzip(prepared.archive, Path(name))
        yield Path(name)


def _use_compiler_cache() -> None:
    """Let Verilator's makefile use ccache where there is one: most of what it compiles is the same each time."""
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")

"""``python -m cs_hdl.commands.evidence MODEL BOARD``: generates, simulates, builds, and keeps the figures.

Writes ``docs/results/MODEL-BOARD.json``: ``{"command", "commit", "digests", "report", "simulation", "dense_bounds",
"modes", "cpu"}``, the digests being SHA-256 of design.v and of the bitstream.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cs_hdl.commands.build import build_report
from cs_hdl.commands.console import Steps, run_command
from cs_hdl.errors import InputError
from cs_hdl.files import file_digest, write_aside
from cs_hdl.simulate.simulate import check_result
from cs_hdl.simulate.simulate import simulate as run_simulation

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan

__all__ = ["evidence"]


def evidence(
    model: Annotated[str, typer.Argument(help="A shipped model.")],
    board: Annotated[str, typer.Argument(help="A board (cs-hdl boards lists them).")],
    words: Annotated[int, typer.Option(min=1, help="Random words to simulate.")] = 100,
    seed: Annotated[int, typer.Option(help="Of place and route, the first one.")] = 1,
    tries: Annotated[int, typer.Option(min=1, help="So many seeds at most.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="So many tries at once; then all are made.")] = 1,
    refine: Annotated[int, typer.Option(min=0, help="Rounds of better places for cells on slow paths.")] = 0,
    commit: Annotated[str, typer.Option(help="What the record says of the code.")] = "unknown",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the designs go.")] = Path("build/evidence"),
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page whose table beside the paper's is made anew."),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Where the record goes.")] = Path("docs/results"),
) -> None:
    """What a shipped model does on a board: simulated, placed and routed, on record."""
    from cs_hdl.commands.target import find_target
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_model
    from cs_hdl.plan.planner import make_plan
    from cs_hdl.report.comparison import device_bounds
    from cs_hdl.report.cpu import measure_onnxruntime, random_images
    from cs_hdl.report.paper_table import paper_table, planned_modes, replace_table

    target = find_target(board=board, device=None)
    design, network_file = out / model, find_model(model).path
    with Steps() as step:
        step("packing and planning")
        plan = make_plan(read_onnx(network_file), limits=target.limits)
        manifest = _write_if_new(plan, design, source=f"the shipped model {model}", progress=step)
        simulation = run_simulation(design, random_count=words, progress=step)
        check_result(simulation)
        report = build_report(
            design, board, seed=seed, tries=tries, clock_mhz=None, rounds=refine, jobs=jobs, progress=step
        )
        step("the other two designs")
        modes = planned_modes(plan.network, limits=target.limits, clock_mhz=report["clock_mhz"])
        step("the same in onnxruntime on this machine")
        cpu = measure_onnxruntime(network_file, random_images(plan.network))
    content: dict[str, Any] = {
        "command": f"scripts/evidence {model} {board} --words {words} --seed {seed} --tries {tries} --jobs {jobs}"
        + (f" --refine {refine}" if refine else ""),
        "commit": commit,
        "digests": {
            "design.v": file_digest(design / "design.v"),
            "top.bit": file_digest(design / "build" / board / "top.bit"),
        },
        # A path of this machine says nothing to anybody else.
        "report": report | {"bitstream": "top.bit"},
        "simulation": simulation.as_json(),
        "dense_bounds": device_bounds(
            manifest, dsp=target.limits.dsp, lut=target.limits.lut, clock_mhz=report["clock_mhz"]
        ),
        "modes": modes,
        "cpu": cpu,
    }
    write_aside(results / f"{model}-{board}.json", json.dumps(content, indent=1) + "\n")
    if page is not None:
        write_aside(page, replace_table(page.read_text(), paper_table(content)))


def _write_if_new(plan: Plan, design: Path, *, source: str, progress: Callable[[str], None]) -> dict[str, Any]:
    """The manifest; the same design that is there already stays, with what was compiled for its simulation."""
    from cs_hdl.emit.design import check_design, write_design

    fresh = design.with_name(f"{design.name}.new")
    manifest = write_design(plan, fresh, source=source, progress=progress)
    try:
        known = check_design(design)["sources"] == manifest["sources"]
    except InputError:
        known = False
    if known:
        shutil.rmtree(fresh)
    else:
        shutil.rmtree(design, ignore_errors=True)
        fresh.rename(design)
    return manifest


if __name__ == "__main__":
    run_command(evidence)

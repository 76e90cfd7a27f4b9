"""``python -m cs_hdl.commands.studies`` (``scripts/studies``): runs the studies, keeps records, writes the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cs_hdl.commands.console import Steps, run_command, show_error
from cs_hdl.commands.sweep import run_study
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside

__all__ = ["studies"]

_EVIDENCE = "gsc-ulx3s-85f.json"


def studies(
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this study; may be repeated.")] = None,
    docs_only: Annotated[bool, typer.Option("--docs-only", help="Only write docs/studies.md and its plots.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes (default: one a core).")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster.")] = None,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="The studies.")] = Path("studies"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where sweeps and their cache go.")] = Path("build/studies"),
    docs: Annotated[Path, typer.Option(metavar="DIR", help="Where page, plots and results/ are.")] = Path("docs"),
) -> None:
    """Run the paper's studies through cs-hdl sweep and write docs/studies.md; nothing is done twice."""
    sweeps = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    computed: dict[str, Callable[[Callable[[str], None]], dict[str, Any]]] = {
        "networks": _networks,
        "scale-out": lambda step: _scale_out(docs / "results" / _EVIDENCE, step),
        "masks": _masks,
    }
    known = [*computed, *sweeps]
    if unknown := [name for name in only or () if name not in known]:
        raise InputError(f"--only {unknown[0]}: no study of that name; there are {', '.join(known)}")
    records, failed = docs / "results" / "studies", []
    for name in () if docs_only else (only or known):
        if name in computed:
            with Steps() as step:
                step(name)
                content = computed[name](step)
        else:
            content, outcomes = run_study(sweeps[name], out / name, jobs=jobs, scheduler=scheduler, cache=out / "cache")
            failed += [f"{name}: {outcome.error}" for outcome in outcomes if outcome.status == "failed"]
        record = {"command": f"scripts/studies --only {name}", **content}
        write_aside(records / f"{name}.json", json.dumps(record, indent=1) + "\n")
    from cs_hdl.studies.page import write_page

    for path in write_page(docs):
        sys.stdout.write(f"{path}\n")
    if failed:
        show_error("\n".join(failed))
        raise typer.Exit(1)


def _networks(step: Callable[[str], None]) -> dict[str, Any]:
    from cs_hdl.studies.networks import plan_networks

    return plan_networks()


def _scale_out(path: Path, step: Callable[[str], None]) -> dict[str, Any]:
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_model
    from cs_hdl.studies.findings import load_record
    from cs_hdl.studies.scale_out import scale_out
    from cs_hdl.studies.ultrascale import TOP, count_ultrascale, recorded_design

    record = load_record(path)
    if record is None:
        raise InputError(f"{path}: not there; make it: scripts/evidence gsc ulx3s-85f")
    network = read_onnx(find_model("gsc").path)
    text = recorded_design(record, network)
    step("synth_xilinx -family xcup")
    return scale_out(record, network, ultrascale_plus=count_ultrascale(text, top=TOP))


def _masks(step: Callable[[str], None]) -> dict[str, Any]:
    from cs_hdl.datasets.digits import load_digits_split
    from cs_hdl.studies.masks import study_masks

    train, test = load_digits_split("train"), load_digits_split("test")
    flat = [(images.reshape(len(images), -1).astype(float), labels) for images, labels in (train, test)]
    return study_masks((*flat[0], *flat[1]), progress=step)


if __name__ == "__main__":
    run_command(studies)

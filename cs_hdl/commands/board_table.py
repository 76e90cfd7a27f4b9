"""``scripts/boards``: builds the largest shipped model that fits for boards, and writes the table of docs/boards.md."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cs_hdl.board.catalogue import boards as known_boards
from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.build import build_report
from cs_hdl.commands.console import Steps, run_command, show_error
from cs_hdl.errors import CsHdlError, InputError
from cs_hdl.files import file_digest, write_aside
from cs_hdl.report.board_table import board_table, find_record, marked_boards, with_table

if TYPE_CHECKING:
    from cs_hdl.board.catalogue import Board
    from cs_hdl.network import Network
    from cs_hdl.plan.device_limits import DeviceLimits

__all__ = ["board_table_command", "largest_model", "verilog_digest"]


def board_table_command(
    boards: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BOARD]...", help="Build for these (none: compare all records with what is made now)."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="This model, in place of the largest that fits.")] = None,
    cycles: Annotated[int | None, typer.Option(min=1, help="Cycles a word at most (default: the fewest).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of place and route, the first one.")] = 1,
    tries: Annotated[int, typer.Option(min=1, help="So many seeds at most.")] = 1,
    refine: Annotated[int, typer.Option(min=0, help="Rounds of better places for cells on slow paths (ECP5).")] = 0,
    commit: Annotated[str, typer.Option(help="What the record says of the code.")] = "unknown",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the designs go.")] = Path("build/boards"),
    docs: Annotated[Path, typer.Option(metavar="DIR", help="Where the table and the records are.")] = Path("docs"),
) -> None:
    """A bitstream of the largest shipped model for each BOARD, on record; and the table of all boards."""
    page = docs / "boards.md"
    if not page.is_file():
        raise InputError(f"{page}: not there; run this in the repository, or give --docs")
    failed: CsHdlError | None = None
    renewed: set[str] = set()
    for name in boards or ():
        try:
            with Steps() as step:
                _build(find_board(name), model=model, cycles=cycles, seed=seed, tries=tries, refine=refine,
                       commit=commit, out=out, results=docs / "results", step=step)  # fmt: skip
            renewed.add(name)
        except CsHdlError as error:
            # The others may well do.
            show_error(f"{name}: {error}")
            failed = error
    text = page.read_text()
    if boards:
        # (Who builds for one board does not wait for all others to be compared.)
        earlier = marked_boards(text) - renewed
    else:
        with Steps() as step:
            earlier = {board.name for board in known_boards() if not _is_present(board, docs / "results", step)}
    write_aside(page, with_table(text, board_table(known_boards(), docs / "results", earlier=earlier)))
    if failed is not None:
        raise failed


def largest_model(board: Board) -> str:
    """The shipped model with the most multiplications that the planner finds room for; InputError where none fits."""
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import models
    from cs_hdl.plan.planner import make_plan

    networks = {model.name: read_onnx(model.path) for model in models()}
    for name in sorted(networks, key=lambda name: -_weights(networks[name])):
        try:
            make_plan(networks[name], limits=board.limits)
        except InputError:
            continue
        return name
    raise InputError(f"{board.name}: no shipped model fits its {board.device}")


def _is_present(board: Board, results: Path, step: Steps) -> bool:
    """Whether what is on record for ``board``, if anything is, was made from the Verilog that is made now."""
    record = find_record(results, board)
    if record is None:
        return True
    step(f"{board.name}: whether its Verilog is the present one")
    digest = verilog_digest(board, record["model"], cycles=record.get("cycles"))
    return digest == str(record["digests"]["design.v"])


def verilog_digest(board: Board, model: str, *, cycles: int | None) -> str:
    """SHA-256 of the design.v of the shipped ``model`` for ``board``; made once for all boards with equal chips."""
    return _verilog_digest(model, dataclasses.replace(board.limits, name="any"), cycles)


@functools.cache
def _verilog_digest(model: str, limits: DeviceLimits, cycles: int | None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _write_model(model, limits, Path(folder) / model, cycles=cycles)
        return file_digest(Path(folder) / model / "design.v")


def _write_model(
    model: str,
    limits: DeviceLimits,
    design: Path,
    *,
    cycles: int | None,
    progress: Callable[[str], None] = lambda step: None,
) -> None:
    """Write the shipped ``model``, planned for ``limits``, into the new folder ``design``."""
    from cs_hdl.emit.design import write_design
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.models import find_model
    from cs_hdl.plan.planner import make_plan

    plan = make_plan(read_onnx(find_model(model).path), limits=limits, cycles=cycles)
    write_design(plan, design, source=f"the shipped model {model}", progress=progress)


def _weights(network: Network) -> int:
    return sum(math.prod(layer.weights.shape) for layer, _ in network.weighted)


def _build(
    board: Board,
    *,
    model: str | None,
    cycles: int | None,
    seed: int,
    tries: int,
    refine: int,
    commit: str,
    out: Path,
    results: Path,
    step: Steps,
) -> None:
    step(f"{board.name}: packing and planning")
    name = largest_model(board) if model is None else model
    design = out / f"{name}-{board.name}"
    _write_model(name, board.limits, design, cycles=cycles, progress=step)
    report = build_report(design, board.name, seed=seed, tries=tries, clock_mhz=None, rounds=refine, progress=step)
    bitstream = Path(report["bitstream"])
    options = [*([] if model is None else ["--model", model]), *([] if cycles is None else ["--cycles", str(cycles)])]
    options += ["--refine", str(refine)] if refine else []
    content: dict[str, Any] = {
        "command": " ".join(["scripts/boards", board.name, *options, "--seed", str(seed), "--tries", str(tries)]),
        "commit": commit,
        "model": name,
        "cycles": cycles,
        "digests": {"design.v": file_digest(design / "design.v"), bitstream.name: file_digest(bitstream)},
        # A path of this machine says nothing to anybody else.
        "report": report | {"bitstream": bitstream.name},
    }
    write_aside(results / "boards" / f"{board.name}.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run_command(board_table_command)

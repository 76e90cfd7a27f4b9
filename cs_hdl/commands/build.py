"""``cs-hdl build``: the bitstream of a design for a board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cs_hdl.board.catalogue import find_board
from cs_hdl.build.bitstream import build_bitstream
from cs_hdl.commands.console import Steps, human_time, output, print_json
from cs_hdl.commands.tables import facts, resource_table
from cs_hdl.errors import InputError

__all__ = ["build", "build_report", "show_build"]


def build(
    design: Annotated[Path, typer.Argument(metavar="DIR", help="The design directory.")],
    board: Annotated[str, typer.Option(help="The board (cs-hdl boards lists them).")],
    seed: Annotated[int, typer.Option(help="Of place and route.")] = 1,
    tries: Annotated[int, typer.Option(help="So many seeds at most, until timing is met.")] = 1,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock of the accelerator.")] = None,
    refine: Annotated[int, typer.Option(help="So many times move cells on slow paths and route again (ECP5).")] = 0,
    jobs: Annotated[int, typer.Option(help="So many tries at once; then all are made, and the best is kept.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers make the tries.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a bitstream with Yosys and nextpnr, with the board's own top level around the accelerator."""
    if tries < 1 or seed < 0:
        raise InputError(f"--tries {tries}, --seed {seed}: at least 1 try, and a seed that is not negative")
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1")
    if refine < 0:
        raise InputError(f"--refine {refine}: a number of rounds, 0 for none")
    with Steps() as step:
        report = build_report(
            design,
            board,
            seed=seed,
            tries=tries,
            clock_mhz=clock_mhz,
            rounds=refine,
            jobs=jobs,
            scheduler=scheduler,
            progress=step,
        )
    if json:
        print_json(report)
    else:
        show_build(report)


def build_report(
    design: Path,
    board: str,
    *,
    seed: int,
    tries: int,
    clock_mhz: float | None,
    progress: Callable[[str], None],
    rounds: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Build, and give the content of ``report.json``; raises as ``build_bitstream`` does."""
    # The board first: its name is what people get wrong.
    found = find_board(board)
    report = build_bitstream(
        design,
        found,
        seed=seed,
        tries=tries,
        clock_mhz=clock_mhz,
        rounds=rounds,
        jobs=jobs,
        scheduler=scheduler,
        progress=progress,
    )
    return report.as_json()


def show_build(report: dict[str, Any]) -> None:
    """The tables that end a build whose timing was met (otherwise it ends with an error)."""
    console = output()
    console.print(resource_table(report))
    seconds = report.get("seconds", {})
    rows = {
        "device": f"{report['device']} on {report['board']}",
        "clock": f"[bold]{report['clock_mhz']:.1f} MHz[/] (Fmax {report['fmax_mhz']:.1f} MHz), [green]timing met[/]",
        "rate": f"[bold]{report['words_per_second']:,.0f} words/s[/] at {report['cycles_per_word']:,} cycles a word",
        "slowest": _slowest(report.get("slowest_ns", {})),
        "bitstream": f"[bold]{report['bitstream']}[/]",
        "time": ", ".join(f"{name} {human_time(value)}" for name, value in seconds.items()),
    }
    console.print(facts({name: text for name, text in rows.items() if text}))


def _slowest(stages: dict[str, float], shown: int = 3) -> str:
    """The first of ``stages``, which come in the order of their slowest paths: those that bound the clock."""
    return ", ".join(f"{stage} {nanoseconds:.1f} ns" for stage, nanoseconds in list(stages.items())[:shown])

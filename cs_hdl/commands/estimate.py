"""``cs-hdl estimate``: what a design will take and give, before any synthesis."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from cs_hdl.board.catalogue import find_board
from cs_hdl.commands.console import Steps, human_time, output, print_json
from cs_hdl.commands.front import front_content, show_front
from cs_hdl.commands.tables import facts
from cs_hdl.commands.target import DEFAULT_BOARD

if TYPE_CHECKING:
    from cs_hdl.build.alone import Cells

__all__ = ["estimate"]

_NAMES = {
    "lut": "LUT", "lut4": "LUT4", "carry": "carry", "lut_ram": "LUT RAM", "ff": "FF", "dsp": "DSP",
    "block_ram": "block RAM",
}  # fmt: skip


def estimate(
    design: Annotated[Path, typer.Argument(metavar="DIR", help="The design directory.")],
    board: Annotated[str, typer.Option(help="Its clock and its device's limits count.")] = DEFAULT_BOARD,
    front: Annotated[
        bool, typer.Option("--front", help="Throughput against area of its network, over all known devices.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a design will take of an ECP5 and how fast it will be, before any synthesis, in seconds."""
    from cs_hdl.build.alone import Cells
    from cs_hdl.emit.design import check_design
    from cs_hdl.estimate.by_layer import cells_by_layer
    from cs_hdl.estimate.model import estimate_cells

    target = find_board(board)
    if front:
        found = front_content(design, target)
        if json:
            print_json(found)
        else:
            show_front(found)
        return
    manifest = check_design(design)
    started = time.monotonic()
    with Steps() as step:
        step("estimating")
        parts = estimate_cells((design / "design.v").read_text(), top=manifest["top"])
    layers = cells_by_layer(manifest, parts)
    total = sum(layers.values(), start=Cells())
    clock, cycles = target.clock_mhz, manifest["cycles_per_word"]
    content: dict[str, Any] = {
        "design": str(design),
        "board": target.name,
        "device": target.limits.name,
        "clock_mhz": clock,
        "cycles_per_word": cycles,
        "latency_cycles": manifest["latency_cycles"],
        "words_per_second": round(clock * 1e6 / cycles, 1),
        **_numbers(total),
        "available": {"lut": target.limits.lut, "dsp": target.limits.dsp, "block_ram": target.limits.block_ram},
        "layers": [
            {"name": name, "cycles": _cycles(manifest, name), **_numbers(cells)} for name, cells in layers.items()
        ],
        "seconds": round(time.monotonic() - started, 2),
    }
    if json:
        print_json(content)
        return
    console = output()
    console.print(_table(content))
    rows = {
        "rate": f"[bold]{content['words_per_second']:,.0f} words/s[/] at {clock:g} MHz, the usual clock of {board}: "
        f"{cycles:,} cycles a word, latency {content['latency_cycles']:,}",
        "fits": _verdict(content),
        "time": f"{human_time(content['seconds'])} (the board's own top level, some hundred LUTs, comes on top)",
    }
    console.print(facts(rows))


def _numbers(cells: Cells) -> dict[str, int]:
    """``lut`` is all LUTs, as a report of a build has it; LUT4 alone, carry and LUT RAM are parts of it."""
    return {"lut": cells.comb, **dataclasses.asdict(cells)}


def _cycles(manifest: Mapping[str, Any], name: str) -> int | None:
    return next((int(layer["cycles"]) for layer in manifest["layers"] if layer["name"] == name), None)


def _table(content: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_footer=True)
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("cycles", f"[bold]{content['cycles_per_word']:,}[/]", justify="right", no_wrap=True)
    for key, name in _NAMES.items():
        table.add_column(name, f"[bold]{content[key]:,}[/]", justify="right", min_width=5)
    for layer in content["layers"]:
        cycles = "" if layer["cycles"] is None else f"{layer['cycles']:,}"
        table.add_row(layer["name"], cycles, *(f"{layer[key]:,}" for key in _NAMES))
    available = content["available"]
    table.add_section()
    table.add_row(content["device"], "", *(f"{available[key]:,}" if key in available else "" for key in _NAMES))
    table.add_row("share", "", *(_share(content, key) if key in available else "" for key in _NAMES))
    return table


def _share(content: Mapping[str, Any], key: str) -> str:
    share = content[key] / content["available"][key] if content["available"][key] else float("inf")
    return f"[red]{share:.0%}[/]" if share > 1 else f"{share:.0%}"


def _verdict(content: Mapping[str, Any]) -> str:
    available = content["available"]
    over = [_NAMES[key] for key in available if content[key] > available[key]]
    if over:
        return f"[red]no[/]: too many {', '.join(over)}; plan for this board (--board) or with more cycles (--cycles)"
    return "[green]yes[/]"

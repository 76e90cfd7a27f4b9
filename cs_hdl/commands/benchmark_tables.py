"""The tables that end ``cs-hdl benchmark``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

__all__ = ["accuracy_table", "design_table", "leaf_table"]

#: Every leaf should reach it after routing.
_GOAL_MHZ = 120
_CELLS = {"lut4": "LUT4", "carry": "carry", "lut_ram": "LUT RAM", "ff": "FF", "dsp": "DSP", "block_ram": "block RAM"}


def design_table(designs: Sequence[Mapping[str, Any]]) -> Table:
    """Designs, one a row: cycles and cells."""
    table = _table("design", "cycles")
    routed = any("fmax_mhz" in design for design in designs)
    if routed:
        table.add_column("Fmax", justify="right", no_wrap=True)
    for design in designs:
        if "refused" in design:
            table.add_row(design["name"], "[yellow]refused[/]")
            continue
        numbers = [f"{design['cycles_per_word']:,}", *_cells(design)]
        table.add_row(design["name"], *numbers, *([f"{design.get('fmax_mhz', 0):.1f}"] if routed else []))
    return table


def leaf_table(leaves: Sequence[Mapping[str, Any]]) -> Table:
    """Leaf components, one a row: cells and Fmax beside the goal."""
    table = _table("leaf")
    table.add_column(f"Fmax (goal {_GOAL_MHZ})", justify="right", no_wrap=True)
    for leaf in leaves:
        fmax = leaf.get("fmax_mhz")
        colour = "green" if fmax is not None and fmax >= _GOAL_MHZ else "red"
        table.add_row(leaf["name"], *_cells(leaf), f"[{colour}]{fmax:.1f}[/]" if fmax is not None else "")
    return table


def accuracy_table(errors: Sequence[Mapping[str, Any]]) -> Table:
    """Estimates beside synthesis: by how much LUTs (of all kinds) and FFs are off; whether the rest is the same."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("design", overflow="fold")
    for title in ("LUT", "estimate", "off", "FF", "estimate", "off", "DSP, block RAM"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in errors:
        row = []
        for key in ("comb", "ff"):
            guess, real = entry[key]
            off = guess / real - 1 if real else 0.0
            row += [f"{real:,}", f"{guess:,}", f"[{'red' if abs(off) > 0.1 else 'green'}]{off:+.1%}[/]"]
        same = all(entry[key][0] == entry[key][1] for key in ("dsp", "block_ram"))
        table.add_row(entry["name"], *row, "[green]exact[/]" if same else "[red]differ[/]")
    return table


def _table(name: str, *more: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(name, overflow="fold")
    for title in (*more, *_CELLS.values()):
        table.add_column(title, justify="right", no_wrap=title != "block RAM", min_width=5)
    return table


def _cells(entry: Mapping[str, Any]) -> list[str]:
    return [f"{entry[key]:,}" for key in _CELLS]

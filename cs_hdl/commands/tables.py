"""The tables that end a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

__all__ = ["facts", "layer_table", "port_text", "resource_table", "shape_text"]


def facts(rows: Mapping[str, str]) -> Table:
    """Names and what there is to say about them, in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def shape_text(shape: list[int] | tuple[int, ...]) -> str:
    """``[8, 8, 1]`` as "8x8x1"; a vector as its length."""
    numbers = list(shape)
    while len(numbers) > 1 and numbers[0] == 1:
        numbers = numbers[1:]
    return "x".join(map(str, numbers))


def port_text(port: Mapping[str, Any]) -> str:
    """One stream of a manifest in a line."""
    return (
        f"{port['port']}: {shape_text(port['shape'])} {port['dtype']}, "
        f"{port['beats']} beats of {port['values_per_beat']} {_plural('value', port['values_per_beat'])}"
    )


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def layer_table(manifest: Mapping[str, Any]) -> Table:
    """The layers of a manifest, one a row, and their totals."""
    layers = manifest["layers"]
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1))
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("design", no_wrap=True)
    for name, key in (("MACs dense", "macs_dense"), ("MACs sparse", "macs_sparse")):
        total = f"{sum(layer[key] for layer in layers):,}"
        # The name may take two lines, a number never does.
        table.add_column(name, total, justify="right", min_width=len(total))
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("sets (bound)", justify="right", min_width=7)
    table.add_column("kernels a set", justify="right", min_width=7)
    multipliers = sum(layer["multipliers"] for layer in layers)
    constants = sum(layer["constant_multipliers"] for layer in layers)
    table.add_column("multipliers", _multipliers(multipliers, constants), justify="right", no_wrap=True)
    table.add_column("cycles", f"[bold]{manifest['cycles_per_word']:,}[/]", justify="right", no_wrap=True)
    for layer in layers:
        if not layer["weights"]:
            winners = f"k = {layer['winners']}" if "KWTA" in layer["kind"] else ""
            table.add_row(layer["name"], f"{layer['kind']} {winners}".rstrip(), *([""] * 6), f"{layer['cycles']:,}")
            continue
        table.add_row(
            layer["name"],
            layer["mode"],
            f"{layer['macs_dense']:,}",
            f"{layer['macs_sparse']:,}",
            f"{100 * layer['nonzeros'] / layer['weights']:.1f} %",
            f"{layer['sets']}\N{NO-BREAK SPACE}({layer['set_bound']})",
            str(layer["kernels_per_set"]),
            _multipliers(layer["multipliers"], layer["constant_multipliers"]),
            f"{layer['cycles']:,}",
        )
    return table


def _multipliers(real: int, constant: int) -> str:
    """Real multipliers; those by a constant, which are made of adders, are marked with a c."""
    parts = [f"{real:,}"] if real or not constant else []
    return " + ".join([*parts, f"{constant:,}c"] if constant else parts)


def resource_table(report: Mapping[str, Any]) -> Table:
    """What a bitstream takes of its device."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2))
    names = {"lut": "LUT", "ff": "FF", "carry": "carry", "dsp": "DSP", "block_ram": "block RAM"}
    available = report.get("available", {})
    shown = [key for key in names if report.get(key) is not None]
    table.add_column("")
    for key in shown:
        table.add_column(names[key], justify="right")
    table.add_row("used", *(f"[bold]{report[key]:,}[/]" for key in shown))
    if available:
        table.add_row("available", *(f"{available[key]:,}" if key in available else "" for key in shown))
        table.add_row(
            "share", *(f"{100 * report[key] / available[key]:.0f} %" if available.get(key) else "" for key in shown)
        )
    return table

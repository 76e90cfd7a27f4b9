"""The tables that end a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from cs_hdl.plan.bound import Bound
    from cs_hdl.plan.device_limits import DeviceLimits
    from cs_hdl.plan.planner import Explanation

__all__ = ["explanation_text", "facts", "layer_table", "port_text", "resource_table", "shape_text"]


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


#: Characters that all columns of the layer table take, and the columns that can be left out where there are fewer.
_WIDE, _SPARE = 96, ("MACs dense", "weights")


def layer_table(manifest: Mapping[str, Any], *, width: int = _WIDE) -> Table:
    """The layers of a manifest, one a row, and their totals; two columns less where ``width`` is below 96."""
    rows = [_layer_cells(layer) for layer in manifest["layers"]]
    totals = _totals(manifest)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=0)
    names = [name for name in totals if width >= _WIDE or name not in _SPARE]
    for name in names:
        text = name in ("layer", "design")
        # The name of a column may take several lines, a number never does.
        least = max(len(row.get(name, "")) for row in (*rows, totals))
        table.add_column(name, totals[name], justify="left" if text else "right", no_wrap=text, min_width=least)
    for row in rows:
        table.add_row(*(row.get(name, "") for name in names))
    return table


def _layer_cells(layer: Mapping[str, Any]) -> dict[str, str]:
    cells = {"layer": layer["name"], "cycles": f"{layer['cycles']:,}"}
    if not layer["weights"]:
        winners = f"k = {layer['winners']}" if "KWTA" in layer["kind"] else ""
        return cells | {"design": f"{layer['kind']} {winners}".rstrip()}
    return cells | {
        "design": layer["mode"],
        "MACs dense": f"{layer['macs_dense']:,}",
        "MACs sparse": f"{layer['macs_sparse']:,}",
        "weights": f"{100 * layer['nonzeros'] / layer['weights']:.1f}\N{NO-BREAK SPACE}%",
        "sets of kernels (bound)": _sets(layer),
        "multipliers": _multipliers(layer["multipliers"], layer["constant_multipliers"]),
    }


def _totals(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The last row, which also names all columns in their order."""
    layers = manifest["layers"]
    dense, sparse, real, constant = (
        sum(layer[key] for layer in layers)
        for key in ("macs_dense", "macs_sparse", "multipliers", "constant_multipliers")
    )
    return {
        "layer": "total",
        "design": "",
        "MACs dense": f"{dense:,}",
        "MACs sparse": f"{sparse:,}",
        "weights": "",
        "sets of kernels (bound)": "",
        "multipliers": _multipliers(real, constant),
        "cycles": f"{manifest['cycles_per_word']:,}",
    }


def _sets(layer: Mapping[str, Any]) -> str:
    """``4 of 16 (4)``: sets, kernels in the fullest one, and the fewest sets that any packing needs."""
    text = f"{layer['sets']} of {layer['kernels_per_set']} ({layer['set_bound']})"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _multipliers(real: int, constant: int) -> str:
    """Real multipliers; those by a constant, which are made of adders, are marked with a c."""
    parts = [f"{real:,}"] if real or not constant else []
    return "\N{NO-BREAK SPACE}+\N{NO-BREAK SPACE}".join([*parts, f"{constant:,}c"] if constant else parts)


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


def explanation_text(why: Explanation, bound: Bound, *, cycles: int, limits: DeviceLimits) -> dict[str, str]:
    """What a plan of ``cycles`` cycles is expected to take, which layers are its bottleneck, what the next faster one
    would take, and how far from optimal it may be."""
    from cs_hdl.plan.device_limits import needs, usable

    there, takes = usable(limits), needs(why.cost, limits)

    def of_what_is_there(wanted: Mapping[str, int]) -> str:
        return ", ".join(f"{need:,} of {there[kind]:,} {kind}" for kind, need in wanted.items())

    if why.faster is None:
        faster = "no folding takes fewer cycles"
    else:
        cycles, wanted = why.faster[0], needs(why.faster[1], limits)
        over = {kind: need for kind, need in wanted.items() if need > there[kind]}
        text = of_what_is_there(over or {kind: need for kind, need in wanted.items() if need != takes[kind]})
        faster = f"{cycles:,} cycles a word {'would need' if over else 'would fit with'} {text or 'the same'}"
    return {
        "expected": of_what_is_there(takes),
        "bottleneck": ", ".join(why.bottleneck) or "the borders",
        "faster": faster,
        "bound": _bound_text(bound, cycles=cycles, limits=limits),
    }


def _bound_text(bound: Bound, *, cycles: int, limits: DeviceLimits) -> str:
    if bound.multipliers is None:
        reason = "no folding takes fewer"
    else:
        reason = f"fewer take at least {bound.multipliers:,} multipliers, {limits.name} has {bound.available:,}"
    if cycles <= bound.cycles:
        return f"optimal: {reason}"
    return f"{bound.cycles:,} cycles on this device ({cycles / bound.cycles:.2f} times fewer): {reason}"

"""The sections of the page of a design: from what is known of it to what the template shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.report.design_facts import kind_in_words
from cs_hdl.report.drawings import kernel_colour, packed_set, tensor_glyph, time_strip

if TYPE_CHECKING:
    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.report.design_facts import BuildFacts, DesignFacts
    from cs_hdl.report.occupancy import StageActivity

__all__ = ["build_section", "check_rows", "network_cards", "packing_section", "pipeline_section", "resource_section"]

#: Of a layer so many sets, and of its first set so many kernels alone, are drawn; of a set so many positions.
_SETS, _ALONE, _POSITIONS = 6, 3, 4096
_FOLD = 64
_RESOURCES = {"comb": "LUT", "ff": "FF", "dsp": "DSP", "block_ram": "block RAM"}
#: By the name that a device's limits have.
_LIMITS = {"comb": "lut", "dsp": "dsp", "block_ram": "block_ram", "ff": "ff"}


def _shape(shape: Any) -> str:
    numbers = list(shape)
    while len(numbers) > 1 and numbers[0] == 1:
        numbers = numbers[1:]
    return " x ".join(f"{number:,}" for number in numbers)


def network_cards(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A card for each layer."""
    for layer in manifest["layers"]:
        facts = []
        if layer["weights"]:
            share = layer["nonzeros"] / layer["weights"]
            facts.append(f"{layer['nonzeros']:,} of {layer['weights']:,} weights ({share:.1%})")
            facts.append(f"{layer['sets']} sets of {layer['kernels_per_set']} kernels (bound {layer['set_bound']})")
            parts = (
                [f"{layer['multipliers']:,} multiplier{'s' * (layer['multipliers'] > 1)}"]
                if layer["multipliers"]
                else []
            )
            parts += [f"{layer['constant_multipliers']:,} constants as adders"] if layer["constant_multipliers"] else []
            facts += parts
            facts.append(f"{layer['macs_sparse']:,} of {layer['macs_dense']:,} products")
        kind = layer["kind"]
        what = f"{kind}, k = {layer['winners']} of {layer['output'][2]:,}" if "KWTA" in kind else kind
        facts.append(f"{layer['cycles']:,} cycles a word")
        yield {
            "name": layer["name"], "mode": layer["mode"], "what": what, "facts": facts,
            "glyph": tensor_glyph(tuple(layer["output"])), "output": _shape(layer["output"]),
        }  # fmt: skip


def packing_section(facts: DesignFacts) -> Iterator[dict[str, Any]]:
    """For each layer with weights its first sets, drawn."""
    if facts.plan is None:
        return
    for name, packed in facts.plan.packed.layers.items():
        report = next(layer for layer in facts.manifest["layers"] if layer["name"] == name)
        sets, _, _, channels = packed.weights.shape
        taps = packed.weights.shape[1] * packed.weights.shape[2]
        positions = taps * channels
        columns = channels if taps > 1 and 8 <= channels <= 96 else _fold(positions, packed.weights.shape[2])
        filled = int((packed.kernel_ids >= 0).sum()) / packed.kernel_ids.size
        text = (
            f"{report['output'][2]:,} kernels of {positions:,} positions in {sets} sets: {filled:.1%} of all places "
            f"hold a weight. No packing can need fewer than {packed.lower_bound} sets"
        )
        text += "; kernels may lie in several sets." if packed.spanning is not None else "."
        if packed.kernels_per_set == 1:
            text += " Each kernel fills a set of its own, so nothing is overlaid."
        owners = _owners(packed, 0)
        members = [kernel for kernel in packed.sets[0] if kernel >= 0]
        alone = [
            {
                "name": f"kernel {members[kid]}",
                "svg": packed_set(
                    np.where(owners == kid, kid, -1)[:_POSITIONS], columns=columns, label=f"kernel {members[kid]}",
                    names=[f"kernel {member}" for member in members],
                ),
            }
            for kid in range(min(_ALONE, len(members)))
        ]  # fmt: skip
        drawn = [
            {
                "name": f"set {number}, {_kernels(packed.sets[number])}",
                "svg": packed_set(
                    _owners(packed, number)[:_POSITIONS], columns=columns, label=f"set {number} of {name}",
                    names=[f"kernel {kernel}" for kernel in packed.sets[number]],
                ),
            }
            for number in range(min(_SETS if packed.kernels_per_set > 1 else 1, sets))
        ]  # fmt: skip
        rest = [f"{sets - len(drawn)} more sets look alike"] if sets > len(drawn) else []
        rest += [f"the first {_POSITIONS:,} of {positions:,} positions are drawn"] if positions > _POSITIONS else []
        yield {
            "name": name, "text": text, "alone": alone if len(members) > 1 else [], "sets": drawn,
            "more": f"and {len(members) - len(alone)} more" if len(members) > len(alone) else "",
            "left": "; ".join(rest) + "." if rest else "",
        }  # fmt: skip


def _fold(positions: int, kernel_width: int) -> int:
    """Positions in a row of the drawing where the channels do not give it."""
    if positions <= 2 * _FOLD:
        return max(kernel_width, math.ceil(math.sqrt(positions)))
    return _FOLD


def _kernels(members: Sequence[int]) -> str:
    count = sum(kernel >= 0 for kernel in members)
    return f"{count} kernel{'s' * (count != 1)}"


def _owners(packed: PackedLayer, number: int) -> Any:
    """The kernel id at each position of a set, -1 where nothing lies."""
    return packed.kernel_ids[number].reshape(-1).astype(np.int64)


def pipeline_section(facts: DesignFacts) -> dict[str, Any] | None:
    """Every stage over the cycles of one word, and what it waits for."""
    if facts.plan is None:
        return None
    pace, latency = facts.plan.cycles_per_word, facts.plan.latency_cycles
    span = max(latency, 1)
    slowest = [row.name for row in facts.stages if row.cycles >= pace]
    flight = latency / pace
    text = (
        f"The last result of a word leaves {latency:,} cycles after its first beat came in; a new word may start every "
        f"{pace:,} cycles, so about {flight:.1f} words are under way at a time. "
        + (f"The pace is set by {', '.join(slowest)}." if slowest else "")
    )
    return {
        "pace_percent": round(100 * pace / span, 3),
        "rows": [_stage_row(row, pace=pace, span=span) for row in facts.stages],
        "ticks": [{"left": round(100 * at / span, 2), "text": f"{at:,}"} for at in _ticks(span)],
        "text": text,
    }


def _stage_row(row: StageActivity, *, pace: int, span: int) -> dict[str, Any]:
    # A word's results may be due a few cycles after the plan's last one where a border holds them.
    if row.verdict == "pace":
        wait = "never waits: it sets the pace"
    elif row.verdict == "starved":
        wait = f"waits {row.idle:.0%} of the time for data: {row.waits_for}"
    else:
        wait = f"is held back {row.idle:.0%} of the time by {row.waits_for}"
    return {
        "layer": row.layer, "what": row.what, "branch": row.branch, "verdict": row.verdict, "wait": wait,
        "load": min(100, round(100 * row.cycles / pace)),
        "taken": time_strip(row.taken, span=span, kind="taken"),
        "given": time_strip(row.given, span=span, kind="given"),
    }  # fmt: skip


def _ticks(span: int) -> list[int]:
    step = 10 ** math.floor(math.log10(max(1, span)))
    step = next((s for s in (step, step // 2, step // 5) if s and span / s >= 2.5), max(1, step // 10))
    return list(range(0, span + 1, step))


def resource_section(facts: DesignFacts) -> dict[str, Any] | None:
    """Cells by layer, against what the device has; measured totals where there is a build."""
    if facts.estimate is None:
        return None
    layers = {name: cells for name, cells in facts.estimate.items() if any(getattr(cells, key) for key in _RESOURCES)}
    colours = {name: kernel_colour(index) for index, name in enumerate(layers)}
    available = dict(facts.available)
    for build in facts.builds:
        available |= build.report.get("available", {})
    available.setdefault("ff", available["lut"])  # (an ECP5 has a flip-flop for each LUT)
    kinds, totals = [], {}
    for key, name in _RESOURCES.items():
        total = sum(getattr(cells, key) for cells in layers.values())
        there = available[_LIMITS[key]]
        totals[key] = total
        scale = 100 / max(there, total, 1)
        kinds.append({
            "name": name, "total": f"{total:,}", "available": f"{there:,}", "over": total > there,
            "share": f"{total / there:.0%}" if there else "none there",
            "parts": [
                {"name": layer, "count": f"{getattr(cells, key):,}", "colour": colours[layer],
                 "width": round(scale * getattr(cells, key), 3)}
                for layer, cells in layers.items() if getattr(cells, key)
            ],
        })  # fmt: skip
    rows = [
        {"name": name, "colour": colours[name], "cells": [f"{getattr(cells, key):,}" for key in _RESOURCES]}
        for name, cells in layers.items()
    ]
    foot = [{"name": "estimated", "cells": [f"{totals[key]:,}" for key in _RESOURCES]}]
    for build in facts.builds:
        cells = [f"{build.report[_LIMITS[key]]:,}" for key in _RESOURCES]
        foot.append({"name": f"routed on {build.report['board']}", "cells": cells})
    foot.append({"name": "available", "cells": [f"{available[_LIMITS[key]]:,}" for key in _RESOURCES]})
    text = f"Estimated before synthesis by layer, against the {facts.device}" + (
        "; what was placed and routed, the board's own part included, stands below the table." if facts.builds else "."
    )
    return {"text": text, "kinds": kinds, "heads": list(_RESOURCES.values()), "rows": rows, "foot": foot}


def build_section(build: BuildFacts) -> dict[str, Any]:
    """A bitstream, its clock, and what its slowest path is made of."""
    report = build.report
    met = "met" if report.get("timing_met") else "MISSED"
    text = (
        f"Fmax {report['fmax_mhz']:.1f} MHz after routing; the bitstream's clock is {report['clock_mhz']:.1f} MHz: "
        f"timing {met}, {report.get('words_per_second', 0):,.0f} words/s. Seed {report.get('seed', '?')}."
    )
    total = sum(part.delay_ns for part in build.path)
    kinds = build.path_kinds
    wires = kinds.get("wire", 0.0)
    ends = f"from {build.path[0].cells[0]} to {build.path[-1].cells[1]}" if build.path else ""
    return {
        "name": f"{report['board']}, {report['device']}",
        "text": text,
        "path_ns": f"{total:.2f}",
        "path_text": f"{wires / total:.0%} of it wire, {ends}:" if total else "",
        "path": [
            {"kind": kind_in_words(part.kind).split()[0],
             "title": f"{kind_in_words(part.kind)}, {part.delay_ns:.2f} ns: {part.cells[0]} to {part.cells[1]}",
             "width": round(100 * part.delay_ns / total, 3)}
            for part in build.path if part.delay_ns and total
        ],
        "kinds": [{"kind": kind.split()[0], "name": kind, "ns": f"{delay:.2f}"} for kind, delay in kinds.items()],
    }  # fmt: skip


def check_rows(facts: DesignFacts) -> list[tuple[str, str]]:
    """What simulation and evaluation found."""
    rows: list[tuple[str, str]] = []
    if facts.simulation is not None:
        s = facts.simulation
        verdict = "all equal to the golden model" if not s.get("mismatches") else f"{s['mismatches']:,} MISMATCHES"
        rows.append(("simulated", f"{s.get('words', 0):,} words, {s.get('values', 0):,} values: {verdict}"))
        stated = facts.manifest["cycles_per_word"], facts.manifest["latency_cycles"]
        found = s.get("cycles_per_word"), s.get("latency_cycles")
        rows.append(("cycles a word", f"{found[0]:,} measured, {stated[0]:,} stated"))
        rows.append(("latency", f"{found[1]:,} cycles measured, {stated[1]:,} stated"))
        rows.append(("simulator", f"{s.get('simulator', '?')}, {s.get('seconds', 0):,.0f} s"))
        for key, name in (("back_pressure", "random pauses"), ("wrong_lengths", "wrong lengths")):
            if s.get(key):
                rows.append((name, f"{s[key]['words']:,} words, {s[key]['mismatches']:,} mismatches"))
        rows += [("problem", str(problem)) for problem in s.get("problems", [])]
    rows += list(_evaluation_rows(facts.evaluation or {}))
    return rows


def _evaluation_rows(evaluation: Mapping[str, Any], *, above: str = "") -> Iterator[tuple[str, str]]:
    """Whatever plain values ``evaluation.json`` has, those of objects within too; shares as per cent."""
    for key, value in evaluation.items():
        name = f"{above}, {key}" if above else key
        name = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _evaluation_rows(value, above=name)
        elif isinstance(value, float) and any(word in name for word in ("accuracy", "share", "equal")):
            yield name, f"{value:.2%}" if 0 <= value <= 1 else f"{value:g}"
        elif isinstance(value, (bool, str)):
            yield name, str(value)
        elif isinstance(value, (int, float)):
            yield name, f"{value:,}"

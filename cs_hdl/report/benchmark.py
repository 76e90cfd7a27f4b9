"""The cost and speed of designs as they are kept on record, and whether they got worse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan
    from cs_hdl.report.benchmark_table import Entry

__all__ = ["TOLERANCE", "describe_plan", "describe_refusal", "load_results", "save_results", "worse"]

#: Share by which LUTs and FFs may grow before a check fails.
TOLERANCE = 0.02
#: What may not change at all for the worse.
_EXACT = ("cycles_per_word", "dsp", "block_ram")
_TOLERANT = ("lut4", "comb", "ff")


def describe_plan(entry: Entry, plan: Plan) -> dict[str, Any]:
    """What there is to say about a design before synthesis: options, cycles, sets, multipliers, products."""
    layers = [layer for layer in plan.layers if layer.weights]
    totals = ("multipliers", "constant_multipliers", "macs_dense", "macs_sparse", "nonzeros", "weights")
    return {
        "name": entry.name,
        "kernel": entry.kernel,
        "command": entry.command,
        "mode": entry.mode or "",
        "engine": "+".join(sorted({layer.engine for layer in layers})),
        "cycles_per_word": plan.cycles_per_word,
        "latency_cycles": plan.latency_cycles,
        "sets": sum(layer.sets for layer in layers),
        "set_bound": sum(layer.set_bound for layer in layers),
        **{key: sum(getattr(layer, key) for layer in layers) for key in totals},
    }


def describe_refusal(entry: Entry, reason: str) -> dict[str, Any]:
    """A design that the planner refuses."""
    return {"name": entry.name, "kernel": entry.kernel, "command": entry.command, "refused": reason}


def load_results(path: Path) -> dict[str, Any]:
    """What :func:`save_results` wrote; nothing where the file is absent. InputError where it is damaged."""
    if not path.is_file():
        return {"designs": [], "leaves": [], "tools": {}}
    try:
        content = json.loads(path.read_text())
        return {"designs": list(content["designs"]), "leaves": list(content["leaves"]), "tools": dict(content["tools"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the results of a benchmark ({error!r}); delete it") from None


def save_results(path: Path, results: Mapping[str, Any], *, order: Iterable[str], tools: Mapping[str, str]) -> None:
    """Write ``results``, the designs in ``order``; others are of an older table and go."""
    known = {design["name"]: design for design in results["designs"]}
    content = {
        "command": "scripts/benchmark",
        "conditions": "LUT4, CCU2C (carry), TRELLIS_DPR16X4 (lut_ram), TRELLIS_FF, MULT18X18D, DP16KD after synth_ecp5 "
        "of the whole design alone; comb = lut4 + 2 carry + 4 lut_ram; fmax_mhz after nextpnr-ecp5 --router router2 on "
        "an LFE5U-85F, speed grade 6, seed 1, all ports registered",
        "tools": dict(tools),
        "designs": [known[name] for name in order if name in known],
        "leaves": sorted(results["leaves"], key=lambda leaf: str(leaf["name"])),
    }
    write_aside(path, json.dumps(content, indent=1) + "\n")


def worse(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In words, every figure of ``new`` that is worse than ``old`` by more than its tolerance."""
    found = []
    if "refused" in new and "refused" not in old:
        return [f"refused now: {new['refused']}"]
    for key, share in (*((key, 0.0) for key in _EXACT), *((key, TOLERANCE) for key in _TOLERANT)):
        if key in old and new[key] > old[key] * (1 + share):
            found.append(f"{key} {old[key]:,} -> {new[key]:,}" + (f" (more than {share:.0%})" if share else ""))
    return found

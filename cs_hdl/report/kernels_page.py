"""``docs/kernels.md`` and its plots, made from the records of the benchmark and of the peers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cs_hdl.build.alone import GOAL_MHZ
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.report.benchmark_table import LEAF_DESIGNS, TABLE

__all__ = ["speedup", "write_page"]

_MODES = ("dense", "sparse-dense", "sparse-sparse")
_INTRODUCTION = """\
# What each kernel costs, and how fast it is

Made by `scripts/benchmark --write-docs` from [`results/kernels.json`](results/kernels.json); do not edit.

Every design is what `cs-hdl generate` writes, synthesised alone for an ECP5 with the script of `cs-hdl build`
({tools}): cells before placing. LUT is LUT4 + 2 CCU2C + 4 DPR16X4. Cycles are those of the plan, which
simulations in `tests/` verify. *Speed-up* is cycles of the ideal dense design on as many multipliers (one
product each in every cycle) divided by the design's cycles; where constants are multiplied by adders there
is no multiplier to compare with.
"""


def write_page(record: Mapping[str, Any], docs: Path) -> list[Path]:
    """Write ``kernels.md`` and ``kernels/*.svg`` to the folder ``docs``; gives what was written.

    Raises InputError where the record is empty.
    """
    from cs_hdl.report.kernels_plots import cost_plot, speedup_plot, sweep_plot

    known = {design["name"]: design for design in record["designs"]}
    designs = [known[entry.name] for entry in TABLE if entry.name in known]
    measured = [design for design in designs if "refused" not in design]
    if not measured:
        raise InputError("no designs in the record; run scripts/benchmark first")
    tools = ", ".join(f"{name} {version}" for name, version in record.get("tools", {}).items())
    text = [_INTRODUCTION.format(tools=tools)]
    kernels = [design for design in measured if design["mode"] in _MODES and design["multipliers"]]
    sweep = sorted((d for d in measured if d["kernel"].startswith("sweep")), key=lambda d: -d["nonzeros"])
    written = []
    for title, name, plot, chosen in (
        ("Three designs of each kernel", "cost", cost_plot, _without_sweep(kernels)),
        ("Speed-up against dense", "speedup", speedup_plot, _without_sweep(kernels)),
        ("Resources against sparsity", "sweep", sweep_plot, sweep),
    ):
        if not chosen:
            continue
        path = docs / "kernels" / f"{name}.svg"
        plot(chosen, path)
        written.append(path)
        text.append(f"## {title}\n\n![{title}](kernels/{name}.svg)\n\n{_table(chosen)}")
    others = [d for d in measured if d not in kernels and d not in sweep]
    if others:
        text.append(f"## Selections, and constants as adders\n\n{_table(others)}")
    refused = [d for d in designs if "refused" in d]
    if refused:
        text.append("## Refused\n\n" + "\n".join(f"- {d['name']}: {d['refused']}" for d in refused) + "\n")
    if record["leaves"]:
        text.append(_leaves(record["leaves"]))
    peers = docs / "results" / "peers.json"
    if peers.is_file():
        text.append(_peers(peers))
    text.append(_estimates(record["designs"]))
    page = docs / "kernels.md"
    write_aside(page, "\n".join(text))
    return [page, *written]


def speedup(design: Mapping[str, Any]) -> float:
    """Times fewer cycles than the ideal dense design on as many multipliers."""
    return float(design["macs_dense"] / design["multipliers"] / design["cycles_per_word"])


def _without_sweep(designs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [design for design in designs if not design["kernel"].startswith("sweep")]


def _table(designs: Sequence[Mapping[str, Any]]) -> str:
    titles = ["design", "cycles", "latency", "multipliers", "sets (bound)", "weights", "speed-up"]
    titles += ["LUT", "LUT4", "carry", "LUT RAM", "FF", "DSP", "block RAM"]
    routed = any("fmax_mhz" in design for design in designs)
    rows = []
    for d in designs:
        constant = d["constant_multipliers"]
        fast = f"{speedup(d):.1f}" if d["multipliers"] and not constant else ""
        weights = f"{d['nonzeros']:,} of {d['weights']:,}" if d["weights"] else ""
        sets = f"{d['sets']} ({d['set_bound']})" if d["weights"] else ""
        row = [d["name"], f"{d['cycles_per_word']:,}", f"{d['latency_cycles']:,}"]
        row += [f"{d['multipliers']:,}" + (f" + {constant:,} constant" if constant else ""), sets, weights, fast]
        row += [f"{d[key]:,}" for key in ("comb", "lut4", "carry", "lut_ram", "ff", "dsp", "block_ram")]
        rows.append(row + ([f"{d['fmax_mhz']:.0f} MHz" if "fmax_mhz" in d else ""] if routed else []))
    return _markdown(titles + (["Fmax"] if routed else []), rows)


def _leaves(leaves: Sequence[Mapping[str, Any]]) -> str:
    names = ", ".join(f"*{entry.name}*: `{entry.command}`" for entry in LEAF_DESIGNS)
    keys = ("comb", "ff", "dsp", "block_ram")
    rows = [
        [leaf["name"], *(f"{leaf[key]:,}" for key in keys), f"{leaf['fmax_mhz']:.0f}" if "fmax_mhz" in leaf else ""]
        for leaf in leaves
    ]
    routed = [leaf for leaf in leaves if "fmax_mhz" in leaf]
    slow = [leaf for leaf in routed if leaf["fmax_mhz"] < GOAL_MHZ]
    return (
        "## Components alone\n\nEach as it stands in a real design, routed alone on an LFE5U-85F of speed grade 6, "
        f"all ports registered (`scripts/benchmark --leaves --route`). {len(routed) - len(slow)} of {len(routed)} that "
        f"were routed hold the goal, {GOAL_MHZ} MHz.\n\nThe designs: {names} "
        "(what is no `cs-hdl generate` is a network of that layer alone, which a user brings as ONNX).\n\n"
        + _markdown(["component", "LUT", "FF", "DSP", "block RAM", "Fmax, MHz"], rows)
        + _slow(slow)
    )


def _slow(leaves: Sequence[Mapping[str, Any]]) -> str:
    """The components below the goal, with the path that makes them slow."""
    if not leaves:
        return ""
    rows = []
    for leaf in sorted(leaves, key=lambda leaf: leaf["fmax_mhz"]):
        path = leaf.get("slowest_path", {"from": "", "to": "", "steps": "", "ns": {}})
        ns = [f"{path['ns'].get(kind, 0):.1f}" if path["ns"] else "" for kind in ("clk-to-q", "logic", "routing")]
        rows.append([leaf["name"], f"{leaf['fmax_mhz']:.0f}", path["from"], path["to"], str(path["steps"]), *ns])
    titles = ["component", "Fmax, MHz", "from", "to", "LUTs", "clock to output, ns", "logic, ns", "wire, ns"]
    return (
        f"\n### What holds those below {GOAL_MHZ} MHz\n\nThe slowest path of each. Why it is there, and what would cut "
        'it, stands in [decisions.md](decisions.md) ("Clocks of these leaves alone").\n\n' + _markdown(titles, rows)
    )


def _peers(path: Path) -> str:
    try:
        content = json.loads(path.read_text())
        peers = content["peers"] if isinstance(content, dict) else content
        keys = {"comb": "LUT", "lut4": "LUT4", "carry": "carry", "ff": "FF", "dsp": "DSP", "block_ram": "block RAM"}
        rows = [
            [f"{p['peer']} {p['version']}", p["layer"], *(_number(p.get(k)) for k in ("multipliers", "cycles", *keys))]
            for p in _objects(peers)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the record of the peers ({error!r})") from None
    titles = ["peer", "layer", "multipliers", "cycles", *keys.values()]
    return (
        f"## Peers\n\nFrom [`results/peers.json`](results/peers.json), synthesised alike.\n\n{_markdown(titles, rows)}"
    )


def _objects(peers: Any) -> list[dict[str, Any]]:
    """``peers`` if it is a list of objects; TypeError otherwise."""
    if not isinstance(peers, list):
        raise TypeError("not a list")
    return peers


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) else ""


def _estimates(designs: Sequence[Mapping[str, Any]]) -> str:
    from cs_hdl.estimate.model import accuracy

    errors = accuracy(designs)
    off = {key: [abs(e[key][0] / e[key][1] - 1) for e in errors if e[key][1]] for key in ("comb", "lut4", "ff")}
    exact = all(e[key][0] == e[key][1] for e in errors for key in ("dsp", "block_ram"))
    worst = {key: max(values, default=0.0) for key, values in off.items()}
    mean = {key: sum(values) / max(1, len(values)) for key, values in off.items()}
    return (
        "## Estimates before synthesis\n\n"
        f"`cs-hdl estimate` against synthesis, over {len(errors)} designs of the record (those called *trial* had no "
        f"part in fitting): LUT off by {mean['comb']:.1%} on average and {worst['comb']:.1%} at most (LUT4 alone by "
        f"{mean['lut4']:.1%} and {worst['lut4']:.1%}), FF by "
        f"{mean['ff']:.1%} and {worst['ff']:.1%}; DSP and block RAM {'exact' if exact else '**not exact**'}.\n"
    )


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

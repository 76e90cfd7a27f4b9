"""One self-contained HTML page of a design, or of two side by side: no script, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cs_hdl import __version__
from cs_hdl.report.design_sections import (
    build_section,
    check_rows,
    network_cards,
    packing_section,
    pipeline_section,
    resource_section,
)
from cs_hdl.report.drawings import tensor_glyph

if TYPE_CHECKING:
    from cs_hdl.report.design_facts import DesignFacts

__all__ = ["design_page"]

_TEMPLATES = Path(__file__).with_name("templates")
_SECTIONS = {
    "summary": "At a glance", "comparison": "Side by side", "network": "Network", "packing": "Packing",
    "pipeline": "Pipeline", "resources": "Resources", "timing": "Timing", "checks": "Accuracy and simulation",
    "versions": "Versions",
}  # fmt: skip


def design_page(designs: Sequence[DesignFacts]) -> str:
    """The page of one design or two; equal designs give equal text."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = [facts.name for facts in designs]
    contexts = [_context(facts, letter) for facts, letter in zip(designs, "AB", strict=False)]
    sections = [item for item in _SECTIONS.items() if item[0] != "comparison" or len(designs) == 2]
    return environment.get_template("design.html.j2").render(
        title=" and ".join(names),
        version=__version__,
        style=Markup((_TEMPLATES / "design.css").read_text()),
        sections=sections,
        designs=contexts,
        comparison=_comparison(*designs) if len(designs) == 2 else None,
    )


def _context(facts: DesignFacts, letter: str) -> dict[str, Any]:
    manifest = facts.manifest
    return {
        "letter": letter,
        "name": facts.name,
        "source": f"{manifest.get('network', '')}: {manifest.get('source', '')}",
        "tiles": _tiles(facts),
        "notes": facts.notes,
        "input": _tensor(manifest["input"]),
        "output": _tensor(manifest["output"]),
        "layers": [_marked(card, "glyph") for card in network_cards(manifest)],
        "packing": [_marked_packing(layer) for layer in packing_section(facts)],
        "pipeline": _marked_pipeline(pipeline_section(facts)),
        "resources": resource_section(facts),
        "builds": [build_section(build) for build in facts.builds],
        "checks": check_rows(facts),
        "versions": _versions(facts),
    }


def _marked(card: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """``card`` with our own SVG marked as such; all other text is escaped by the template."""
    return dict(card) | {key: Markup(card[key]) for key in keys}


def _marked_packing(layer: Mapping[str, Any]) -> dict[str, Any]:
    return dict(layer) | {key: [_marked(item, "svg") for item in layer[key]] for key in ("alone", "sets")}


def _marked_pipeline(section: dict[str, Any] | None) -> dict[str, Any] | None:
    return section and section | {"rows": [_marked(row, "taken", "given") for row in section["rows"]]}


def _tensor(port: Mapping[str, Any]) -> dict[str, Any]:
    shape = list(port["shape"])
    whole = [1] * (3 - len(shape)) + shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return {
        "shape": " x ".join(f"{side:,}" for side in shape),
        "dtype": port["dtype"],
        "beats": f"{port['beats']:,} beats of {port['values_per_beat']}",
        "glyph": Markup(tensor_glyph((whole[0], whole[1], whole[2]))),
    }


def _totals(facts: DesignFacts) -> dict[str, float]:
    """The figures of a design, by name; those that are not known are left out."""
    layers = facts.manifest["layers"]
    found: dict[str, float] = {
        key: sum(layer[key] for layer in layers)
        for key in ("macs_dense", "macs_sparse", "multipliers", "constant_multipliers", "nonzeros", "weights", "sets")
    }
    found |= {key: facts.manifest[key] for key in ("cycles_per_word", "latency_cycles")}
    found["clock_mhz"] = facts.clock_mhz
    found["words_per_second"] = facts.clock_mhz * 1e6 / facts.manifest["cycles_per_word"]
    if facts.builds:
        report = facts.builds[0].report
        found |= {"fmax_mhz": report["fmax_mhz"]} | {key: report[key] for key in ("lut", "ff", "dsp", "block_ram")}
    elif facts.estimate is not None:
        cells = facts.estimate.values()
        found |= {"lut": sum(cell.comb for cell in cells)}
        found |= {key: sum(getattr(cell, key) for cell in cells) for key in ("ff", "dsp", "block_ram")}
    return found


def _tiles(facts: DesignFacts) -> list[dict[str, str]]:
    t = _totals(facts)
    how = f"at {facts.clock_mhz:.4g} MHz, " + (
        f"routed on {facts.board}" if facts.builds else f"the usual clock of {facts.board}"
    )
    constant = f"and {t['constant_multipliers']:,.0f} constants as adders" if t["constant_multipliers"] else ""
    tiles = [
        ("words a second", f"{t['words_per_second']:,.0f}", "", how),
        ("cycles a word", f"{t['cycles_per_word']:,.0f}", "", f"latency {t['latency_cycles']:,.0f}"),
        ("multipliers", f"{t['multipliers']:,.0f}", "", constant),
        ("products saved", f"{t['macs_dense'] / max(1, t['macs_sparse']):,.1f}", "times",
         f"{t['macs_sparse']:,.0f} of {t['macs_dense']:,.0f} left"),
        ("weights left", f"{t['nonzeros'] / max(1, t['weights']):.1%}", "",
         f"{t['nonzeros']:,.0f} of {t['weights']:,.0f}"),
    ]  # fmt: skip
    if "lut" in t:
        share = t["lut"] / facts.available["lut"]
        tiles.append(("LUT", f"{t['lut']:,.0f}", "", f"{share:.0%} of the {facts.device}"))
    return [{"name": name, "value": value, "unit": unit, "note": note} for name, value, unit, note in tiles]


#: Rows of the comparison: key, name, whether less is better (None: neither), digits.
_ROWS: tuple[tuple[str, str, bool | None, int], ...] = (
    ("words_per_second", "words a second", False, 0),
    ("clock_mhz", "clock, MHz", False, 1),
    ("cycles_per_word", "cycles a word", True, 0),
    ("latency_cycles", "latency, cycles", True, 0),
    ("macs_sparse", "products a word", True, 0),
    ("nonzeros", "weights that are not zero", None, 0),
    ("sets", "sets", True, 0),
    ("multipliers", "multipliers", True, 0),
    ("constant_multipliers", "constants as adders", None, 0),
    ("lut", "LUT", True, 0),
    ("ff", "FF", True, 0),
    ("dsp", "DSP", True, 0),
    ("block_ram", "block RAM", True, 0),
)


def _comparison(first: DesignFacts, second: DesignFacts) -> list[dict[str, str]]:
    a, b = _totals(first), _totals(second)
    rows = []
    for key, name, less, digits in _ROWS:
        if key not in a or key not in b:
            continue
        old, new = a[key], b[key]
        verdict = "" if less is None or old == new else "better" if (new < old) == less else "worse"
        ratio = "the same" if old == new else ""
        if old and new and old != new:
            ratio = f"{new / old:.3g} times more" if new > old else f"{old / new:.3g} times less"
        cells = {"a": f"{old:,.{digits}f}", "b": f"{new:,.{digits}f}"}
        rows.append({"name": name, **cells, "ratio": ratio, "verdict": verdict})
    return rows


def _versions(facts: DesignFacts) -> list[tuple[str, str]]:
    manifest = facts.manifest
    rows = [("cs-hdl, design", str(manifest.get("version", "?"))), ("cs-hdl, this page", __version__)]
    for build in facts.builds:
        rows += [(f"{name}, {build.report['board']}", version) for name, version in build.report["tools"].items()]
    if facts.simulation is not None:
        rows.append(("simulator", str(facts.simulation.get("simulator", "?"))))
    return rows + [(f"SHA-256 of {name}", digest) for name, digest in manifest["sources"].items()]

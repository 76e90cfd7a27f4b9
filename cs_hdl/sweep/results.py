"""``results.json`` and ``results.csv`` of a sweep."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cs_hdl.files import write_aside
from cs_hdl.sweep.engine import Outcome
from cs_hdl.sweep.keys import Surroundings
from cs_hdl.sweep.study import OPTIONS, RunOptions, Study

__all__ = ["results_object", "write_results"]


def results_object(
    study: Study, *, run: RunOptions, surroundings: Surroundings, outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    """What ``results.json`` holds: the contract's ``points``, and what they were made with. No date, no path."""
    return {
        "format": 1,
        "title": study.title,
        "study": {"file": study.path.name, "sha256": study.digest},
        "run": asdict(run),
        "versions": surroundings.all_versions,
        "points": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "options": outcome.point.named,
        "status": outcome.status,
        "metrics": outcome.metrics,
        "digest": outcome.digest,
        "design": outcome.design,
        "seconds": outcome.seconds,
    }
    return entry | ({"error": outcome.error} if outcome.error else {})


def write_results(folder: Path, content: dict[str, Any]) -> None:
    """Write ``results.json`` and the same as ``results.csv``, each whole or not at all."""
    write_aside(folder / "results.json", json.dumps(content, indent=1) + "\n")
    write_aside(folder / "results.csv", _csv(content["points"]))


def _csv(points: Sequence[dict[str, Any]]) -> str:
    every = (name.replace("_", "-") for name in OPTIONS)
    options = [name for name in every if any(name in point["options"] for point in points)]
    metrics = _names(point["metrics"] for point in points)
    heads = [*options, "status", *metrics]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*heads, "digest", "design", "seconds", "error"])
    for point in points:
        cells = [point["options"].get(name, "") for name in options]
        cells += [point["status"], *(point["metrics"].get(name, "") for name in metrics)]
        writer.writerow([*cells, point["digest"], point["design"] or "", point["seconds"], point.get("error", "")])
    return buffer.getvalue()


def _names(tables: Iterable[dict[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for table in tables:
        names |= dict.fromkeys(table)
    return list(names)

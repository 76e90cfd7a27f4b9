"""Which parts of a routed design bound its clock: the slowest path that ends in each, of all that nextpnr timed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.files import write_aside

__all__ = ["PathPart", "condense_timings", "critical_path", "delay_by_kind", "net_of"]

#: The stage of a cell: the first part of its name within the accelerator.
_STAGE = re.compile(r"(?:^|\.)accelerator\.(\w+)\.")
#: What is not in a stage: serial port, framing, the self-benchmark.
_BOARD = "board"


@dataclass(frozen=True, kw_only=True)
class PathPart:
    """A step of a path: ``kind`` is nextpnr's (``clk-to-q``, ``logic``, ``routing``, ``setup``), the ends are cells.

    A port is the cell's pin, as the device calls it (``DOB4`` of a block RAM, ``CE`` of a register).
    """

    kind: str
    cells: tuple[str, str]
    ports: tuple[str, str]
    delay_ns: float


def critical_path(report: Mapping[str, Any], clock: str) -> tuple[PathPart, ...]:
    """The slowest path from ``clock`` to itself in nextpnr's ``report``; nothing where it tells of none.

    Raises KeyError or TypeError for a report of another form.
    """
    wanted = f"posedge {clock}"
    for entry in report["critical_paths"]:
        if entry["from"] == entry["to"] == wanted:
            return tuple(
                PathPart(
                    kind=part["type"],
                    cells=(part["from"]["cell"], part["to"]["cell"]),
                    ports=(part["from"]["port"], part["to"]["port"]),
                    delay_ns=part["delay"],
                )
                for part in entry["path"]
            )
    return ()


def delay_by_kind(path: Iterable[PathPart]) -> dict[str, float]:
    """Nanoseconds of ``path`` by kind, in the order in which the kinds come."""
    found: dict[str, float] = {}
    for part in path:
        found[part.kind] = found.get(part.kind, 0.0) + part.delay_ns
    return found


def net_of(name: str) -> str:
    """The net that nextpnr drove through a global buffer of its own."""
    return re.sub(r"(\$SB_IO_IN)?(_\$glb_clk)?$", "", name.removeprefix("$glbnet$"))


def condense_timings(path: Path, clock: Collection[str], *, refined: int = 0) -> None:
    """Replace the timings of all nets in nextpnr's report ``path``, which are very long, by ``slowest``.

    That is, for each stage of the accelerator and for the board around it, the nanoseconds of the slowest path within
    the clock (any of the names ``clock`` of its net) that ends there, without the setup time at its end, the slowest
    first. ``refined``, the round that made the design, is written beside it where there was one. An unreadable report
    is left as it is; who reads it complains.
    """
    try:
        report = json.loads(path.read_text())
        slowest = _slowest(report.pop("detailed_net_timings"), clock)
    except (OSError, ValueError, KeyError, TypeError):
        return
    report["slowest"] = dict(sorted(slowest.items(), key=lambda entry: (-entry[1], entry[0])))
    if refined:
        report["refined"] = refined
    write_aside(path, json.dumps(report, indent=1) + "\n")


def _slowest(nets: list[dict[str, Any]], clock: Collection[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for net in nets:
        for end in net["endpoints"]:
            if not all(_in_clock(event, clock) for event in (net["event"], end["event"])):
                continue
            match = _STAGE.search(end["cell"])
            stage = match[1] if match else _BOARD
            found[stage] = max(found.get(stage, 0.0), round(end["delay"][1], 3))
    return found


def _in_clock(event: str, clock: Collection[str]) -> bool:
    """Whether ``event`` (``posedge NET``) is an edge of the clock."""
    return net_of(event.partition(" ")[2]) in clock

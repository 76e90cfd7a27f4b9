"""All that a design directory knows of its design, in the form in which a page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.board.catalogue import device_limits, find_board
from cs_hdl.build.alone import Cells
from cs_hdl.build.cache import digest_of
from cs_hdl.build.slowest import PathPart, critical_path, delay_by_kind
from cs_hdl.emit.design import check_design
from cs_hdl.errors import InputError, ToolError
from cs_hdl.estimate.by_layer import cells_by_layer
from cs_hdl.estimate.features import features_digest
from cs_hdl.estimate.model import estimate_cells, load_coefficients
from cs_hdl.files import read_record, write_aside
from cs_hdl.plan.plan import load_plan
from cs_hdl.report.occupancy import activities

if TYPE_CHECKING:
    from cs_hdl.plan.plan import Plan
    from cs_hdl.report.occupancy import StageActivity

__all__ = ["BuildFacts", "DesignFacts", "gather", "kind_in_words"]

_AGAIN = "make it again"
#: Shares of a critical path that nextpnr tells apart, in our words.
_PATH_KINDS = {"clk-to-q": "register or memory", "logic": "logic", "setup": "set-up", "routing": "wire"}


def kind_in_words(kind: str) -> str:
    """What we call nextpnr's ``kind`` of a part of a path."""
    return _PATH_KINDS.get(kind, kind)


@dataclass(frozen=True, kw_only=True)
class BuildFacts:
    """A bitstream's ``report.json`` and the parts of its slowest path."""

    report: dict[str, Any]
    path: tuple[PathPart, ...]

    @property
    def path_kinds(self) -> dict[str, float]:
        """Nanoseconds by kind, in our words."""
        found = dict.fromkeys(_PATH_KINDS, 0.0) | delay_by_kind(self.path)
        return {kind_in_words(kind): round(delay, 2) for kind, delay in found.items() if delay}


@dataclass(frozen=True, kw_only=True, eq=False)
class DesignFacts:
    """A design: its files' contents, its plan, what is estimated of it; ``notes`` say what is not there and why."""

    folder: Path
    manifest: dict[str, Any]
    plan: Plan | None
    stages: tuple[StageActivity, ...]
    estimate: dict[str, Cells] | None
    board: str
    device: str
    clock_mhz: float
    available: dict[str, int]
    simulation: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    builds: tuple[BuildFacts, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name


def gather(folder: Path, *, board: str) -> DesignFacts:
    """Read the design directory ``folder``; resources are compared with the device of ``board``.

    Raises InputError where it is no design directory or a file in it is damaged. What is merely absent (a
    simulation, a build, Yosys for the estimate) is left out, with a note.
    """
    target = find_board(board)
    manifest = check_design(folder)
    notes: list[str] = []
    builds = tuple(_builds(folder, notes))
    plan, stages = _plan(folder, notes)
    limits = target.limits
    if builds:
        limits = device_limits(builds[0].report["device"])
        board = builds[0].report["board"]
    return DesignFacts(
        folder=folder,
        manifest=manifest,
        plan=plan,
        stages=stages,
        estimate=_estimate(folder, manifest, notes),
        board=board,
        device=limits.name,
        clock_mhz=builds[0].report["clock_mhz"] if builds else target.clock_mhz,
        available={"lut": limits.lut, "dsp": limits.dsp, "block_ram": limits.block_ram},
        simulation=_simulation(folder, notes),
        evaluation=read_record(folder / "evaluation.json", again=_AGAIN),
        builds=builds,
        notes=tuple(notes),
    )


def _plan(folder: Path, notes: list[str]) -> tuple[Plan | None, tuple[StageActivity, ...]]:
    if not (folder / "plan.json").is_file() or not (folder / "packed.json").is_file():
        notes.append("The plan is not in the folder, so neither packing nor pipeline can be drawn.")
        return None, ()
    plan = load_plan(folder)
    return plan, tuple(activities(plan))


def _estimate(folder: Path, manifest: Mapping[str, Any], notes: list[str]) -> dict[str, Cells] | None:
    """By layer; kept in the folder, since it takes a minute for a large design."""
    text = (folder / "design.v").read_text()
    parts = {"design": text, "top": manifest["top"], "features": features_digest(), "lut4": load_coefficients()}
    key, path = digest_of(parts), folder / "build" / "estimate.json"
    known = _kept_estimate(path, key)
    if known is not None:
        return known
    try:
        found = cells_by_layer(manifest, estimate_cells(text, top=manifest["top"]))
    except ToolError as error:
        notes.append(f"Resources were not estimated: {str(error).splitlines()[0]}")
        return None
    content = {"key": key, "layers": {name: asdict(cells) for name, cells in found.items()}}
    with suppress(OSError):
        write_aside(path, json.dumps(content, indent=1) + "\n")
    return found


def _kept_estimate(path: Path, key: str) -> dict[str, Cells] | None:
    try:
        content = json.loads(path.read_text())
        return {n: Cells(**c) for n, c in content["layers"].items()} if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _simulation(folder: Path, notes: list[str]) -> dict[str, Any] | None:
    found = read_record(folder / "simulation.json", again=_AGAIN)
    if found is None:
        notes.append(f"Not simulated yet: cs-hdl simulate {folder}")
    return found


def _builds(folder: Path, notes: list[str]) -> list[BuildFacts]:
    found = []
    for path in sorted((folder / "build").glob("*/report.json")):
        report = read_record(path, again=_AGAIN)
        if report is None:
            continue
        missing = {"board", "device", "fmax_mhz", "clock_mhz", "lut", "ff", "dsp", "block_ram"} - report.keys()
        if missing:
            raise InputError(f"{path}: {', '.join(sorted(missing))} missing; build the design again")
        found.append(BuildFacts(report=report, path=_critical_path(path.with_name("nextpnr.json"), report)))
    if not found:
        notes.append(f"No bitstream yet: cs-hdl build {folder} --board NAME")
    return found


def _critical_path(path: Path, report: Mapping[str, Any]) -> tuple[PathPart, ...]:
    """The slowest path of the design's clock in nextpnr's report; nothing where that is absent."""
    content = read_record(path, again=_AGAIN)
    try:
        if content is None:
            return ()
        # The clock is known by its Fmax.
        clocks = content["fmax"]
        clock = min(clocks, key=lambda name: abs(clocks[name]["achieved"] - report["fmax_mhz"]))
        return critical_path(content, clock)
    except (KeyError, TypeError, ValueError):
        return ()  # (Another version of nextpnr; the page can do without.)

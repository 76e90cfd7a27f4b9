"""nextpnr: from the netlist to a routed design, and how fast and how large that is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cs_hdl.build.family import FAMILIES, Family
from cs_hdl.build.refine import KEEP_PLACEMENT, Checkpoints, begin, refine
from cs_hdl.build.run import run_tool
from cs_hdl.build.slowest import condense_timings, net_of
from cs_hdl.build.synthesis import Netlist
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ResultError, ToolError

__all__ = ["Routed", "device_options", "gowin_options", "ice40_options", "place_and_route", "read_report", "write_asc"]

#: What nextpnr says where a chip is too full.
_TOO_LARGE = ("Failed to expand region", "Unable to find legal placement", "Unable to place cell")
_KINDS = ("lut", "ff", "dsp", "block_ram")

_PACKAGES = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381", "BG554": "CABGA554", "BG756": "CABGA756"}
_ICE40 = {
    "iCE40LP1K": "--lp1k",
    "iCE40LP8K": "--lp8k",
    "iCE40HX1K": "--hx1k",
    "iCE40HX8K": "--hx8k",
    "iCE40UP5K": "--up5k",
}


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A routed design: the two clocks' Fmax, the resources used and those that the device has.

    ``slowest`` holds the nanoseconds of the slowest path in each stage, see :mod:`cs_hdl.build.slowest`. ``refined`` is
    the round of :mod:`cs_hdl.build.refine` that made it, 0 for nextpnr's own placement.
    """

    seed: int
    fmax_mhz: float
    serial_fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    slowest: dict[str, float] = field(default_factory=dict)
    refined: int = 0


def device_options(device: str, *, package: str, speed: str) -> list[str]:
    """nextpnr-ecp5's options for ``device`` (``LFE5UM5G-85F``) as amaranth-boards names it."""
    family, _, size = device.partition("-")
    kinds = {"LFE5U": "", "LFE5UM": "um-", "LFE5UM5G": "um5g-"}
    if family not in kinds or package not in _PACKAGES:
        raise ToolError(f"nextpnr-ecp5 knows no {device} in {package}")
    return [f"--{kinds[family]}{size.removesuffix('F')}k", "--package", _PACKAGES[package], "--speed", speed]


def ice40_options(device: str, *, package: str) -> list[str]:
    """nextpnr-ice40's options for ``device`` (``iCE40UP5K``) as amaranth-boards names it."""
    if device not in _ICE40:
        raise ToolError(f"nextpnr-ice40 knows no {device}")
    return [_ICE40[device], "--package", package.lower()]


def gowin_options(device: str, *, chip: str) -> list[str]:
    """nextpnr-himbaechel-gowin's options for the part ``device``, whose die is ``chip`` (``GW1N-9C``)."""
    return ["--device", device, "--vopt", f"family={chip}"]


def _options(family: Family, *, clock_mhz: float) -> list[str]:
    """Constraints in, result out, and how; the same for all devices of a family."""
    if family.name == "ecp5":
        # router2: the other one takes ten times as long on designs of this kind.
        return ["--lpf", family.constraints, "--textcfg", family.config, "--router", "router2"]
    frequency = ["--freq", f"{clock_mhz:.3f}"]
    if family.name == "ice40":
        return ["--pcf", family.constraints, "--write", family.config, *frequency]
    return ["--vopt", f"cst={family.constraints}", "--write", family.config, *frequency]


def write_asc(nextpnr: Tool, folder: Path, *, device: list[str], family: Family) -> None:
    """Make ``top.asc``, icepack's input, of the routed design of an iCE40. Raises ToolError where nextpnr fails."""
    stages = [f"--no-{stage}" for stage in ("pack", "place", "route")]
    run_tool(nextpnr, [*device, "--json", family.config, *stages, "--asc", "top.asc"], folder=folder, log="asc.log")


def place_and_route(
    nextpnr: Tool,
    folder: Path,
    *,
    device: list[str],
    seed: int,
    netlist: Netlist,
    family: Family = FAMILIES["ecp5"],
    clock_mhz: float = 0.0,
    rounds: int = 0,
    enough_mhz: float = math.inf,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[str], None] = lambda phase: None,
) -> Routed:
    """Make the family's ``config`` of ``top.json`` and the constraints in ``folder``.

    ``clock_mhz`` is what is aimed at (an ECP5's constraints say it). A missed frequency is no failure here. With
    ``rounds`` an ECP5's cells are moved and routed anew so often at most, until ``enough_mhz`` is met; with
    ``checkpoints`` all begins behind the latest round that is known. ``progress`` is told "placing", then "routing",
    and then the rounds. Raises ResultError where the chip is too small, ToolError where nextpnr fails otherwise.
    """
    options = [*device, "--report", "nextpnr.json", "--detailed-timing-report", "--timing-allow-fail"]
    options += _options(family, clock_mhz=clock_mhz)
    known = checkpoints is not None and checkpoints.restore(folder)
    if not known:
        this = ["--json", "top.json", "--seed", str(seed), *(KEEP_PLACEMENT if rounds else ())]
        _run(nextpnr, [*options, *this], folder, progress)
        if rounds:
            begin(folder, checkpoints)
    refined = 0
    if rounds or known:
        refined = refine(
            nextpnr,
            folder,
            options=options,
            family=family,
            seed=seed,
            rounds=rounds,
            fmax=lambda path: read_report(path, seed=seed, netlist=netlist, family=family).fmax_mhz,
            enough_mhz=enough_mhz,
            checkpoints=checkpoints,
            progress=progress,
        )
    condense_timings(folder / "nextpnr.json", netlist.design_clock, refined=refined)
    return read_report(folder / "nextpnr.json", seed=seed, netlist=netlist, family=family)


def _run(nextpnr: Tool, options: list[str], folder: Path, progress: Callable[[str], None]) -> None:
    """Place and route; that a design does not fit is the user's matter and not the tool's."""

    def watch(line: str) -> None:
        if line.startswith("Info: Routing.."):
            progress("routing")

    progress("placing")
    try:
        run_tool(nextpnr, options, folder=folder, log="nextpnr.log", watch=watch)
    except ToolError as error:
        if any(words in str(error) for words in _TOO_LARGE):
            raise ResultError(
                "the design does not fit: nextpnr finds no place for all of its cells; generate it with more cycles "
                "a word (--cycles), or take a smaller model"
            ) from None
        raise


def read_report(path: Path, *, seed: int, netlist: Netlist, family: Family = FAMILIES["ecp5"]) -> Routed:
    """What nextpnr's own report says, and of the netlist what it does not."""
    try:
        report = json.loads(path.read_text())
        utilisation = report["utilization"]
        return Routed(
            seed=seed,
            fmax_mhz=_fmax(report["fmax"], netlist.design_clock),
            serial_fmax_mhz=_fmax(report["fmax"], netlist.serial_clock),
            used={kind: _used(kind, utilisation, netlist, family) for kind in _KINDS},
            available={kind: _available(kind, utilisation, family) for kind in _KINDS},
            slowest=report.get("slowest", {}),
            refined=report.get("refined", 0),
        )
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{path.name}: not the report that a build expects of nextpnr ({error!r})") from None


def _used(kind: str, utilisation: dict[str, Any], netlist: Netlist, family: Family) -> int:
    if kind not in family.report:
        return family.count(kind, netlist.cells)
    return sum(each * int(utilisation.get(name, {"used": 0})["used"]) for name, each in family.report[kind].items())


def _available(kind: str, utilisation: dict[str, Any], family: Family) -> int:
    resource = next(iter(family.report.get(kind, ())), family.in_place_of.get(kind, ""))
    return int(utilisation.get(resource, {"available": 0})["available"])


def _fmax(entries: dict[str, Any], names: tuple[str, ...]) -> float:
    found = [entry["achieved"] for name, entry in entries.items() if net_of(name) in names]
    if len(found) != 1:
        raise ToolError(f"nextpnr reports the clocks {', '.join(entries)}: none of them is {' or '.join(names)}")
    return float(found[0])

"""nextpnr: from the netlist to a routed design, and how fast and how large that is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.build.run import run_tool
from cs_hdl.build.synthesis import Netlist
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ToolError

__all__ = ["Routed", "device_options", "place_and_route", "read_report"]

_PACKAGES = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381", "BG554": "CABGA554", "BG756": "CABGA756"}
_RESOURCES = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "block_ram": "DP16KD"}


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A routed design: the two clocks' Fmax, the resources used and those that the device has."""

    seed: int
    fmax_mhz: float
    serial_fmax_mhz: float
    used: dict[str, int]
    available: dict[str, int]


def device_options(device: str, *, package: str, speed: str) -> list[str]:
    """nextpnr-ecp5's options for ``device`` (``LFE5UM5G-85F``) as amaranth-boards names it."""
    family, _, size = device.partition("-")
    kinds = {"LFE5U": "", "LFE5UM": "um-", "LFE5UM5G": "um5g-"}
    if family not in kinds or package not in _PACKAGES:
        raise ToolError(f"nextpnr-ecp5 knows no {device} in {package}")
    return [f"--{kinds[family]}{size.removesuffix('F')}k", "--package", _PACKAGES[package], "--speed", speed]


def place_and_route(
    nextpnr: Tool,
    folder: Path,
    *,
    device: list[str],
    seed: int,
    netlist: Netlist,
    progress: Callable[[str], None] = lambda phase: None,
) -> Routed:
    """Make ``top.config`` of ``top.json`` and ``top.lpf`` in ``folder``. Raises ToolError where nextpnr fails.

    A missed frequency is no failure here. ``progress`` is told "placing", then "routing".
    """

    def watch(line: str) -> None:
        if line.startswith("Info: Routing.."):
            progress("routing")

    progress("placing")
    options = ["--json", "top.json", "--lpf", "top.lpf", "--textcfg", "top.config", "--report", "nextpnr.json"]
    # router2: the other one takes ten times as long on designs of this kind.
    options += ["--seed", str(seed), "--router", "router2", "--timing-allow-fail"]
    run_tool(nextpnr, [*device, *options], folder=folder, log="nextpnr.log", watch=watch)
    return read_report(folder / "nextpnr.json", seed=seed, netlist=netlist)


def read_report(path: Path, *, seed: int, netlist: Netlist) -> Routed:
    """What nextpnr's own report says."""
    try:
        report = json.loads(path.read_text())
        utilisation = report["utilization"]
        return Routed(
            seed=seed,
            fmax_mhz=_fmax(report["fmax"], netlist.design_clock),
            serial_fmax_mhz=_fmax(report["fmax"], netlist.serial_clock),
            used={name: utilisation[cell]["used"] for name, cell in _RESOURCES.items()},
            available={name: utilisation[cell]["available"] for name, cell in _RESOURCES.items()},
        )
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{path.name}: not the report that a build expects of nextpnr ({error!r})") from None


def _fmax(entries: dict[str, Any], names: tuple[str, ...]) -> float:
    found = [entry["achieved"] for name, entry in entries.items() if name.removeprefix("$glbnet$") in names]
    if len(found) != 1:
        raise ToolError(f"nextpnr reports the clocks {', '.join(entries)}: none of them is {' or '.join(names)}")
    return float(found[0])

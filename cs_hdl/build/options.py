"""What the tools of each family must be told about the device."""

from __future__ import annotations

import re
from typing import Any

from cs_hdl.build.family import Family
from cs_hdl.build.place_route import device_options, gowin_options, ice40_options

__all__ = ["device_arguments", "pack_arguments", "synthesis_variant"]


def synthesis_variant(device: str, family: Family) -> str:
    """What Yosys' synthesis command wants to know of ``device``; "" for an ECP5."""
    if family.name == "ice40":
        return {"iCE40U": "u", "iCE40L": "lp"}.get(device[:6], "hx")
    return device[:4].lower() if family.name == "gowin" else ""


def device_arguments(device: str, *, platform: Any, family: Family) -> list[str]:
    """nextpnr's, by what amaranth-boards' ``platform`` says of the package and the die."""
    if family.name == "ice40":
        return ice40_options(device, package=platform.package)
    if family.name == "gowin":
        return gowin_options(device, chip=_die(platform))
    return device_options(device, package=platform.package, speed=str(platform.speed))


def pack_arguments(script: str, *, platform: Any, family: Family) -> list[str]:
    """gowin_pack's; which of the chip's special pins the board uses stands in amaranth-boards' own build ``script``."""
    if family.name != "gowin":
        return []
    return ["-d", _die(platform), *dict.fromkeys(re.findall(r"--\w+_as_gpio", script))]


def _die(platform: Any) -> str:
    """The chip that nextpnr and gowin_pack know: memory in the package makes another name but not another die."""
    return str(platform.family).replace("GW1NR-", "GW1N-").replace("GW2AR-", "GW2A-")

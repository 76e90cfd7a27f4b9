"""The boards that are known: one TOML file each in ``boards/``; adding a file adds a board."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.errors import InputError
from cs_hdl.plan.planner import DeviceLimits
from cs_hdl.resources import data_folder

__all__ = ["Board", "Serial", "boards", "device_limits", "find_board", "load_board"]


@dataclass(frozen=True, kw_only=True)
class Serial:
    """The host's serial link, 8N1: ``baud``, and a resource of the platform or two pins of a connector."""

    baud: int
    resource: str | None
    receive_pin: str | None
    transmit_pin: str | None
    connector: tuple[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, as its file in ``boards/`` says.

    ``platform`` is ``module:class`` of amaranth-boards. ``oscillator_mhz`` is the clock on the
    board, ``clock_mhz`` what a design is planned and built for unless the user names another.
    ``models`` are the shipped models that fit. ``led`` is a resource of the platform, or None.
    """

    name: str
    description: str
    platform: str
    device: str
    family: str
    models: tuple[str, ...]
    clock_resource: str
    oscillator_mhz: float
    clock_mhz: float
    serial: Serial
    led: str | None
    limits: DeviceLimits


@functools.cache
def boards() -> tuple[Board, ...]:
    """All boards, by name. Raises InputError, naming the file, where one is wrong."""
    found = tuple(load_board(path) for path in sorted(data_folder("boards").glob("*.toml")))
    return tuple(sorted(found, key=lambda board: board.name))


def find_board(name: str) -> Board:
    """The board called ``name``; InputError, listing all names, where there is none."""
    for board in boards():
        if board.name == name.lower():
            return board
    raise InputError(f"board {name}: unknown; known are {', '.join(board.name for board in boards())}")


def device_limits(device: str) -> DeviceLimits:
    """What the FPGA called ``device`` has; InputError, listing all names, where no board has it."""
    known = {board.device.lower(): board.limits for board in boards()}
    if device.lower() not in known:
        names = ", ".join(sorted(limits.name for limits in known.values()))
        raise InputError(f"device {device}: unknown; known are {names}")
    return known[device.lower()]


def load_board(path: Path) -> Board:
    """Read one file of ``boards/``; InputError, naming file and key, where it is wrong."""
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    try:
        return _board(data)
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: {error}") from None


def _board(data: dict[str, Any]) -> Board:
    serial, limits, clock = data["serial"], data["limits"], data["clock"]
    link = Serial(
        baud=_positive("serial.baud", serial["baud"]),
        resource=serial.get("resource"),
        receive_pin=serial.get("receive_pin"),
        transmit_pin=serial.get("transmit_pin"),
        connector=tuple(serial["connector"]) if "connector" in serial else None,
    )
    if link.resource is None and (link.receive_pin is None or link.transmit_pin is None):
        raise ValueError("serial needs resource, or receive_pin and transmit_pin")
    if data["family"] != "ecp5":
        raise ValueError(f"family {data['family']!r} cannot be built yet; it must be ecp5")
    if clock["mhz"] * 1e6 < 8 * link.baud:
        raise ValueError(f"a clock of {clock['mhz']} MHz is too slow for {link.baud} baud: 8 clocks a bit at least")
    module, _, class_name = data["platform"].partition(":")
    if not module or not class_name:
        raise ValueError(f"platform {data['platform']!r} must be module:class")
    return Board(
        name=data["name"],
        description=data["description"],
        platform=data["platform"],
        device=data["device"],
        family=data["family"],
        models=tuple(data.get("models", ())),
        clock_resource=clock["resource"],
        oscillator_mhz=float(clock["mhz"]),
        clock_mhz=float(clock["design_mhz"]),
        serial=link,
        led=data.get("led", {}).get("resource"),
        limits=DeviceLimits(
            name=data["device"],
            lut=_positive("limits.lut", limits["lut"]),
            dsp=_positive("limits.dsp", limits["dsp"]),
            block_ram=_positive("limits.block_ram", limits["block_ram"]),
        ),
    )


def _positive(name: str, number: Any) -> int:
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be a positive integer, not {number!r}")
    return number

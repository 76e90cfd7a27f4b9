"""The boards that are known: one TOML file each in ``boards/``; adding a file adds a board."""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cs_hdl.board.devices import PLANNED_DEVICES
from cs_hdl.errors import InputError
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.resources import data_folder

__all__ = ["FAMILIES", "Board", "Serial", "boards", "device_limits", "find_board", "known_devices", "load_board"]

_T = TypeVar("_T")

#: The chips that open tools can build for.
FAMILIES = ("ecp5", "gowin", "ice40")

#: 4-input LUTs, DSP blocks and block RAMs of each size of ECP5. The 12F is the 25F's die, and the open
#: tools use all of it.
_ECP5 = {"12F": (24288, 28, 56), "25F": (24288, 28, 56), "45F": (43848, 72, 108), "85F": (83640, 156, 208)}
_ECP5_SIZES = {
    "LFE5U": ("12F", "25F", "45F", "85F"),
    "LFE5UM": ("25F", "45F", "85F"),
    "LFE5UM5G": ("25F", "45F", "85F"),
}

#: Beyond it the middle of the last bit is missed when the other side is off, too.
_MOST_BAUD_ERROR = 0.01
_LEAST_CLOCKS_PER_BIT = 8


@dataclass(frozen=True, kw_only=True)
class Serial:
    """The host's serial link, 8N1: ``baud``, and a resource of the platform or two pins.

    The pins are the FPGA's, or the ``connector``'s (name, number) where there is one.
    """

    baud: int
    resource: str | None
    receive_pin: str | None
    transmit_pin: str | None
    connector: tuple[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, as its file in ``boards/`` says.

    ``platform`` is ``module:class`` of amaranth-boards. ``oscillator_mhz`` is the clock on the
    board, ``clock_mhz`` what a design is planned and built for unless the user names another. ``pll_pad`` (iCE40):
    the oscillator's pin is the one that belongs to the PLL, which then must be fed from it alone.
    ``models`` are the shipped models that fit. ``program`` are openFPGALoader's options, none where it does not know
    the board. ``led`` is a resource of the platform, or None.
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
    pll_pad: bool
    serial: Serial
    led: str | None
    program: tuple[str, ...]
    limits: DeviceLimits


@functools.cache
def boards() -> tuple[Board, ...]:
    """All boards, by name. Raises InputError, naming the file, where one is wrong."""
    found = tuple(load_board(path) for path in sorted(data_folder("boards").glob("*.toml")))
    return tuple(sorted(found, key=lambda board: board.name))


def find_board(name: str) -> Board:
    """The board called ``name``, or the one that the file ``name`` (``*.toml``) describes.

    Raises InputError, listing all names, where there is none.
    """
    if name.endswith(".toml"):
        return load_board(Path(name))
    for board in boards():
        if board.name == name.lower():
            return board
    raise InputError(
        f"board {name}: unknown; known are {', '.join(board.name for board in boards())}, "
        "or the path of a .toml file in the form of those in boards/"
    )


def known_devices() -> tuple[DeviceLimits, ...]:
    """All FPGAs that are known, each once, the smallest first."""
    found = {limits.name: limits for limits in (*_ecp5_devices(), *(board.limits for board in boards()))}
    return tuple(sorted(found.values(), key=lambda limits: (limits.lut, limits.name)))


def device_limits(device: str) -> DeviceLimits:
    """What the FPGA called ``device`` has; InputError, listing all names, where it is unknown."""
    every = (*known_devices(), *PLANNED_DEVICES)
    known = {limits.name.lower(): limits for limits in every}
    if device.lower() not in known:
        names = ", ".join(sorted(limits.name for limits in known.values()))
        raise InputError(f"device {device}: unknown; known are {names}")
    return known[device.lower()]


def load_board(path: Path) -> Board:
    """Read one file in the form of ``boards/``; InputError, naming file and key, where it is wrong."""
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    try:
        return _board(data)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _ecp5_devices() -> list[DeviceLimits]:
    devices = []
    for family, sizes in _ECP5_SIZES.items():
        for size in sizes:
            lut, dsp, block_ram = _ECP5[size]
            devices.append(DeviceLimits(name=f"{family}-{size}", lut=lut, dsp=dsp, block_ram=block_ram))
    return devices


def _board(data: Mapping[str, Any]) -> Board:
    """Every error is a ValueError that names the key."""
    name, device, family = (_get(data, key, str) for key in ("name", "device", "family"))
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) is None:
        raise ValueError(f"name {name!r} must be of small letters, digits, '.', '_' and '-'")
    if family not in FAMILIES:
        raise ValueError(f"family {family!r} cannot be built; it must be one of {', '.join(FAMILIES)}")
    platform = _get(data, "platform", str)
    if re.fullmatch(r"[\w.]+:\w+", platform) is None:
        raise ValueError(f"platform {platform!r} must be module:class")
    oscillator = _frequency(data, "clock.mhz")
    return Board(
        name=name,
        description=_get(data, "description", str),
        platform=platform,
        device=device,
        family=family,
        models=_texts(data, "models"),
        clock_resource=_get(data, "clock.resource", str),
        oscillator_mhz=oscillator,
        clock_mhz=_frequency(data, "clock.design_mhz"),
        pll_pad=_flag(data, "clock.pll_pad"),
        serial=_serial(data, oscillator_mhz=oscillator),
        led=_get(data, "led.resource", str, default=None),
        program=_texts(data, "program.openfpgaloader"),
        limits=DeviceLimits(
            name=device,
            lut=_count(data, "limits.lut"),
            # Not every chip has multipliers.
            dsp=_count(data, "limits.dsp", least=0),
            block_ram=_count(data, "limits.block_ram"),
            family=family,
        ),
    )


def _serial(data: Mapping[str, Any], *, oscillator_mhz: float) -> Serial:
    link = Serial(
        baud=_count(data, "serial.baud"),
        resource=_get(data, "serial.resource", str, default=None),
        receive_pin=_get(data, "serial.receive_pin", str, default=None),
        transmit_pin=_get(data, "serial.transmit_pin", str, default=None),
        connector=_connector(_get(data, "serial.connector", list, default=None)),
    )
    if link.resource is None and (link.receive_pin is None or link.transmit_pin is None):
        raise ValueError("serial needs resource, or receive_pin and transmit_pin")
    clocks = oscillator_mhz * 1e6 / link.baud
    if clocks < _LEAST_CLOCKS_PER_BIT:
        raise ValueError(
            f"a clock of {oscillator_mhz} MHz is too slow for {link.baud} baud: "
            f"{_LEAST_CLOCKS_PER_BIT} clocks a bit at least"
        )
    if abs(round(clocks) / clocks - 1) > _MOST_BAUD_ERROR:
        raise ValueError(
            f"serial.baud: {link.baud} cannot be made from {oscillator_mhz} MHz; "
            f"the next that can is {round(oscillator_mhz * 1e6 / round(clocks))}"
        )
    return link


def _connector(entry: list[Any] | None) -> tuple[str, int] | None:
    if entry is None:
        return None
    if [type(part) for part in entry] != [str, int]:
        raise ValueError(f"serial.connector must be [name, number], not {entry!r}")
    return entry[0], entry[1]


_REQUIRED: Any = object()


def _get(data: Mapping[str, Any], key: str, kind: type[_T], *, default: Any = _REQUIRED) -> _T:
    """The value at the dotted ``key``, of the type ``kind``, or ``default`` where it is absent."""
    value: Any = data
    for part in key.split("."):
        if not isinstance(value, Mapping):
            raise ValueError(f"{key.rpartition('.')[0]} must be a table, not {value!r}")
        if part not in value:
            if default is _REQUIRED:
                raise ValueError(f"{key} is missing")
            return default
        value = value[part]
    # A bool is an int to Python, but not to us.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} must be of type {kind.__name__}, not {value!r}")
    return value


def _count(data: Mapping[str, Any], key: str, *, least: int = 1) -> int:
    number = _get(data, key, int)
    if number < least:
        kind = "a positive integer" if least else "0 or a positive integer"
        raise ValueError(f"{key} must be {kind}, not {number!r}")
    return number


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    texts = tuple(_get(data, key, list, default=[]))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{key} must be a list of {'names' if key == 'models' else 'texts'}, not {list(texts)!r}")
    return texts


def _flag(data: Mapping[str, Any], key: str) -> bool:
    table, _, name = key.partition(".")
    value = data[table].get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {value!r}")
    return value


def _frequency(data: Mapping[str, Any], key: str) -> float:
    number: Any = _get(data, key, object)
    if isinstance(number, int):
        number = float(number)
    if not isinstance(number, float) or not math.isfinite(number) or number <= 0:
        raise ValueError(f"{key} must be a frequency in MHz, not {number!r}")
    return number

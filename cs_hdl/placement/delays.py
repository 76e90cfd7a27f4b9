"""The delays of a routed design, from the SDF file that nextpnr writes: of wires, through cells, and setup times."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cs_hdl.errors import ToolError

__all__ = ["Delays", "read_delays"]

_WIRE = re.compile(r"\(INTERCONNECT (\S+)/(\w+) (\S+)/(\w+) \(\d+:\d+:(\d+)\)")
_PATH = re.compile(r"\(IOPATH (\w+) (\w+) \(\d+:\d+:(\d+)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(posedge (\w+)\) \(posedge (\w+)\) \(\d+:\d+:(\d+)\)")


@dataclass(frozen=True, kw_only=True)
class Delays:
    """In picoseconds, at the slow corner, cells by their names.

    ``wires`` has (cell, port, cell, port) of driver and sink. ``paths`` of a cell are (from, to, delay), those from a
    clock included, ``setups`` (port, clock port, time).
    """

    wires: dict[tuple[str, str, str, str], int]
    paths: dict[str, list[tuple[str, str, int]]]
    setups: dict[str, list[tuple[str, str, int]]]


def read_delays(path: Path) -> Delays:
    """Read nextpnr's SDF file. Raises ToolError where it cannot be read or has no delay of a wire."""
    wires: dict[tuple[str, str, str, str], int] = {}
    paths: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
    setups: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
    cell = ""
    try:
        with path.open() as lines:
            for line in lines:
                text = line.strip()
                if text.startswith("(INSTANCE"):
                    cell = text[len("(INSTANCE") : -1].strip().replace("\\", "")
                elif match := _WIRE.match(text):
                    wires[match[1].replace("\\", ""), match[2], match[3].replace("\\", ""), match[4]] = int(match[5])
                elif match := _PATH.match(text):
                    paths[cell].append((match[1], match[2], int(match[3])))
                elif match := _SETUP.match(text):
                    setups[cell].append((match[1], match[2], int(match[3])))
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{path.name}: cannot be read: {error}") from None
    if not wires:
        raise ToolError(f"{path.name}: no delays of nextpnr's")
    return Delays(wires=wires, paths=dict(paths), setups=dict(setups))

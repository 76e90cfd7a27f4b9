"""The ECP5's block RAM has registers at its outputs; Yosys leaves them unused and puts flip-flops behind instead.

Without them a read takes 5.6 ns from the clock on (speed grade 6), two thirds of a cycle at 120 MHz.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from cs_hdl.errors import ToolError
from cs_hdl.files import write_aside

__all__ = ["ABSORBS", "absorb_into_netlist", "absorb_output_registers"]

#: Goes into the name of what is kept of a synthesis: changes with what this module does.
ABSORBS = "output registers of block RAM, 1"
_BITS = 18
#: A flip-flop that copies its input in every cycle.
_PLAIN = {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}


def absorb_into_netlist(path: Path) -> int:
    """Rewrite Yosys' JSON netlist ``path``; returns how many flip-flops went. Raises ToolError for other files."""
    try:
        content = json.loads(path.read_text())
        gone = sum(absorb_output_registers(module) for module in content["modules"].values())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{path.name}: not a netlist of Yosys ({error!r})") from None
    if gone:
        write_aside(path, json.dumps(content))
    return gone


def absorb_output_registers(module: dict[str, Any]) -> int:
    """Put the flip-flops behind each port of a block RAM into it, where nothing else reads what the port gives.

    The port's data then comes a cycle later from a register of the block, which is 0 at first, as the flip-flops
    were. Works on one module of Yosys' JSON; returns the number of flip-flops that went.
    """
    cells: dict[str, Any] = module["cells"]
    readers: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    readers[bit].append((name, port))
    for port in module["ports"].values():
        if port["direction"] == "output":
            for bit in port["bits"]:
                readers[bit].append(("", ""))
    gone = 0
    for cell in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        for side in "AB":
            registers = _registers_behind(cell, side, cells, readers)
            for bit, name in registers.items():
                cell["connections"][f"DO{side}{bit}"] = cells.pop(name)["connections"]["Q"]
            if registers:
                cell["parameters"][f"REGMODE_{side}"] = "OUTREG"
                gone += len(registers)
    return gone


def _registers_behind(
    cell: dict[str, Any], side: str, cells: dict[str, Any], readers: dict[int, list[tuple[str, str]]]
) -> dict[int, str]:
    """The flip-flop behind each bit of a port that is read; none at all unless each has one of its own."""
    connections = cell["connections"]
    clock, enabled, reset = (connections.get(f"{pin}{side}", ["x"]) for pin in ("CLK", "OCE", "RST"))
    if cell["parameters"].get(f"REGMODE_{side}") != "NOREG" or enabled != ["1"] or reset != ["0"]:
        return {}
    found: dict[int, str] = {}
    for bit in range(_BITS):
        for net in connections.get(f"DO{side}{bit}", ()):
            reading = readers.get(net, [])
            if not reading:
                continue
            name, pin = reading[0]
            if len(reading) > 1 or not name or pin not in ("DI", "M") or not _is_plain(cells[name], clock):
                return {}
            found[bit] = name
    return found


def _is_plain(cell: dict[str, Any], clock: list[Any]) -> bool:
    connections, parameters = cell["connections"], cell["parameters"]
    return (
        cell["type"] == "TRELLIS_FF"
        and connections.get("CLK") == clock
        and connections.get("LSR", ["0"]) == ["0"]
        and connections.get("CE", ["1"]) == ["1"]
        # (Yosys ends a string that looks like a number with a blank.)
        and all(parameters.get(key, value).strip() == value for key, value in _PLAIN.items())
    )

"""Which input of a LUT a net comes in by, after nextpnr-ecp5 has routed it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["count_swapped", "settle_pins"]

_PINS = "ABCD"
_SITE = re.compile(r"X(\d+)/Y(\d+)/SLICE([A-D])\.K([01])$")
#: The last step into a LUT: from any of its inputs' wires to the one that the netlist names.
_LAST_STEP = re.compile(r"X(\d+)/Y(\d+)/0_0_([A-D])(\d)->0_0_([A-D])\4_SLICE")


def settle_pins(top: dict[str, Any]) -> None:
    """Make the netlist of the routed module ``top`` say by which inputs of its LUTs nets come in.

    nextpnr's router may choose among the four, and its bitstream's table is then another than the netlist's
    (``INITVAL``). Here both follow: a LUT computes what it did. RAMs and carries, whose inputs are not alike, keep
    theirs; so does what is not routed.
    """
    came_in: dict[tuple[str, str, str], dict[str, str]] = {}
    for net in top["netnames"].values():
        for step in net["attributes"].get("ROUTING", "").split(";")[1::3]:
            last = _LAST_STEP.fullmatch(step)
            if last:
                came_in.setdefault((last[1], last[2], last[4]), {})[last[5]] = last[3]
    for cell in top["cells"].values():
        if cell["type"] == "TRELLIS_COMB" and cell["parameters"].get("MODE", "LOGIC").strip() == "LOGIC":
            site = _SITE.match(cell["attributes"]["NEXTPNR_BEL"])
            if site:
                place = (site[1], site[2], str(2 * _PINS.index(site[3]) + int(site[4])))
                _settle(cell, came_in.get(place, {}))


def count_swapped(text: str) -> int:
    """How many nets come into a LUT by another input than the netlist says, in what nextpnr writes of a design."""
    return sum(step[3] != step[5] for step in _LAST_STEP.finditer(text))


def _settle(cell: dict[str, Any], came_in: dict[str, str]) -> None:
    used = [pin for pin in _PINS if cell["connections"].get(pin)]
    if sorted(came_in) != used or all(pin == came_in[pin] for pin in used):
        return
    nets = {came_in[pin]: cell["connections"][pin] for pin in used}
    for pin in _PINS:
        if pin in cell["connections"]:
            cell["connections"][pin] = nets.get(pin, [])
    before = int(cell["parameters"]["INITVAL"], 2)
    after = 0
    for inputs in range(16):
        # An input without a net counts as 0, as nextpnr has it.
        address = sum(1 << _PINS.index(pin) for pin in used if inputs >> _PINS.index(came_in[pin]) & 1)
        after |= (before >> address & 1) << inputs
    cell["parameters"]["INITVAL"] = f"{after:0{len(cell['parameters']['INITVAL'])}b}"

"""Which input of a LUT a net comes in by, after nextpnr-ecp5 has routed it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

__all__ = ["count_swapped", "settle_pins"]

_PINS = "ABCD"
#: The last step into a LUT: from any of its inputs' wires to the one that the netlist names.
_LAST_STEP = re.compile(r"X(\d+)/Y(\d+)/0_0_([A-D])(\d)->0_0_([A-D])\4_SLICE")
#: Any step: where it is, and where from there and at which wire it begins.
_STEP = re.compile(r"X(\d+)/Y(\d+)/(-?\d+)_(-?\d+)_(.+?)->")

#: Column, row and number within its tile.
_Lut = tuple[int, int, int]


def settle_pins(top: dict[str, Any], places: Iterable[_Lut]) -> None:
    """Make the netlist of the routed module ``top`` say by which inputs of its LUTs nets come in, and its routes.

    ``places`` are those of its cells, in their order; of what is no LUT they do not matter.
    nextpnr's router may choose among the four, and its bitstream's table is then another than the netlist's
    (``INITVAL``). Here both follow: a LUT computes what it did. RAMs and carries, whose inputs are not alike, keep
    theirs: routes to another one than they name are cut back to where the rest of the net is.
    """
    routes: dict[str, dict[str, str]] = {}
    came_in: dict[_Lut, dict[str, str]] = {}
    for name, net in top["netnames"].items():
        words = net["attributes"].get("ROUTING", "").strip().split(";")
        routes[name] = dict(zip(words[0::3], words[1::3], strict=False))
        for step in routes[name].values():
            if last := _LAST_STEP.fullmatch(step):
                came_in.setdefault(_lut(last), {})[last[5]] = last[3]
    settled = {
        place
        for cell, place in zip(top["cells"].values(), places, strict=True)
        if cell["type"] == "TRELLIS_COMB"
        and cell["parameters"].get("MODE", "LOGIC").strip() == "LOGIC"
        and _settle(cell, came_in.get(place, {}))
    }
    for name, route in routes.items():
        if _end_straight(route, settled):
            led = [f"{wire};{step};1" for wire, step in route.items()]
            top["netnames"][name]["attributes"]["ROUTING"] = ";".join(led) if len(led) > 1 else ""


def count_swapped(text: str) -> int:
    """How many nets come into a LUT by another input than the netlist says, in what nextpnr writes of a design."""
    return sum(step[3] != step[5] for step in _LAST_STEP.finditer(text))


def _settle(cell: dict[str, Any], came_in: dict[str, str]) -> bool:
    """Give a LUT's nets to the inputs by which they came in; False where that is not known of all."""
    used = [pin for pin in _PINS if cell["connections"].get(pin)]
    if sorted(came_in) != used:
        return False
    nets = {came_in[pin]: cell["connections"][pin] for pin in used}
    for pin in _PINS:
        cell["connections"].pop(pin, None)
        cell["port_directions"].pop(pin, None)
    cell["connections"] |= nets
    cell["port_directions"] |= dict.fromkeys(nets, "input")
    before = int(cell["parameters"]["INITVAL"], 2)
    after = 0
    for inputs in range(16):
        # An input without a net counts as 0, as nextpnr has it.
        address = sum(1 << _PINS.index(pin) for pin in used if inputs >> _PINS.index(came_in[pin]) & 1)
        after |= (before >> address & 1) << inputs
    cell["parameters"]["INITVAL"] = f"{after:0{len(cell['parameters']['INITVAL'])}b}"
    return True


def _end_straight(route: dict[str, str], settled: set[_Lut]) -> bool:
    """Let no step of ``route`` (by wire, the step that leads to it) swap inputs; whether that changed anything."""
    swaps = {wire: last for wire, step in route.items() if (last := _LAST_STEP.fullmatch(step)) and last[3] != last[5]}
    if not swaps:
        return False
    loose = []
    for wire, last in swaps.items():
        del route[wire]
        tile, pin = f"X{last[1]}/Y{last[2]}", last[3] + last[4]
        if _lut(last) in settled:
            route[f"{tile}/{pin}_SLICE"] = f"{tile}/0_0_{pin}->0_0_{pin}_SLICE"
        else:
            loose.append(f"{tile}/{pin}")
    uses = Counter(_begins(step) for step in route.values() if step)
    for wire in loose:
        while not uses[wire] and route.get(wire):
            wire = _begins(route.pop(wire))
            uses[wire] -= 1
    return True


def _lut(last: re.Match[str]) -> _Lut:
    """The LUT that a last step leads into."""
    return int(last[1]), int(last[2]), int(last[4])


def _begins(step: str) -> str:
    """The wire at which a step begins."""
    found = _STEP.match(step)
    assert found is not None
    return f"X{int(found[1]) + int(found[3])}/Y{int(found[2]) + int(found[4])}/{found[5]}"

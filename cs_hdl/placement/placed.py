"""A design that nextpnr-ecp5 has placed, as it writes it to JSON: its cells, nets and where they are."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from cs_hdl.errors import ToolError

__all__ = ["FLIP_FLOPS", "LUTS", "RAM_WRITE", "Exchange", "Pin", "Place", "PlacedDesign", "place_of"]

#: Column, row, and which of a logic tile's places: its 8 LUTs, its 8 flip-flops, then the one write port of RAMs.
Place = tuple[int, int, int]
#: Pairs of places whose contents change places.
Exchange = list[tuple[Place, Place]]
#: A cell's number and the name of its port.
Pin = tuple[int, str]

LUTS = range(8)
FLIP_FLOPS = range(8, 16)
RAM_WRITE = 16

#: router2's own weights, and no clock that it has to meet; and weights with which it looks for the best way and minds
#: at once whom it disturbs, for a clock: slow where all is open and good where little is.
_FROM_NOTHING = {
    "router2/estimateWeight": "1.250000", "router2/initCurrCongWeight": "0.500000", "router/tmg_ripup": "0 ",
}  # fmt: skip
_FURTHER = {
    "router2/estimateWeight": "1.000000", "router2/initCurrCongWeight": "5.000000", "router/tmg_ripup": "1 ",
}  # fmt: skip
_LOGIC_KINDS = ("TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW")
#: Attributes that tell where something comes from.
_ONLY_SAID = ("src", "hdlname", "force_downto", "abc9_carry")
_LOGIC = re.compile(r"X(\d+)/Y(\d+)/SLICE([A-D])\.(K|FF|RAMW)(\d?)$")
_BLOCK = re.compile(r"X(\d+)/Y(\d+)/")
_SLICES = "ABCD"


class PlacedDesign:
    """Cells by number; ``kinds``, ``x``, ``y`` and ``within`` have an entry for each.

    ``within`` is a place's last number in a logic tile and -1 for anything else (multipliers, block RAMs, pins), whose
    place ``sites`` names. ``at`` finds the cell in a place of logic. ``drivers`` and ``sinks`` lead from a net's number
    to its pins. Raises ToolError for a file of another kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._content: dict[str, Any] = json.loads(path.read_text())
            (self._top,) = self._content["modules"].values()
            self._read(self._top["cells"])
            for net in self._top["netnames"].values():
                _say_less(net)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ToolError(f"{path.name}: not a placed design of nextpnr-ecp5 ({error!r})") from None

    def _read(self, cells: dict[str, Any]) -> None:
        self.names = list(cells)
        self._cells: list[dict[str, Any]] = list(cells.values())
        self.kinds: list[str] = [cell["type"] for cell in self._cells]
        self.x: list[int] = []
        self.y: list[int] = []
        self.within: list[int] = []
        self.sites: list[str] = []
        self.at: dict[Place, int] = {}
        self.drivers: dict[int, Pin] = {}
        sinks: defaultdict[int, list[Pin]] = defaultdict(list)
        for number, cell in enumerate(self._cells):
            _make_lean(cell)
            site = cell["attributes"]["NEXTPNR_BEL"]
            x, y, within = place_of(site)
            self.x.append(x)
            self.y.append(y)
            self.within.append(within)
            self.sites.append(site)
            if within >= 0:
                self.at[x, y, within] = number
            for port, bits in cell["connections"].items():
                for net in bits:
                    if cell["port_directions"][port] == "output":
                        self.drivers[net] = (number, port)
                    elif cell["port_directions"][port] == "input":
                        sinks[net].append((number, port))
        self.sinks = dict(sinks)

    def net(self, cell: int, port: str) -> int | None:
        """The net at a port; None where there is none."""
        bits = self._cells[cell]["connections"].get(port)
        return bits[0] if bits else None

    def nets(self, cell: int) -> dict[str, int]:
        """The net of each connected port of ``cell``."""
        return {port: bits[0] for port, bits in self._cells[cell]["connections"].items() if bits}

    def parameter(self, cell: int, name: str) -> str:
        """What the cell was set to; empty where nothing is said."""
        # (A string that looks like a number ends with a blank in nextpnr's JSON.)
        return str(self._cells[cell]["parameters"].get(name, "")).strip()

    def place(self, cell: int) -> Place:
        """Where a cell is now."""
        return self.x[cell], self.y[cell], self.within[cell]

    def arrangement(self) -> tuple[list[Place], list[str]]:
        """Where all cells are now, for ``arrange``."""
        return list(zip(self.x, self.y, self.within, strict=True)), list(self.sites)

    def arrange(self, arrangement: tuple[list[Place], list[str]]) -> None:
        """Put all cells back to where they were."""
        self.at.clear()
        for cell, (place, site) in enumerate(zip(*arrangement, strict=True)):
            self.x[cell], self.y[cell], self.within[cell] = place
            self.sites[cell] = site
            if place[2] >= 0:
                self.at[place] = cell

    def move(self, pairs: Exchange) -> None:
        """Exchange what is in the places of each pair, which no other pair has. Moving back is the same again."""
        for one, other in pairs:
            cell, partner = self.at.pop(one, None), self.at.pop(other, None)
            for number, place in ((cell, other), (partner, one)):
                if number is not None:
                    self.at[place] = number
                    self.x[number], self.y[number], self.within[number] = place

    def move_block(self, cell: int, site: str) -> None:
        """Put a hard block to ``site``, whatever is there."""
        self.x[cell], self.y[cell], _ = place_of(site)
        self.sites[cell] = site

    def write(self, path: Path, *, target_mhz: float, keep_routes: bool) -> None:
        """The design for nextpnr to route (``--no-pack --no-place``): from nothing, as it routes any, or further.

        Further is from its routes, of which those to cells that were moved are led anew: router2 takes out whatever is
        slower than ``target_mhz`` asks for, and leads it anew, over and over (``--tmg-ripup``). All clocks have that
        target, for nextpnr forgets their constraints; options that its JSON has it takes from there. It also forgets
        which LUTs are RAMs or carries, whose inputs are not alike, so that its router must swap none.
        """
        moved: set[int] = set()
        for number, cell in enumerate(self._cells):
            within = self.within[number]
            site = self.sites[number] if within < 0 else _name_of(self.x[number], self.y[number], within)
            if site != cell["attributes"]["NEXTPNR_BEL"]:
                moved.update(self.nets(number).values())
                cell["attributes"]["NEXTPNR_BEL"] = site
        for net in self._top["netnames"].values():
            # (Clocks are led apart from all others, every time.)
            stays = keep_routes and moved.isdisjoint(net["bits"])
            if not (stays and _is_weak(net["attributes"].get("ROUTING", ""))):
                net["attributes"].pop("ROUTING", None)
        open_ports = [
            (cell["connections"], port)
            for cell in self._cells
            for port, bits in cell["connections"].items()
            if not bits
        ]
        # A port without any bit would be gone when nextpnr reads it, and with it what ties it low.
        for connections, port in open_ports:
            connections[port] = ["x"]
        self._top["settings"].pop("route", None)
        self._top["settings"] |= {
            "target_freq": f"{target_mhz * 1e6:.6f}",
            "arch.disable_router_lutperm": "1 ",
            **(_FURTHER if keep_routes else _FROM_NOTHING),
        }
        path.write_text(json.dumps(self._content, separators=(",", ":")))
        for connections, port in open_ports:
            connections[port] = []


def _make_lean(cell: dict[str, Any]) -> None:
    """Forget what nextpnr does without: in WebAssembly it has 4 GB, and of a full chip with its routes they are full.

    Each port costs some 300 bytes, and half of those of logic are open. (Open inputs of a multiplier are tied low.)
    """
    _say_less(cell)
    strength = cell["attributes"]["BEL_STRENGTH"]
    if isinstance(strength, str):  # (a number where ``write`` wrote it)
        cell["attributes"]["BEL_STRENGTH"] = int(strength, 2)  # 32 digits for a 1
    connections, directions = cell["connections"], cell["port_directions"]
    for port, bits in list(connections.items()):
        # (What is "x" there was open before ``write``.)
        connections[port] = [net for net in bits if net != "x"]
        if not connections[port] and cell["type"] in _LOGIC_KINDS:
            del connections[port], directions[port]


def _say_less(named: dict[str, Any]) -> None:
    named.pop("hide_name", None)
    for name in _ONLY_SAID:
        named["attributes"].pop(name, None)


def _is_weak(routing: str) -> bool:
    """Whether all steps of a route may be led anew."""
    return set(routing.strip().split(";")[2::3]) == {"1"}


def place_of(site: str) -> Place:
    """Where nextpnr's ``site`` is; ValueError for a name of another form."""
    logic = _LOGIC.match(site)
    if logic:
        first = 2 * _SLICES.index(logic[3])
        within = {"K": first, "FF": FLIP_FLOPS.start + first, "RAMW": RAM_WRITE}[logic[4]] + int(logic[5] or 0)
        return int(logic[1]), int(logic[2]), within
    block = _BLOCK.match(site)
    if block is None:
        raise ValueError(f"no place of an ECP5: {site}")
    return int(block[1]), int(block[2]), -1


def _name_of(x: int, y: int, within: int) -> str:
    if within == RAM_WRITE:
        return f"X{x}/Y{y}/SLICEC.RAMW"
    kind = "K" if within in LUTS else "FF"
    return f"X{x}/Y{y}/SLICE{_SLICES[within % 8 // 2]}.{kind}{within % 2}"

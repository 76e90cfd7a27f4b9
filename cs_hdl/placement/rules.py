"""What an ECP5's logic allows: which cells only move together, and what may share a slice or a tile.

The rules are those by which nextpnr-ecp5 checks its own placements: in a tile one clock and one reset for all
flip-flops, one clock and enable for all RAMs; in a slice one clock enable, and carry in both LUTs or in none; no
flip-flop that takes its value past a LUT which uses that input for a wide multiplexer.
"""

from __future__ import annotations

from collections import defaultdict

from cs_hdl.placement.placed import FLIP_FLOPS, LUTS, RAM_WRITE, Exchange, Place, PlacedDesign
from cs_hdl.placement.wires import is_fixed

__all__ = ["Rules"]

_SLICES = 4
#: The slice whose inputs the write port of RAMs takes.
_RAM_SLICE = (4, 5)
#: What each place within a tile can hold.
_KIND_OF = dict.fromkeys(LUTS, "LUT") | dict.fromkeys(FLIP_FLOPS, "flip-flop") | {RAM_WRITE: "RAM"}
#: No exchange of more places: a chain of adders over four tiles.
_MOST_PLACES = 80


class Rules:
    """The rules for one design, of whose places it keeps track itself.

    ``groups`` has for each cell those that move with it (a chain of adders, a wide multiplexer, RAMs and their write
    port, a LUT and its flip-flop; nothing for a hard block), ``loose`` tells whether they may go anywhere in a tile.
    ``tiles`` are those with logic.
    """

    def __init__(self, design: PlacedDesign) -> None:
        self._design = design
        cells = range(len(design.kinds))
        self._carry = [design.parameter(cell, "MODE") == "CCU2" for cell in cells]
        self._wide = [
            design.kinds[cell] == "TRELLIS_COMB" and not design.nets(cell).keys().isdisjoint(("F1", "FXA", "FXB"))
            for cell in cells
        ]
        self._bypasses = [design.kinds[cell] == "TRELLIS_FF" and design.net(cell, "M") is not None for cell in cells]
        self._per_slice = [_settings(design, cell, "TRELLIS_FF", ("CE",), ("CEMUX", "GSR")) for cell in cells]
        self._per_tile = [
            _settings(design, cell, "TRELLIS_FF", ("CLK", "LSR"), ("CLKMUX", "LSRMUX", "SRMODE")) for cell in cells
        ]
        self._ram = [
            _settings(design, cell, "TRELLIS_COMB", ("WCK", "WRE"), ("WREMUX",))
            if design.parameter(cell, "MODE") == "DPRAM"
            else None
            for cell in cells
        ]
        self.tiles = sorted({(x, y) for x, y, _ in design.at})
        self._tiles = set(self.tiles)
        self.groups = self._find_groups()
        self.loose = [self._is_loose(group) for group in self.groups]

    def _find_groups(self) -> list[tuple[int, ...]]:
        design = self._design
        parent = list(range(len(design.kinds)))

        def root(cell: int) -> int:
            while parent[cell] != cell:
                parent[cell] = parent[parent[cell]]
                cell = parent[cell]
            return cell

        for net, (driver, port) in design.drivers.items():
            for sink, end_port in design.sinks.get(net, ()):
                if is_fixed(port, end_port) and min(design.within[driver], design.within[sink]) >= 0:
                    parent[root(driver)] = root(sink)
        for (x, y, within), cell in design.at.items():
            beside = _RAM_SLICE if within == RAM_WRITE else (within ^ 1,) if self._carry[cell] else ()
            for place in beside:
                if (x, y, place) in design.at:
                    parent[root(design.at[x, y, place])] = root(cell)
        members: defaultdict[int, list[int]] = defaultdict(list)
        for cell in sorted(design.at.values()):
            members[root(cell)].append(cell)
        groups: list[tuple[int, ...]] = [()] * len(parent)
        for group in members.values():
            for cell in group:
                groups[cell] = tuple(group)
        return groups

    def _is_loose(self, group: tuple[int, ...]) -> bool:
        kinds = sorted(self._design.kinds[cell] for cell in group)
        alone = len(group) == 1 or kinds == ["TRELLIS_COMB", "TRELLIS_FF"]
        return alone and not any(self._wide[cell] or self._carry[cell] for cell in group)

    def is_tile(self, x: int, y: int) -> bool:
        """Whether there is logic in column ``x`` and row ``y``."""
        return (x, y) in self._tiles

    def fits(self, x: int, y: int) -> bool:
        """Whether a tile may hold what it holds."""
        at = self._design.at
        per_tile, rams = set(), set()
        for first in range(0, 2 * _SLICES, 2):
            luts = [at.get((x, y, within)) for within in (first, first + 1)]
            flip_flops = [at.get((x, y, FLIP_FLOPS.start + within)) for within in (first, first + 1)]
            there = [cell for cell in luts if cell is not None]
            if len({self._carry[cell] for cell in there}) > 1:
                return False
            rams |= {self._ram[cell] for cell in there if self._ram[cell] is not None}
            registers = [cell for cell in flip_flops if cell is not None]
            if len({self._per_slice[cell] for cell in registers}) > 1:
                return False
            per_tile |= {self._per_tile[cell] for cell in registers}
            for lut, register in zip(luts, flip_flops, strict=True):
                if lut is not None and register is not None and self._wide[lut] and self._bypasses[register]:
                    return False
        return len(per_tile) <= 1 and len(rams) <= 1

    def exchange(self, places: list[Place], shift: Place) -> Exchange | None:
        """The places to exchange in pairs so that what is in ``places`` moves by ``shift``, and all groups stay whole.

        What stands there comes here. None where that cannot be: no logic there, too much to move, the same places on
        both sides, or another place within the tile for what is not loose.
        """
        # (Written out without helpers: a search asks this some hundred thousand times.)
        at, x, y, z = self._design.at, self._design.x, self._design.y, self._design.within
        columns, rows, within = shift
        chosen, waiting = set(places), list(places)
        while waiting:
            place = waiting.pop()
            there = (place[0] + columns, place[1] + rows, place[2] + within)
            for cell, back_x, back_y, back_z in ((at.get(place), 0, 0, 0), (at.get(there), columns, rows, within)):
                if cell is None:
                    continue
                if within and not self.loose[cell]:
                    return None
                for member in self.groups[cell]:
                    here = (x[member] - back_x, y[member] - back_y, z[member] - back_z)
                    if here not in chosen:
                        chosen.add(here)
                        waiting.append(here)
            if len(chosen) > _MOST_PLACES:
                return None
        pairs = [(here, (here[0] + columns, here[1] + rows, here[2] + within)) for here in sorted(chosen)]
        for here, there in pairs:
            if there in chosen or _KIND_OF.get(here[2]) != _KIND_OF.get(there[2]):
                return None
            if here[:2] not in self._tiles or there[:2] not in self._tiles:
                return None
        return pairs

    def allows(self, pairs: Exchange) -> bool:
        """Whether all tiles fit once the places of ``pairs`` have been exchanged."""
        self._design.move(pairs)
        fits = all(self.fits(*tile) for tile in {place[:2] for pair in pairs for place in pair})
        self._design.move(pairs)
        return fits


def _settings(
    design: PlacedDesign, cell: int, kind: str, ports: tuple[str, ...], parameters: tuple[str, ...]
) -> tuple[int | str | None, ...] | None:
    if design.kinds[cell] != kind:
        return None
    return *(design.net(cell, port) for port in ports), *(design.parameter(cell, name) for name in parameters)

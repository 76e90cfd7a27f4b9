"""Multipliers and block RAMs: all of a kind to their sites at once, as an assignment problem."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
from scipy.optimize import linear_sum_assignment

from cs_hdl.placement.cost import Cost
from cs_hdl.placement.placed import PlacedDesign, place_of

__all__ = ["Blocks"]

_KINDS = ("MULT18X18D", "DP16KD")
_SITE = re.compile(r"X(\d+)/Y(\d+)/(\w+)$")
#: Multipliers beside each other share these wires, so only those with the same nets there change places.
_SHARED = re.compile(r"(CLK|CE|RST)\d$")


class Blocks:
    """The hard blocks of a design that may take each other's places, and free sites where the device has them."""

    def __init__(self, design: PlacedDesign) -> None:
        self._design = design
        alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
        for cell, kind in enumerate(design.kinds):
            if kind in _KINDS:
                shared = sorted(item for item in design.nets(cell).items() if _SHARED.match(item[0]))
                alike[kind, *(shared if kind == "MULT18X18D" else ())].append(cell)
        only_kind = sum(key[0] == "MULT18X18D" for key in alike) == 1
        self._alike = []
        for key, cells in alike.items():
            sites = self._sites(cells, with_free=only_kind and key[0] == "MULT18X18D")
            self._alike.append((cells, sites, np.array([place_of(site) for site in sites])))

    def _sites(self, cells: list[int], *, with_free: bool) -> list[str]:
        """Where ``cells`` are, and where else: every row of multipliers has the same columns."""
        taken = [self._design.sites[cell] for cell in cells]
        if not with_free:
            return taken
        parts = [match.groups() for match in map(_SITE.match, taken) if match]
        columns = sorted({(x, name) for x, _, name in parts}, key=lambda part: (int(part[0]), part[1]))
        rows = sorted({y for _, y, _ in parts}, key=int)
        every = [f"X{x}/Y{y}/{name}" for x, name in columns for y in rows]
        return list(dict.fromkeys(taken + every))

    def assign(self, cost: Cost) -> bool:
        """Give each block the site where all together cost least, as the rest is now; whether any has moved."""
        moved = False
        for cells, sites, places in self._alike:
            x, y, _ = places.T
            prices = np.zeros((len(cells), len(sites)))
            for row, cell in enumerate(cells):
                for wire in cost.wires_of[cell]:
                    other = cost.other_end(wire, cell)
                    prices[row] += cost.prices_at(wire, abs(x - self._design.x[other]), abs(y - self._design.y[other]))
            for row, column in zip(*linear_sum_assignment(prices), strict=True):
                moved |= self._design.sites[cells[row]] != sites[column]
                self._design.move_block(cells[row], sites[column])
        return moved

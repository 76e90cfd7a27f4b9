"""How long a wire takes between two places where the router takes care, learnt from a routed design."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cs_hdl.placement.placed import PlacedDesign
from cs_hdl.placement.timing import TimingGraph

__all__ = ["WireModel", "is_fixed"]

#: No ECP5 has more columns or rows.
_SPAN = 128
#: Distances at which a further tile begins to cost less, in tiles.
_BENDS = (0, 1, 5, 15)
#: Nets of so many sinks and more have prices of their own: the router hangs a sink on what is there already.
_FANOUTS = (4, 16, 64)
#: Picoseconds off the model from which on a wire counts less and less: some go astray.
_ASTRAY = 300.0
#: Picoseconds that a wire takes more than the model says where those about it stay: the best ways are theirs.
_AMONG_OTHERS = 150.0
#: How much a wire counts that is slower than the model says, against one that is faster. Most wires are led where there
#: is room; those that matter are led as the fastest of their kind. Less so where many sinks of a net matter alike: each
#: is hung on what is nearest.
_SLOWER, _SLOWER_OF_MANY = 0.15, 0.25


def is_fixed(port: str, end_port: str) -> bool:
    """Whether a wire between two pins is part of a tile: it never changes, and holds its cells together."""
    return port == "FCO" or end_port in ("FXA", "FXB", "F1", "FCI", "DI") or end_port.startswith(("WAD", "WD"))


class WireModel:
    """``base`` of each wire and ``tables[kind, columns, rows]`` add up to its delay in ps.

    ``kinds`` of wires differ in the number of sinks of their nets. Fixed wires (``fixed``) have only a base, which is
    the delay they had. Where routes are kept (``keep_routes``), so is any wire's delay ``as_routed`` while it leads
    over as many columns and rows as then (``routed_across``, ``routed_down``).
    """

    def __init__(self, design: PlacedDesign, graph: TimingGraph, *, keep_routes: bool = False) -> None:
        ports = [_port_kind(design, graph, wire) for wire in range(len(graph.routed))]
        names = sorted(set(ports))
        number_of = {name: number for number, name in enumerate(names)}
        port_of = np.array([number_of[port] for port in ports])
        self.fixed = np.array([is_fixed(*pins) for pins in graph.ports])
        self.kinds = np.digitize(np.bincount(graph.nodes)[graph.nodes], _FANOUTS)
        columns, rows = _distances(design, graph)
        self.as_routed, self.keeps_routes = graph.routed, keep_routes
        self.routed_across, self.routed_down = columns, rows
        free = ~self.fixed
        by_distance = _features(columns[free], rows[free])
        parts = [np.eye(len(names))[port_of[free]]]
        parts += [by_distance * (self.kinds[free] == kind)[:, None] for kind in range(len(_FANOUTS) + 1)]
        slower = np.where(self.kinds[free] == len(_FANOUTS), _SLOWER_OF_MANY, _SLOWER)
        prices = _robust_fit(np.hstack(parts), graph.routed[free], slower)
        self.base = np.where(self.fixed, graph.routed, prices[port_of] + (_AMONG_OTHERS if keep_routes else 0.0))
        across, down = (grid.ravel() for grid in np.meshgrid(np.arange(_SPAN), np.arange(_SPAN), indexing="ij"))
        slopes = prices[len(names) :].reshape(len(_FANOUTS) + 1, -1)
        tables = np.stack([(_features(across, down) @ slope).reshape(_SPAN, _SPAN) for slope in slopes])
        # A longer wire is no faster, whatever little data says.
        self.tables = np.maximum.accumulate(np.maximum.accumulate(tables, axis=1), axis=2)

    def estimate(self, design: PlacedDesign, graph: TimingGraph) -> NDArray[np.float64]:
        """The delay of each wire in ps with the cells where they are now."""
        columns, rows = _distances(design, graph)
        led = self.delays_at(np.arange(len(self.base)), columns, rows)
        return np.asarray(np.where(self.fixed, self.base, led))

    def delays_at(
        self, wires: int | NDArray[np.int64], columns: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What ``wires``, none of them fixed, take over so many columns and rows, in ps."""
        led = np.asarray(self.base[wires] + self.tables[self.kinds[wires], columns, rows])
        if not self.keeps_routes:
            return led
        stays = (columns == self.routed_across[wires]) & (rows == self.routed_down[wires])
        return np.where(stays, self.as_routed[wires], led)


def _distances(design: PlacedDesign, graph: TimingGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    x, y = np.array(design.x), np.array(design.y)
    return abs(x[graph.drivers] - x[graph.sinks]), abs(y[graph.drivers] - y[graph.sinks])


def _port_kind(design: PlacedDesign, graph: TimingGraph, wire: int) -> tuple[str, str, str]:
    """What wires have in common apart from their length: the kinds of cells and, into logic, the pin."""
    start, end = (
        "logic" if design.kinds[cells[wire]].startswith("TRELLIS_") else design.kinds[cells[wire]]
        for cells in (graph.drivers, graph.sinks)
    )
    port = graph.ports[wire][1]
    # (D0 and D1 of a RAM's write port are like D.)
    return start, end, "" if end != "logic" else port if port in ("CE", "LSR", "WRE") else port[0]


def _features(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of a distance lies between each two bends, in columns and in rows."""
    ends = (*_BENDS[1:], _SPAN)
    parts = [
        np.clip(distance - start, 0, end - start)
        for distance in (columns, rows)
        for start, end in zip(_BENDS, ends, strict=True)
    ]
    return np.stack(parts, axis=1).astype(float)


def _robust_fit(
    features: NDArray[np.float64], delays: NDArray[np.float64], counts_slower: NDArray[np.float64]
) -> NDArray[np.float64]:
    weights = np.ones(len(delays))
    for _ in range(8):
        prices = np.linalg.lstsq(features * weights[:, None], delays * weights, rcond=None)[0]
        slower = delays - features @ prices
        counts = np.where(slower > 0, counts_slower, 1 - counts_slower)
        weights = np.sqrt(counts / (1 + (slower / _ASTRAY) ** 2))
    return np.asarray(prices)

"""What a placement costs in time, and what it would cost with some cells elsewhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cs_hdl.placement.placed import Exchange, Place, PlacedDesign
from cs_hdl.placement.timing import Analysis, TimingGraph
from cs_hdl.placement.wires import WireModel

__all__ = ["Change", "Cost"]

#: A wire's number, and its delay in ps after a move.
Change = tuple[int, float]

#: Further from the slowest path than so many temperatures a wire costs nothing but its length.
_FAR = 14.0
#: And not more than that far above it, so that no number grows beyond all others.
_ABOVE = 20.0
#: The same for weights, which are prices of a picosecond.
_MOST = 3.0
#: The price of a picosecond on any wire, that of one on the slowest path being 1: keeps wires short for the router.
_LENGTH = 2e-4
#: The price of a wire that has to be led anew among others that stay, a path at its longest being 1.
_LED_ANEW = 0.05


class Cost:
    """A path of ``t`` ps costs ``exp((t - longest) / temperature)``, ``longest`` being the slowest one at ``anneal``.

    ``anneal`` comes first. ``estimates`` holds the delay of each wire at the places where its cells are now,
    ``movable`` tells which wires can change theirs, ``wires_of`` which of those are at each cell. The two prices of a
    change are first guesses, wire by wire; ``total`` is exact for the model of wires, and takes as long as timing all
    paths.
    """

    def __init__(self, design: PlacedDesign, graph: TimingGraph, model: WireModel) -> None:
        self._design, self._graph, self._model = design, graph, model
        self._drivers, self._sinks = graph.drivers.tolist(), graph.sinks.tolist()
        self._base, self._led_anew = model.base.tolist(), _LED_ANEW if model.keeps_routes else 0.0
        tables = model.tables.tolist()
        self._tables = [tables[kind] for kind in model.kinds.tolist()]
        self._as_routed = model.as_routed.tolist()
        self._stays: list[tuple[int, int]] = list(
            zip(model.routed_across.tolist(), model.routed_down.tolist(), strict=True)
        )
        self.wires_of: list[list[int]] = [[] for _ in design.kinds]
        self.movable = ~model.fixed
        for wire in np.flatnonzero(self.movable & (graph.drivers != graph.sinks)).tolist():
            self.wires_of[self._drivers[wire]].append(wire)
            self.wires_of[self._sinks[wire]].append(wire)

    def anneal(self, temperature: float) -> Analysis:
        """Time all paths anew, and let those count that are within some ``temperature`` (a share of the longest)."""
        self.estimates = self._model.estimate(self._design, self._graph)
        self._delays: list[float] = self.estimates.tolist()
        analysis = self._graph.analyse(self.estimates)
        self.longest, self.temperature = analysis.longest, temperature * analysis.longest
        self.weigh(analysis)
        return analysis

    def weigh(self, analysis: Analysis) -> None:
        """Take what each wire costs from the paths through it."""
        self._through: list[float] = analysis.through.tolist()
        above = (analysis.through - self.longest) / self.temperature
        self.weights: list[float] = _prices(above, most=_MOST).tolist()

    def total(self) -> float:
        """The sum over all ends of paths."""
        ends = self._graph.ends(self._graph.arrivals(self.estimates), self.estimates)
        return float(np.exp((ends - self.longest) / self.temperature).sum())

    def other_end(self, wire: int, cell: int) -> int:
        """The cell at the other end of ``wire``."""
        return int(self._sinks[wire] if self._drivers[wire] == cell else self._drivers[wire])

    def prices_at(self, wire: int, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What ``wire`` would cost at each of these distances."""
        longer = self._model.delays_at(wire, columns, rows) - self._delays[wire]
        above = (self._through[wire] + longer - self.longest) / self.temperature
        return np.asarray(_prices(above, most=_ABOVE) * self.temperature + _LENGTH * longer)

    def changes(self, pairs: Exchange) -> list[Change]:
        """All wires whose delay changes when the places of ``pairs`` are exchanged."""
        at, x, y, delays = self._design.at, self._design.x, self._design.y, self._delays
        drivers, sinks, base, tables = self._drivers, self._sinks, self._base, self._tables
        keeps_routes, stays, as_routed = self._model.keeps_routes, self._stays, self._as_routed
        moved: dict[int, Place] = {}
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                if here in at:
                    moved[at[here]] = there
        found: dict[int, float] = {}
        for cell in moved:
            for wire in self.wires_of[cell]:
                driver, sink = drivers[wire], sinks[wire]
                start, end = moved.get(driver), moved.get(sink)
                start_x, start_y = (x[driver], y[driver]) if start is None else (start[0], start[1])
                end_x, end_y = (x[sink], y[sink]) if end is None else (end[0], end[1])
                columns, rows = abs(start_x - end_x), abs(start_y - end_y)
                delay = base[wire] + tables[wire][columns][rows]
                if keeps_routes and (columns, rows) == stays[wire]:
                    delay = as_routed[wire]
                if delay != delays[wire]:
                    found[wire] = delay
        return list(found.items())

    def first_order(self, changes: list[Change]) -> float:
        """What ``changes`` cost at the present weights: adds up over several moves of one group."""
        return sum((self.weights[wire] + _LENGTH) * (delay - self._delays[wire]) for wire, delay in changes)

    def price(self, changes: list[Change]) -> float:
        """What ``changes`` cost with each wire's own path getting longer or shorter, as if it changed alone."""
        total = self.temperature * self._led_anew * len(changes)
        for wire, delay in changes:
            longer = delay - self._delays[wire]
            above = (self._through[wire] + longer - self.longest) / self.temperature
            total += self.temperature * _price(above, most=_ABOVE)
            total += _LENGTH * longer - self.temperature * self.weights[wire]
        return total

    def set_delays(self, changes: list[Change]) -> list[Change]:
        """Let ``changes`` be, at the same weights; returns those that undo them."""
        undo = [(wire, self._delays[wire]) for wire, _ in changes]
        for wire, delay in changes:
            self._delays[wire] = delay
            self.estimates[wire] = delay
        return undo

    def take(self, changes: list[Change]) -> None:
        """Let ``changes`` be, each with its effect on what its own wire costs."""
        for wire, before in self.set_delays(changes):
            self._through[wire] += self._delays[wire] - before
            above = (self._through[wire] - self.longest) / self.temperature
            self.weights[wire] = _price(above, most=_MOST)


def _price(above: float, *, most: float) -> float:
    """The price of a path that is so many temperatures above the slowest."""
    return math.exp(min(above, most)) if above > -_FAR else 0.0


def _prices(above: NDArray[np.float64], *, most: float) -> NDArray[np.float64]:
    """The same for many."""
    return np.where(above > -_FAR, np.exp(np.clip(above, -_FAR, most)), 0.0)

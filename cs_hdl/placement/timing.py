"""Static timing of a placed design within its clock, as nextpnr times it, for any delays of its wires.

A node is a driver's pin. An arc leads from it over one wire and through the cell at its end to the next node; an end
leads over one wire to a register.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cs_hdl.errors import ToolError
from cs_hdl.placement.delays import Delays
from cs_hdl.placement.placed import Pin, PlacedDesign

__all__ = ["Analysis", "TimingGraph"]

_NEVER = -1e9


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """``arrival`` of each node, the longest path ``through`` each wire and the one to each of the ``ends``, in ps."""

    arrival: NDArray[np.float64]
    through: NDArray[np.float64]
    ends: NDArray[np.float64]

    @property
    def longest(self) -> float:
        """The slowest path of all, the least period."""
        return float(self.ends.max())


@dataclass(frozen=True)
class _Step:
    """Arcs whose results do not need each other: wire, node that is read, delay; and where each written node begins."""

    wires: NDArray[np.int64]
    reads: NDArray[np.int64]
    delays: NDArray[np.float64]
    starts: NDArray[np.int64]
    writes: NDArray[np.int64]


class TimingGraph:
    """All that is timed by the clock with the most flip-flops.

    ``drivers`` and ``sinks`` hold the cell at either end of each wire, ``ports`` the names of its pins, ``nodes`` its
    driver's node, ``routed`` its delay as it was routed. Raises ToolError where the delays are of another design or
    lead in a circle.
    """

    def __init__(self, design: PlacedDesign, delays: Delays) -> None:
        clocks = Counter(design.net(cell, "CLK") for cell, kind in enumerate(design.kinds) if kind == "TRELLIS_FF")
        if not clocks:
            raise ToolError("the design has no flip-flops to time")
        self._clock = clocks.most_common(1)[0][0]
        self._node_of: dict[Pin, int] = {}
        launches, through_cells, setups = self._cells(design, delays)
        self._wires(design, delays, through_cells, setups)
        self.launch = np.full(len(self._node_of), _NEVER)
        for node, delay in launches.items():
            self.launch[node] = delay
        self._order()

    def _node(self, cell: int, port: str) -> int:
        return self._node_of.setdefault((cell, port), len(self._node_of))

    def _cells(
        self, design: PlacedDesign, delays: Delays
    ) -> tuple[dict[int, int], dict[Pin, list[tuple[str, int]]], dict[Pin, int]]:
        """What leaves registers and when, what leads from pin to pin within cells, and what registers ask for."""
        launches: dict[int, int] = {}
        through: dict[Pin, list[tuple[str, int]]] = {}
        setups: dict[Pin, int] = {}
        for cell, name in enumerate(design.names):
            for start, end, delay in delays.paths.get(name, ()):
                if not start.startswith(("CLK", "WCK")):
                    through.setdefault((cell, start), []).append((end, delay))
                elif design.net(cell, start) == self._clock:
                    launches[self._node(cell, end)] = delay
            for port, clock, delay in delays.setups.get(name, ()):
                if design.net(cell, clock) == self._clock:
                    setups[cell, port] = delay
        return launches, through, setups

    def _wires(
        self,
        design: PlacedDesign,
        delays: Delays,
        through_cells: dict[Pin, list[tuple[str, int]]],
        setups: dict[Pin, int],
    ) -> None:
        drivers, sinks, nodes = [], [], []
        routed: list[int] = []
        self.ports: list[tuple[str, str]] = []
        arcs, ends = [], []
        for net, (driver, port) in design.drivers.items():
            for sink, end_port in design.sinks.get(net, ()):
                onward, setup = through_cells.get((sink, end_port), ()), setups.get((sink, end_port))
                if not onward and setup is None:
                    continue
                wire, node = len(routed), self._node(driver, port)
                try:
                    routed.append(delays.wires[design.names[driver], port, design.names[sink], end_port])
                except KeyError:
                    raise ToolError(
                        f"no delay of the wire from {design.names[driver]} to {design.names[sink]}"
                    ) from None
                drivers.append(driver)
                sinks.append(sink)
                nodes.append(node)
                self.ports.append((port, end_port))
                arcs += [(wire, node, self._node(sink, exit_port), delay) for exit_port, delay in onward]
                if setup is not None:
                    ends.append((wire, node, setup))
        if not ends or not arcs:
            raise ToolError("the design has nothing to time between its registers")
        self.drivers, self.sinks, self.nodes = (np.array(values) for values in (drivers, sinks, nodes))
        self.routed = np.array(routed, float)
        self._arcs, self._ends = np.array(arcs), np.array(ends)

    def _order(self) -> None:
        count = len(self._node_of)
        level, waiting = np.zeros(count, int), np.bincount(self._arcs[:, 2], minlength=count)
        by_source = np.argsort(self._arcs[:, 1], kind="stable")
        starts = np.searchsorted(self._arcs[by_source, 1], np.arange(count + 1))
        front, seen, depth = np.flatnonzero(waiting == 0), 0, 0
        while len(front):
            seen, depth = seen + len(front), depth + 1
            leaving = np.concatenate([by_source[starts[node] : starts[node + 1]] for node in front])
            reached = self._arcs[leaving, 2]
            np.subtract.at(waiting, reached, 1)
            level[reached] = depth
            reached = np.unique(reached)
            front = reached[waiting[reached] == 0]
        if seen != count:
            raise ToolError("the design has a loop without a register")
        self._forward = self._steps(reads=1, writes=2, order=level[self._arcs[:, 2]])
        self._backward = self._steps(reads=2, writes=1, order=-level[self._arcs[:, 1]])
        into = np.argsort(self._arcs[:, 2], kind="stable")
        self._into = into.tolist()
        self._into_starts = np.searchsorted(self._arcs[into, 2], np.arange(count + 1)).tolist()
        self._arc_list: list[list[int]] = self._arcs.tolist()

    def _steps(self, *, reads: int, writes: int, order: NDArray[np.int64]) -> list[_Step]:
        sequence = np.lexsort((self._arcs[:, writes], order))
        arcs, order = self._arcs[sequence], order[sequence]
        cuts = [0, *(np.flatnonzero(np.diff(order)) + 1).tolist(), len(arcs)]
        steps = []
        for start, stop in pairwise(cuts):
            part = arcs[start:stop]
            begins = np.concatenate(([0], np.flatnonzero(np.diff(part[:, writes])) + 1))
            steps.append(_Step(part[:, 0], part[:, reads], part[:, 3].astype(float), begins, part[begins, writes]))
        return steps

    def arrivals(self, wires: NDArray[np.float64]) -> NDArray[np.float64]:
        """When each node has its value, with ``wires`` as the delay of each wire, all in ps after the clock."""
        arrival = self.launch.copy()
        for step in self._forward:
            latest = np.maximum.reduceat(arrival[step.reads] + wires[step.wires] + step.delays, step.starts)
            arrival[step.writes] = np.maximum(arrival[step.writes], latest)
        return arrival

    def ends(self, arrival: NDArray[np.float64], wires: NDArray[np.float64]) -> NDArray[np.float64]:
        """The longest path to each end, where the nodes have their values at ``arrival``."""
        end_wires, end_nodes, setups = self._ends.T
        return np.asarray(arrival[end_nodes] + wires[end_wires] + setups)

    def analyse(self, wires: NDArray[np.float64]) -> Analysis:
        """Time all paths, with ``wires`` as the delay of each wire in ps."""
        arrival, rest = self.arrivals(wires), np.full(len(self.launch), _NEVER)
        end_wires, end_nodes, setups = self._ends.T
        np.maximum.at(rest, end_nodes, wires[end_wires] + setups)
        for step in self._backward:
            longest = np.maximum.reduceat(rest[step.reads] + wires[step.wires] + step.delays, step.starts)
            rest[step.writes] = np.maximum(rest[step.writes], longest)
        onward = np.full(len(wires), _NEVER)
        np.maximum.at(onward, end_wires, setups)
        np.maximum.at(onward, self._arcs[:, 0], rest[self._arcs[:, 2]] + self._arcs[:, 3])
        return Analysis(
            arrival=arrival,
            through=arrival[self.nodes] + wires + onward,
            ends=self.ends(arrival, wires),
        )

    def slowest_path(self, end: int, arrival: NDArray[np.float64], wires: NDArray[np.float64]) -> list[int]:
        """The cells of the slowest path to the end number ``end``, registers included, by ``arrivals(wires)``."""
        wire, node = int(self._ends[end, 0]), int(self._ends[end, 1])
        cells = [int(self.sinks[wire]), int(self.drivers[wire])]
        while True:
            latest, chosen = self.launch[node], None
            for arc in self._into[self._into_starts[node] : self._into_starts[node + 1]]:
                over, source, _, delay = self._arc_list[arc]
                at = arrival[source] + wires[over] + delay
                if at > latest:
                    latest, chosen = at, arc
            if chosen is None:
                return cells[::-1]
            over, node = self._arc_list[chosen][:2]
            if self.drivers[over] != cells[-1]:
                cells.append(int(self.drivers[over]))

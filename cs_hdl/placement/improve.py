"""Cells on slow paths to better places, in turns: hard blocks, pieces of paths, then one group after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from cs_hdl.placement.blocks import Blocks
from cs_hdl.placement.cost import Change, Cost
from cs_hdl.placement.delays import Delays
from cs_hdl.placement.placed import Exchange, PlacedDesign
from cs_hdl.placement.rules import Rules
from cs_hdl.placement.timing import Analysis, TimingGraph
from cs_hdl.placement.wires import WireModel

__all__ = ["improve"]

_TURNS = 12
#: Shares of the slowest path that count, in the first turn and in the end. The last is about as much as the router
#: differs from any model of wires: what is closer together it may turn around.
_WARM, _COLD, _COOLING = 0.10, 0.035, 0.8
#: Paths and wires slower than this share below the slowest are looked at, so many at most in a turn.
_MARGIN = 0.25
_PATHS, _GROUPS = 160, 3000
#: The same where routes are kept: each cell that moves has its nets led anew.
_MENDING, _MENDING_MARGIN, _MENDING_TURNS = 0.005, 0.006, 6
#: Hard blocks move in every third turn: the logic about them has to follow.
_BLOCKS_EVERY = 3
#: The end: once it is cold, so many turns later than the best.
_PATIENCE = 3


def improve(
    design: PlacedDesign,
    delays: Delays,
    *,
    keep_routes: bool = False,
    progress: Callable[[int, int, float], None] = lambda turn, turns, expected_ps: None,
) -> float:
    """Move cells of ``design``, which was routed with ``delays``, so that its slow paths get shorter.

    With ``keep_routes`` wires whose ends stay where they are keep their delays, few cells are moved, and only for what
    is slower than the rest; hard blocks stay.
    Returns the slowest path in ps that is to be expected, by the model of wires, and ``progress`` is told the same
    after each turn, of which there are so many at most. Nothing is random: the same design ends the same.
    """
    graph = TimingGraph(design, delays)
    cost = Cost(design, graph, WireModel(design, graph, keep_routes=keep_routes))
    warm, cold, turns = (_MENDING, _MENDING, _MENDING_TURNS) if keep_routes else (_WARM, _COLD, _TURNS)
    search = _Search(design, graph, cost, keep_routes=keep_routes)
    best_score, best_longest, best, best_turn = np.inf, np.inf, design.arrangement(), 0
    for turn in range(turns + 1):
        temperature = max(cold, warm * _COOLING**turn)
        analysis = cost.anneal(temperature)
        # (At one temperature for all turns, so that they can be compared.)
        score = float(np.log(np.exp((analysis.ends - analysis.longest) / (cold * analysis.longest)).sum()))
        expected = analysis.longest * (1 + cold * score)
        if expected < best_score:
            best_score, best_longest, best, best_turn = expected, analysis.longest, design.arrangement(), turn
        progress(turn, turns, best_longest)
        if turn == turns or (temperature == cold and turn - best_turn >= _PATIENCE):
            break
        search.turn(analysis, with_blocks=not keep_routes and turn % _BLOCKS_EVERY == 0)
    design.arrange(best)
    return best_longest


class _Search:
    """The moves of one turn."""

    #: How far around a group and around what it hangs on it may go, in tiles; how many of them are looked into.
    reach, reach_there, tiles_tried = 8, 2, 10
    #: Pieces of a path: so many cells at most, groups of so many, so far from each other, and jumps of so many tiles
    #: before or behind that make them worth a look; so many pieces of each path.
    piece, piece_group, piece_spread, jump, pieces = 5, 16, 6, 4, 8

    def __init__(self, design: PlacedDesign, graph: TimingGraph, cost: Cost, *, keep_routes: bool) -> None:
        self._design, self._graph, self._cost, self._keep_routes = design, graph, cost, keep_routes
        self._margin = _MENDING_MARGIN if keep_routes else _MARGIN
        self._rules, self._blocks = Rules(design), Blocks(design)
        tiles = np.array(self._rules.tiles).reshape(-1, 2)
        self._tile_x, self._tile_y = tiles[:, 0], tiles[:, 1]

    def turn(self, analysis: Analysis, *, with_blocks: bool) -> None:
        """Move what gains."""
        cost = self._cost
        if with_blocks and self._blocks.assign(cost):
            analysis = cost.anneal(cost.temperature / cost.longest)
        self._move_paths(analysis)
        analysis = self._graph.analyse(cost.estimates)
        cost.weigh(analysis)
        for cell in self._slow_groups(analysis):
            self._move_group(cell)

    # Pieces of paths

    def _move_paths(self, analysis: Analysis) -> None:
        """The slowest paths, each once."""
        graph, cost = self._graph, self._cost
        seen: set[tuple[int, ...]] = set()
        total, arrival = cost.total(), analysis.arrival
        for end in np.argsort(-analysis.ends, kind="stable").tolist():
            if analysis.ends[end] < cost.longest * (1 - self._margin) or len(seen) == _PATHS:
                break
            path = graph.slowest_path(end, arrival, cost.estimates)
            if tuple(path[:-1]) in seen:
                continue
            seen.add(tuple(path[:-1]))
            after = self._move_path(path, total)
            if after is not None:
                total, arrival = after, graph.arrivals(cost.estimates)

    def _move_path(self, path: list[int], total: float) -> float | None:
        """The cost of all once a piece of ``path`` is at a better place; None where there is none."""
        design, cost = self._design, self._cost
        for cells, leaders, ends in self._pieces(path):
            x, y = design.x[cells[0]], design.y[cells[0]]
            for to_x, to_y in self._goals(x, y, ends):
                done: list[tuple[Exchange, list[Change]]] = []
                for leader in leaders:
                    found = self._best_near(leader, to_x, to_y)
                    if found is None:
                        break
                    pairs, changes = found
                    design.move(pairs)
                    done.append((pairs, cost.set_delays(changes)))
                else:
                    after = cost.total()
                    if after < total * (1 - 1e-4):
                        return after
                for pairs, undo in reversed(done):
                    design.move(pairs)
                    cost.set_delays(undo)
        return None

    def _pieces(self, path: list[int]) -> list[tuple[list[int], list[int], list[int]]]:
        """Cells in a row that may move together, the first of each of their groups, and the cells before and behind.

        Those with the longest jump to the rest of the path come first.
        """
        found = []
        for length in range(1, self.piece + 1):
            for start in range(len(path) - length + 1):
                cells, stop = path[start : start + length], start + length
                groups = [self._rules.groups[cell] for cell in cells]
                if not all(0 < len(group) <= self.piece_group for group in groups):
                    continue
                if any(self._apart(*pair) > self.piece_spread for pair in pairwise(cells)):
                    continue
                before, behind = path[start - 1 : start] if start else [], path[stop : stop + 1]
                jumps = [self._apart(cell, cells[0]) for cell in before]
                jumps += [self._apart(cell, cells[-1]) for cell in behind]
                if max(jumps, default=0) >= self.jump:
                    leaders = list(dict.fromkeys(group[0] for group in groups))
                    found.append((length / 2 - max(jumps), cells, leaders, before + behind))
        found.sort(key=lambda piece: piece[0])
        return [piece[1:] for piece in found[: self.pieces]]

    def _apart(self, one: int, other: int) -> int:
        design = self._design
        return abs(design.x[one] - design.x[other]) + abs(design.y[one] - design.y[other])

    def _goals(self, x: int, y: int, ends: list[int]) -> list[tuple[int, int]]:
        """Where to: to either end, between them, or halfway there."""
        ends_at = [(self._design.x[cell], self._design.y[cell]) for cell in ends]
        middle = (sum(at[0] for at in ends_at) // len(ends_at), sum(at[1] for at in ends_at) // len(ends_at))
        halfway = [((x + to_x) // 2, (y + to_y) // 2) for to_x, to_y in ends_at]
        return sorted({at for at in (*ends_at, middle, *halfway) if abs(at[0] - x) + abs(at[1] - y) >= 3})

    def _best_near(self, cell: int, to_x: int, to_y: int) -> tuple[Exchange, list[Change]] | None:
        """The cheapest exchange by which the group of ``cell`` comes within two tiles of a place."""
        best: tuple[float, Exchange, list[Change]] | None = None
        near = range(-self.reach_there, self.reach_there + 1)
        for x, y in ((to_x + columns, to_y + rows) for columns in near for rows in near):
            found = 0
            for pairs in self._exchanges(cell, x, y):
                changes = self._cost.changes(pairs)
                price = self._cost.first_order(changes)
                if (best is None or price < best[0]) and self._rules.allows(pairs):
                    best = (price, pairs, changes)
                    found += 1
                if found == 2:
                    break
        return None if best is None else best[1:]

    def _exchanges(self, cell: int, x: int, y: int) -> Iterator[Exchange]:
        """All ways to have the group of ``cell`` in tile (x, y): at any place within it where it is loose."""
        design, rules = self._design, self._rules
        if not rules.is_tile(x, y):
            return
        group = rules.groups[cell]
        places = [design.place(member) for member in group]
        columns, rows, within = x - places[0][0], y - places[0][1], places[0][2] % 8
        for shift in range(-within, 8 - within) if rules.loose[cell] else (0,):
            if (columns, rows, shift) == (0, 0, 0):
                continue
            pairs = rules.exchange(places, (columns, rows, shift))
            # (Loose cells against a whole chain: seldom worth the look.)
            if pairs is not None and not (rules.loose[cell] and len(pairs) > 4):
                yield pairs

    # One group after another

    def _slow_groups(self, analysis: Analysis) -> list[int]:
        """The first cell of each group at a slow wire, those with the slowest first."""
        slowest: dict[int, float] = {}
        graph, design = self._graph, self._design
        hot = np.flatnonzero((analysis.through > self._cost.longest * (1 - self._margin)) & self._cost.movable)
        for wire in hot.tolist():
            for cell in (int(graph.drivers[wire]), int(graph.sinks[wire])):
                if design.within[cell] >= 0:
                    leader = self._rules.groups[cell][0]
                    slowest[leader] = max(slowest.get(leader, 0.0), float(analysis.through[wire]))
        return sorted(slowest, key=lambda cell: (-slowest[cell], cell))[:_GROUPS]

    def _move_group(self, cell: int) -> None:
        """Move the group of ``cell`` to where its slow wires are cheapest, if that is better than here."""
        cost, design, loose = self._cost, self._design, self._rules.loose[cell]
        best: tuple[float, Exchange, list[Change]] = (-1e-3 * cost.temperature, [], [])
        for expected, x, y in self._promising(cell):
            if loose and expected >= best[0]:
                break
            for pairs in (*self._exchanges(cell, x, y), *self._whole_tiles(cell, x, y)):
                changes = cost.changes(pairs)
                price = cost.price(changes)
                if price < best[0] and self._rules.allows(pairs):
                    best = (price, pairs, changes)
        design.move(best[1])
        cost.take(best[2])

    def _promising(self, cell: int) -> list[tuple[float, int, int]]:
        """Tiles where the group's own slow wires would cost less, and how much, the best first."""
        cost, design = self._cost, self._design
        group = self._rules.groups[cell]
        inside, x, y = set(group), design.x[cell], design.y[cell]
        slow = [
            (wire, member, other)
            for member in group
            for wire in cost.wires_of[member]
            if cost.weights[wire] >= 1e-3 and (other := cost.other_end(wire, member)) not in inside
        ]
        if not slow:
            return []
        # Where the other end is, seen from the group's first cell.
        to_x = [design.x[other] - design.x[member] + x for _, member, other in slow]
        to_y = [design.y[other] - design.y[member] + y for _, member, other in slow]
        weights = np.array([cost.weights[wire] for wire, _, _ in slow])
        near = (abs(self._tile_x - x) <= self.reach) & (abs(self._tile_y - y) <= self.reach)
        for heavy in np.argsort(-weights, kind="stable")[:4].tolist():
            near |= (abs(self._tile_x - to_x[heavy]) <= self.reach_there) & (
                abs(self._tile_y - to_y[heavy]) <= self.reach_there
            )
        tiles_x, tiles_y = self._tile_x[near], self._tile_y[near]
        prices = np.zeros(len(tiles_x))
        for (wire, _, _), at_x, at_y in zip(slow, to_x, to_y, strict=True):
            prices += cost.prices_at(wire, abs(tiles_x - at_x), abs(tiles_y - at_y))
        gains = prices - cost.temperature * float(weights.sum())
        order = np.argsort(gains, kind="stable")[: self.tiles_tried].tolist()
        return [
            (float(gains[tile]), int(tiles_x[tile]), int(tiles_y[tile]))
            for tile in order
            if gains[tile] < 0 and (tiles_x[tile], tiles_y[tile]) != (x, y)
        ]

    def _whole_tiles(self, cell: int, x: int, y: int) -> list[Exchange]:
        """The exchange of all that is in the tiles of a group that is not loose: their clocks, resets and enables
        always agree. None where routes are kept: too much would be led anew."""
        if self._rules.loose[cell] or self._keep_routes:
            return []
        design, group = self._design, self._rules.groups[cell]
        places = [
            (column, row, within)
            for column, row in sorted({(design.x[member], design.y[member]) for member in group})
            for within in range(17)
        ]
        pairs = self._rules.exchange(places, (x - design.x[cell], y - design.y[cell], 0))
        return [] if pairs is None else [pairs]

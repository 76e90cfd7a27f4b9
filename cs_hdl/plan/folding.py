"""Choose the lanes of one layer: the cheapest folding that keeps within a number of cycles."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

from cs_hdl.plan.cost import lanes_cost, table_in_block_ram
from cs_hdl.plan.lane_timing import row_needs
from cs_hdl.plan.lanes import LanesPlan, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.plan.geometry import Geometry

__all__ = ["fold_lanes", "lane_cycles", "row_demand"]

#: Activation memory of a lane up to which two whole words are held, in bits: it decouples neighbours.
_WHOLE_WORDS_BITS = 2**16
#: Cycles from the last lane to the reorder buffer and out of it, at most.
_TAIL = 14


@lru_cache
def row_demand(geometry: Geometry) -> int:
    """The most input rows that must be held at once."""
    return max(need for need, _ in row_needs(geometry))


def _splits(count: int) -> list[int]:
    """Numbers of parts that give each part another size: 1 .. count, without the wasteful ones."""
    best: dict[int, int] = {}
    for parts in range(1, count + 1):
        best.setdefault(ceil_div(count, parts), parts)
    return sorted(best.values())


def _grids(geometry: Geometry, entries: int, beat: int, *, sparse: bool) -> Iterator[tuple[int, int, int]]:
    for rows in _splits(geometry.kernel[0]):
        for columns in _splits(geometry.kernel[1]):
            for slices in _splits(entries):
                size = ceil_div(entries, slices)
                # Each slice has whole beats of its own; of winners, none may be left unwritten.
                if slices > 1 and (size % beat or (sparse and slices * size // beat != ceil_div(entries, beat))):
                    continue
                yield rows, columns, slices


def _steps(geometry: Geometry, entries: int, grid: tuple[int, int, int]) -> int:
    """Cycles in which the lanes of ``grid`` accumulate one pass."""
    rows, columns, slices = grid
    return ceil_div(geometry.kernel[0], rows) * ceil_div(geometry.kernel[1], columns) * ceil_div(entries, slices)


def _make(
    packed: PackedLayer,
    geometry: Geometry,
    *,
    entries: int,
    beat: int,
    sparse: bool,
    grid: tuple[int, int, int],
    passes: int,
    output_lanes: int,
) -> LanesPlan:
    rows, columns, slices = grid
    plan = LanesPlan(
        geometry=geometry,
        entries=entries,
        beat=beat,
        sparse=sparse,
        sets=len(packed.sets),
        kernels_per_set=packed.kernels_per_set,
        out_channels=sum(len(members) for members in packed.sets),
        rows=rows,
        columns=columns,
        slices=slices,
        passes=passes,
        ring_rows=1,
        slots=1,
        output_lanes=output_lanes,
        rom_latency=1,
    )
    block = table_in_block_ram(plan.table_depth, plan.table_width)
    height, demand = geometry.shape[0], row_demand(geometry)
    whole = 2 * height * plan.row_pitch * plan.beat * plan.entry_width <= _WHOLE_WORDS_BITS
    # Two words (or twice what a window needs), and the rows that come in until the last lane is done with one.
    spare = max(1, ceil_div((plan.lanes + 6) * height, plan.cycles))
    wanted = min(2 * height, 2 * height if whole else 2 * demand) + spare
    plan = dataclasses.replace(plan, ring_rows=1 << (wanted - 1).bit_length(), rom_latency=2 if block else 1)
    # A slot is taken from a position's first drain until its last beat has been read.
    held = (passes - 1) * plan.pass_cycles + plan.kernels_per_set + plan.chain_latency + _TAIL + plan.output_beats
    return dataclasses.replace(plan, slots=ceil_div(held, plan.position_cycles) + 1)


def lane_cycles(packed: PackedLayer, geometry: Geometry, *, entries: int, beat: int, sparse: bool) -> set[int]:
    """All numbers of cycles a word that some folding takes."""
    kernels, sets = packed.kernels_per_set, len(packed.sets)
    steps = {_steps(geometry, entries, grid) for grid in _grids(geometry, entries, beat, sparse=sparse)}
    return {geometry.positions * passes * max(step, kernels) for step in steps for passes in _splits(sets)}


def fold_lanes(
    packed: PackedLayer,
    geometry: Geometry,
    *,
    entries: int,
    beat: int,
    sparse: bool,
    output_lanes: int,
    cycles: int,
) -> LanesPlan | None:
    """The cheapest folding of at most ``cycles`` cycles a word; None where there is none.

    ``entries`` values of a position arrive ``beat`` at a time, as pairs where ``sparse``.
    """
    best: tuple[float, int, LanesPlan] | None = None
    sets, kernels = len(packed.sets), packed.kernels_per_set
    budget = cycles // geometry.positions
    for grid in _grids(geometry, entries, beat, sparse=sparse):
        most = budget // max(_steps(geometry, entries, grid), kernels)
        if most < 1:
            continue
        # More passes on fewer multipliers are cheaper: take as many as the cycles allow.
        passes = ceil_div(sets, ceil_div(sets, min(most, sets)))
        plan = _make(
            packed,
            geometry,
            entries=entries,
            beat=beat,
            sparse=sparse,
            grid=grid,
            passes=passes,
            output_lanes=output_lanes,
        )
        candidate = (lanes_cost(plan).weight, plan.lanes, plan)
        if best is None or candidate[:2] < best[:2]:
            best = candidate
    return None if best is None else best[2]

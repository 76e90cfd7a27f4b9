"""Choose the lanes of one layer: the cheapest folding that keeps within a number of cycles."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cs_hdl.combine.packed import span_sets, split_sets
from cs_hdl.plan.cost import LUTS_PER_DSP, lanes_cost, table_block_rams, table_in_block_ram
from cs_hdl.plan.lane_timing import row_needs
from cs_hdl.plan.lanes import LanesPlan, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.plan.geometry import Geometry

__all__ = ["fold_lanes", "lane_cycles", "least_needs", "realise", "row_demand", "undominated"]

#: Activation memory of a lane up to which two whole words are held, in bits: it decouples neighbours.
_WHOLE_WORDS_BITS = 2**16
#: Cycles from the last lane to the reorder buffer and out of it, at most.
_TAIL = 16
#: LUTs of a multiplier's accumulators, at least.
_LUTS_PER_MULTIPLIER = 150
#: Turns of a multiplier up to which packing by single weights is given one more than the bound asks for.
_FEW_TURNS = 8
#: Packings by single weights that are tried before a folding is given up.
_TRIES = 5


@lru_cache
def row_demand(geometry: Geometry) -> int:
    """The most input rows that must be held at once."""
    return max(need for need, _ in row_needs(geometry))


@lru_cache(maxsize=4096)
def _splits(count: int) -> tuple[int, ...]:
    """Numbers of parts that give each part another size: 1 .. count, without the wasteful ones."""
    best: dict[int, int] = {}
    for parts in range(1, count + 1):
        best.setdefault(ceil_div(count, parts), parts)
    return tuple(sorted(best.values()))


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


@dataclass(frozen=True, kw_only=True)
class _Packing:
    """Sets, kernels a set, passes, and whether kernels span sets: what a folding needs to know of the packing."""

    sets: int
    kernels_per_set: int
    passes: int
    spanning: bool


@lru_cache(maxsize=64)
def _set_sizes(packed: PackedLayer) -> list[tuple[int, int]]:
    """Kernels a set and the number of sets, if sets are cut into ever more parts: drains get shorter."""
    most = packed.kernels_per_set
    sizes = sorted({ceil_div(most, parts) for parts in range(1, most + 1)}, reverse=True)
    return [(size, sum(ceil_div(len(members), size) for members in packed.sets)) for size in sizes]


def _packings(packed: PackedLayer, *, steps: int, budget: int) -> Iterator[_Packing]:
    """Those that keep a position within ``budget`` cycles, with as many passes as that allows.

    Kernels span sets only where whole kernels do not reach the bound; how many kernel ids that takes is
    an estimate, on the safe side.
    """
    for size, sets in _set_sizes(packed):
        most = budget // max(steps, size)
        if most >= 1:
            # More passes on fewer multipliers are cheaper: take as many as the cycles allow.
            passes = ceil_div(sets, ceil_div(sets, min(most, sets)))
            yield _Packing(sets=sets, kernels_per_set=size, passes=passes, spanning=False)
    bound = packed.lower_bound
    turns = min(bound, budget // steps)
    if bound < len(packed.sets) and turns >= 2:
        # With few turns, columns are hard to fill to the last place.
        columns = ceil_div(bound, turns if turns == bound or turns > _FEW_TURNS else turns - 1)
        kernels = sum(len(members) for members in packed.sets)
        ids = kernels if columns == 1 else min(kernels, ceil_div(8 * kernels, 5 * columns) + 2)
        passes = min(turns, ceil_div(bound, columns) + (turns <= _FEW_TURNS))
        if columns < len(packed.sets) and ids <= budget:
            yield _Packing(sets=columns * passes, kernels_per_set=ids, passes=passes, spanning=True)


@lru_cache(maxsize=1024)
def _reorder_copies(packed: PackedLayer, *, columns: int, output_lanes: int) -> int:
    """Pairs of an output lane and a set column that it reads, if sets are neither cut nor spanned."""
    places = ((kernel, number) for number, members in enumerate(packed.sets) for kernel in members)
    return len({(kernel % output_lanes, number % columns) for kernel, number in places})


def _unsized(
    packing: _Packing,
    geometry: Geometry,
    *,
    entries: int,
    beat: int,
    sparse: bool,
    grid: tuple[int, int, int],
    engines: int,
    out_channels: int,
    output_lanes: int,
) -> LanesPlan:
    """The folding, but for its memories."""
    rows, columns, slices = grid
    return LanesPlan(
        geometry=geometry,
        entries=entries,
        beat=beat,
        sparse=sparse,
        sets=packing.sets,
        kernels_per_set=packing.kernels_per_set,
        out_channels=out_channels,
        rows=rows,
        columns=columns,
        slices=slices,
        passes=packing.passes,
        ring_rows=1,
        slots=1,
        output_lanes=output_lanes,
        engines=engines,
        spanning=packing.spanning,
    )


def _sized(plan: LanesPlan) -> LanesPlan:
    """``plan`` with its memories: the ring of rows, the slots, and where the tables lie."""
    height, demand = plan.geometry.shape[0], row_demand(plan.geometry)
    whole = 2 * height * plan.row_pitch * plan.beat * plan.entry_width <= _WHOLE_WORDS_BITS // plan.engines
    # Two words (or twice what a window needs), and the rows that come in until the last lane is done with one.
    spare = max(1, ceil_div((plan.read_delay + 3) * height, plan.cycles))
    wanted = min(2 * height, 2 * height if whole else 2 * demand) + spare
    places = table_in_block_ram(plan.output_beats, plan.place_width)
    block = table_in_block_ram(plan.table_depth, plan.table_width)
    plan = dataclasses.replace(
        plan, ring_rows=1 << (wanted - 1).bit_length(), table_in_block_ram=block, places_in_block_ram=places
    )
    # A slot is taken from a position's first drain until the last beat of its group has been read.
    first = (plan.drains - 1) * max(plan.drain_steps, plan.kernels_per_set) + plan.kernels_per_set
    held = (
        first + plan.chain_latency + plan.merge_latency + _TAIL + plan.engines * (plan.output_beats + plan.engine_delay)
    )
    return dataclasses.replace(plan, slots=ceil_div(held, plan.position_cycles) + 1)


def lane_cycles(packed: PackedLayer, geometry: Geometry, *, entries: int, beat: int, sparse: bool) -> set[int]:
    """All numbers of cycles a word that some folding takes."""
    steps = {_steps(geometry, entries, grid) for grid in _grids(geometry, entries, beat, sparse=sparse)}
    positions = {
        passes * max(step, size) for size, sets in _set_sizes(packed) for step in steps for passes in _splits(sets)
    }
    if packed.lower_bound < len(packed.sets):
        positions |= {step * turns for step in steps for turns in _splits(packed.lower_bound)}
    groups = {geometry.out[0] * ceil_div(geometry.out[1], engines) for engines in _splits(geometry.out[1])}
    return {count * position for count in groups for position in positions}


def fold_lanes(
    packed: PackedLayer,
    geometry: Geometry,
    *,
    entries: int,
    beat: int,
    sparse: bool,
    output_lanes: int,
    cycles: int,
    spanning: bool = True,
) -> LanesPlan | None:
    """The cheapest folding of at most ``cycles`` cycles a word; None where there is none.

    ``entries`` values of a position arrive ``beat`` at a time, as pairs where ``sparse``. Where the plan says
    that kernels span sets (never without ``spanning``), :func:`realise` packs them so.
    """
    best: tuple[float, int, LanesPlan] | None = None
    out_channels = sum(len(members) for members in packed.sets)
    for grid in _grids(geometry, entries, beat, sparse=sparse):
        steps, lanes = _steps(geometry, entries, grid), grid[0] * grid[1] * grid[2]
        for engines in _splits(geometry.out[1]):
            budget = cycles // (geometry.out[0] * ceil_div(geometry.out[1], engines))
            for packing in _packings(packed, steps=steps, budget=budget):
                multipliers = lanes * engines * ceil_div(packing.sets, packing.passes)
                if packing.spanning and not spanning:
                    continue
                if best is not None and multipliers * (LUTS_PER_DSP + _LUTS_PER_MULTIPLIER) > best[0]:
                    continue  # the multipliers and their accumulators alone cost more
                plan = _unsized(
                    packing,
                    geometry,
                    entries=entries,
                    beat=beat,
                    sparse=sparse,
                    grid=grid,
                    engines=engines,
                    out_channels=out_channels,
                    output_lanes=output_lanes,
                )
                copies = _reorder_copies(packed, columns=plan.set_columns, output_lanes=output_lanes)
                plan = _sized(dataclasses.replace(plan, reorder_copies=copies))
                candidate = (lanes_cost(plan).weight, plan.engines * plan.lanes, plan)
                if best is None or candidate[:2] < best[:2]:
                    best = candidate
    return None if best is None else best[2]


def least_needs(
    packed: PackedLayer, geometry: Geometry, *, entries: int, sparse: bool, cycles: int, most: int
) -> list[tuple[int, int]]:
    """Multipliers, and block RAMs of an ECP5 for the tables, of the foldings of at most ``cycles`` cycles a word,
    whatever the width of a beat; only those that no other one beats, fewest multipliers first. Those of more
    multipliers than ``most`` are left aside where there are any of fewer."""
    kernel = geometry.kernel
    needs: set[tuple[int, int]] = set()
    fewest = math.inf
    for grid in itertools.product(_splits(kernel[0]), _splits(kernel[1]), _splits(entries)):
        steps, lanes = _steps(geometry, entries, grid), grid[0] * grid[1] * grid[2]
        tables: dict[_Packing, int] = {}  # the same whatever the engines
        for engines in _splits(geometry.out[1]):
            budget = cycles // (geometry.out[0] * ceil_div(geometry.out[1], engines))
            for packing in _packings(packed, steps=steps, budget=budget):
                multipliers = lanes * engines * ceil_div(packing.sets, packing.passes)
                fewest = min(fewest, multipliers)
                if multipliers > max(most, fewest):
                    continue
                if packing not in tables:
                    plan = _unsized(
                        packing, geometry, entries=entries, beat=1, sparse=sparse, grid=grid, engines=1,
                        out_channels=1, output_lanes=1,
                    )  # fmt: skip
                    tables[packing] = table_block_rams(plan)
                needs.add((multipliers, lanes * engines * tables[packing]))
    return undominated(needs)


def undominated(needs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those pairs than which no other one is smaller in both, rising by the first."""
    found: list[tuple[int, int]] = []
    for pair in sorted(set(needs)):
        if not found or pair[1] < found[-1][1]:
            found.append(pair)
    return found


def realise(
    packed: PackedLayer, kernels: NDArray[np.int8], plan: LanesPlan, *, cycles: int
) -> tuple[PackedLayer, LanesPlan] | None:
    """Pack ``kernels`` as ``plan`` wants, and the plan as the packing turned out.

    Packing by single weights may need a turn or a column more than the plan hoped for; None where that
    takes more than ``cycles`` cycles a word.
    """
    if not plan.spanning:
        return split_sets(packed, kernels, plan.kernels_per_set), plan
    most = cycles // (plan.geometry.out[0] * plan.row_groups * plan.steps)
    tries = (
        (columns, turns)
        for columns in range(plan.set_columns, len(packed.sets))
        for turns in range(
            ceil_div(packed.lower_bound, columns), min(most, ceil_div(packed.lower_bound, columns) + 1) + 1
        )
    )
    for columns, turns in itertools.islice(tries, _TRIES):
        spanned = span_sets(packed, kernels, columns=columns, turns=turns)
        if spanned is not None:
            found = dataclasses.replace(
                plan, sets=columns * turns, passes=turns, kernels_per_set=spanned.kernels_per_set
            )
            found = _sized(found)
            return (spanned, found) if found.cycles <= cycles else None
    return None

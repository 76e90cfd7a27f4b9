"""When the engine on lanes takes its rows and gives its results, cycle by cycle, for one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.network import Requantise, WeightLayer
from cs_hdl.plan.scale import channel_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.plan.geometry import Geometry
    from cs_hdl.plan.lanes import LanesPlan
    from cs_hdl.plan.plan import Plan
    from cs_hdl.plan.stages import LanesStage

    Times = NDArray[np.int64]

__all__ = ["column_kernels", "lanes_times", "row_needs"]


def row_needs(geometry: Geometry) -> list[tuple[int, int]]:
    """For each output row: input rows that must be there when it starts, and rows to release at its end.

    Both count from the first row that is not released yet. Rows that a stride skips, and those below
    the last window, must be there too before they can be released. The first output row waits for an
    input row even where it sees only padding: no word, no result.
    """
    rows = geometry.out[0]
    released = [geometry.first_row(row) if row else 0 for row in range(rows)] + [geometry.shape[0]]
    return [
        (max(geometry.end_row(row), released[row + 1], 1) - released[row], released[row + 1] - released[row])
        for row in range(rows)
    ]


def column_kernels(packed: PackedLayer, plan: LanesPlan, column: int) -> list[int]:
    """The kernel that is drained at each address of a set column (an own one where there is none)."""
    places: dict[int, int] = {}
    for turn in range(plan.drains):
        number = turn * plan.set_columns + column
        for kid, kernel in enumerate(packed.sets[number] if number < len(packed.sets) else ()):
            if kernel >= 0:
                places[turn * plan.kernels_per_set + kid] = kernel
    filler = next(iter(places.values()), 0)
    return [places.get(address, filler) for address in range(plan.drained)]


def scale_latency(packed: PackedLayer, plan: LanesPlan, requantise: Requantise | None) -> int:
    """Cycles of bias and scale behind the lanes: those of the slowest set column."""
    columns = (column_kernels(packed, plan, column) for column in range(plan.set_columns))
    return max(channel_scale(requantise, kernels).latency for kernels in columns)


class _Rows:
    """The write side: cycles in which the rows are complete, which may wait for rows to be released."""

    def __init__(self, plan: LanesPlan, times: Times) -> None:
        self._plan, self._times = plan, times
        self._beats = plan.geometry.shape[1] * plan.beats
        self._delay, self._last = 0, -1
        self.complete: list[int] = []
        self._freed: list[int] = []

    def release(self, rows: int, cycle: int) -> None:
        """``rows`` rows are released at ``cycle``; the writer sees it behind the last lane of the last engine."""
        self._freed += [cycle + self._plan.read_delay + 1] * rows

    def time(self, row: int) -> int:
        """When input row ``row`` is complete; call with rising rows."""
        while len(self.complete) <= row:
            number = len(self.complete)
            start = number * self._beats
            free = self._freed[number - self._plan.ring_rows] if number >= self._plan.ring_rows else 0
            for beat in range(start, start + self._beats):
                offered = int(self._times[beat]) + self._delay
                taken = max(offered, self._last + 1, free)
                self._delay += taken - offered
                self._last = taken
            self.complete.append(self._last)
        return self.complete[row]


def lanes_times(plan: Plan, stage: LanesStage, times: Times) -> Times:
    """When the output beats of one word leave, if its input beats are offered at ``times``."""
    lanes = stage.lanes
    layer = plan.network.layers[stage.layer]
    assert isinstance(layer, WeightLayer)
    packed = plan.packed.layers[layer.name]
    # From the decision for a drain to its write into the reorder buffer, by way of a register; that of the command is
    # the first lane's input.
    tail = 1 + lanes.chain_latency + lanes.merge_latency + scale_latency(packed, lanes, layer.requantise)
    rows = _Rows(lanes, times)
    free_accumulate, drains = 0, [-1, -1]  # first free cycle; ends of the drains so far
    output_free = 0
    out_ends: list[int] = []  # of each group of positions
    result: list[Times] = []
    released = 0
    for need, release in row_needs(lanes.geometry):
        start = max(free_accumulate, rows.time(released + need - 1) + 1 if need else 0)
        for group in range(lanes.row_groups):
            for turn in range(lanes.drains):
                start = max(start, drains[-2] + 1)
                end = start + lanes.drain_steps - 1
                drain = max(end + 1, drains[-1] + 1)
                if turn == 0 and len(out_ends) >= lanes.slots:
                    drain = max(drain, out_ends[len(out_ends) - lanes.slots])
                drains.append(drain + lanes.kernels_per_set - 1)
                start = end + 1
            for engine in range(lanes.last_group if group == lanes.row_groups - 1 else lanes.engines):
                first = max(drains[-1] + tail + lanes.reorder_latency + engine * lanes.engine_delay, output_free)
                beats = first + np.arange(lanes.output_beats, dtype=np.int64)
                result.append(beats)
                output_free = int(beats[-1]) + 1
            out_ends.append(output_free - 1)
        free_accumulate = start
        rows.release(release, start - 1)
        released += release
    assert len(result) == lanes.geometry.positions
    return np.concatenate(result)

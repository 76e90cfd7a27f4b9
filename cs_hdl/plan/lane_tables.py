"""What the lanes hold: tables of weights and kernel ids, and the bounds of their sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.fixedpoint import bits_for_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["LaneTable", "lane_tables"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LaneTable:
    """What one lane holds.

    ``weights`` (int8) and ``kernel_ids`` (uint16, 0 where absent) are ``[table_depth, set_columns]``;
    ``low`` and ``high`` bound the lane's own partial sums, ``chain_low`` and ``chain_high`` those of
    this lane and all before it.
    """

    weights: NDArray[np.int8]
    kernel_ids: NDArray[np.uint16]
    low: int
    high: int
    chain_low: int
    chain_high: int

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for equal tables."""
        bounds = (self.low, self.high, self.chain_low, self.chain_high)
        return (self.weights.tobytes(), self.kernel_ids.tobytes(), *bounds)

    @cached_property
    def accumulator_width(self) -> int:
        """Bits of this lane's accumulators."""
        return bits_for_range(self.low, self.high)

    @cached_property
    def chain_width(self) -> int:
        """Bits of the sum that leaves this lane."""
        return bits_for_range(self.chain_low, self.chain_high)


def lane_tables(packed: PackedLayer, plan: LanesPlan, value_range: tuple[int, int]) -> list[LaneTable]:
    """The tables of all lanes of an engine, in the order of the chain (slices fastest, then columns, then rows).

    Bounds are computed from the weights: of each tap at most ``entries`` values count.
    """
    sets, height, width, channels = packed.weights.shape
    padded = (
        plan.passes * plan.set_columns,
        plan.lane_rows * plan.rows,
        plan.lane_columns * plan.columns,
        channels if plan.sparse else plan.lane_entries * plan.slices,
    )
    weights = np.zeros(padded, dtype=np.int8)
    weights[:sets, :height, :width, :channels] = packed.weights
    kernel_ids = np.zeros(padded, dtype=np.uint16)
    kernel_ids[:sets, :height, :width, :channels] = np.maximum(packed.kernel_ids, 0)
    tables: list[LaneTable] = []
    chain = np.zeros((2, plan.drains * plan.set_columns, plan.kernels_per_set), dtype=np.int64)
    for row in range(plan.rows):
        for column in range(plan.columns):
            for part in range(plan.slices):
                picked = np.s_[
                    :,
                    row * plan.lane_rows : (row + 1) * plan.lane_rows,
                    column * plan.lane_columns : (column + 1) * plan.lane_columns,
                    slice(None) if plan.sparse else slice(part * plan.lane_entries, (part + 1) * plan.lane_entries),
                ]
                own = _bounds(weights[picked], kernel_ids[picked], plan, value_range)
                chain += own
                tables.append(
                    LaneTable(
                        weights=_by_address(weights[picked], plan),
                        kernel_ids=_by_address(kernel_ids[picked], plan),
                        low=int(own[0].min(initial=0)),
                        high=int(own[1].max(initial=0)),
                        chain_low=int(chain[0].min(initial=0)),
                        chain_high=int(chain[1].max(initial=0)),
                    )
                )
    return tables


def _by_address(array: NDArray[Any], plan: LanesPlan) -> NDArray[Any]:
    """``[sets, rows, columns, channels]`` -> ``[pass, row, column, channel (flat), set column]``."""
    shaped = array.reshape(plan.passes, plan.set_columns, *array.shape[1:])
    return np.ascontiguousarray(np.moveaxis(shaped, 1, -1)).reshape(-1, plan.set_columns)


def _bounds(
    weights: NDArray[np.int8], kernel_ids: NDArray[np.uint16], plan: LanesPlan, value_range: tuple[int, int]
) -> NDArray[np.int64]:
    """Least and greatest partial sum that each accumulator drains: ``[2, drains * set_columns, kernels_per_set]``.

    Of unsigned values only ``lane_entries`` of a tap are ever added, so only its largest weights count.
    """
    accumulators = plan.drains * plan.set_columns
    sets, row, column, channel = np.nonzero(weights)
    own = weights[sets, row, column, channel].astype(np.int64)
    sums = sets % accumulators * plan.kernels_per_set + kernel_ids[sets, row, column, channel]
    low, high = value_range
    result = np.zeros((2, accumulators * plan.kernels_per_set), dtype=np.int64)
    if low < 0:  # signed values: either sign of a weight can push either way
        np.add.at(result[1], sums, np.abs(own) * max(-low, high))
        result[0] = -result[1]
    else:
        group = sums * (plan.lane_rows * plan.lane_columns) + row * plan.lane_columns + column
        for side, sign in ((0, -1), (1, 1)):
            counts = (own * sign > 0) & (_rank(group, -own * sign) < plan.lane_entries)
            np.add.at(result[side], sums[counts], own[counts] * high)
    return result.reshape(2, accumulators, plan.kernels_per_set)


def _rank(group: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each element among those of its group, by rising ``key``."""
    order = np.lexsort((key, group))
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(group) else order
    place = np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = place
    return rank

"""How a layer is folded onto the lanes of the sparse-sparse engine, and what the lanes hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.fixedpoint import bits_for_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.combine.packed import PackedLayer
    from cs_hdl.plan.geometry import Geometry

__all__ = ["LaneTable", "LanesPlan", "lane_tables"]


def ceil_div(a: int, b: int) -> int:
    """``a / b``, rounded up."""
    return -(-a // b)


@dataclass(frozen=True, kw_only=True)
class LanesPlan:
    """The folding of one layer onto lanes.

    The kernel's rows, its columns and the entries of one position (the k winners, or every channel)
    are cut into ``rows`` x ``columns`` x ``slices`` lanes. ``passes`` is how many times an output
    position is worked on, each time for another share of the sets, on the same multipliers.

    Attributes
    ----------
    entries: values of one position that the engine reads: k winners, or all channels.
    beat: entries that arrive in one beat.
    sparse: True where entries are (value, index) pairs, False where every channel comes in order.
    ring_rows: input rows that each lane's memory holds (a power of two).
    slots: output positions that the reorder buffer holds.
    output_lanes: values in one beat of the output.
    """

    geometry: Geometry
    entries: int
    beat: int
    sparse: bool
    sets: int
    kernels_per_set: int
    out_channels: int
    rows: int
    columns: int
    slices: int
    passes: int
    ring_rows: int
    slots: int
    output_lanes: int
    rom_latency: int

    @property
    def lanes(self) -> int:
        """Lanes in the chain."""
        return self.rows * self.columns * self.slices

    @property
    def set_columns(self) -> int:
        """Sets that are worked on at once: the multipliers of one lane."""
        return ceil_div(self.sets, self.passes)

    @property
    def multipliers(self) -> int:
        """Multipliers of all lanes."""
        return self.lanes * self.set_columns

    @property
    def lane_rows(self) -> int:
        """Kernel rows that one lane walks over."""
        return ceil_div(self.geometry.kernel[0], self.rows)

    @property
    def lane_columns(self) -> int:
        """Kernel columns that one lane walks over."""
        return ceil_div(self.geometry.kernel[1], self.columns)

    @property
    def lane_entries(self) -> int:
        """Entries of a position that one lane reads."""
        return ceil_div(self.entries, self.slices)

    @property
    def beats(self) -> int:
        """Beats in which a position arrives."""
        return ceil_div(self.entries, self.beat)

    @property
    def lane_beats(self) -> int:
        """Memory words of a position in one lane."""
        return ceil_div(self.lane_entries, self.beat)

    @property
    def steps(self) -> int:
        """Cycles in which one pass accumulates."""
        return self.lane_rows * self.lane_columns * self.lane_entries

    @property
    def pass_cycles(self) -> int:
        """Cycles of one pass: accumulating hides the drain of the pass before, or waits for it."""
        return max(self.steps, self.kernels_per_set)

    @property
    def position_cycles(self) -> int:
        """Cycles of one output position."""
        return self.passes * self.pass_cycles

    @property
    def cycles(self) -> int:
        """Cycles of one word."""
        return self.geometry.positions * self.position_cycles

    @property
    def table_channels(self) -> int:
        """Addresses of one tap in a lane's table."""
        return self.geometry.shape[2] if self.sparse else self.lane_entries

    @property
    def table_depth(self) -> int:
        """Words of a lane's table of weights and kernel ids."""
        return self.passes * self.lane_rows * self.lane_columns * self.table_channels

    @property
    def row_words(self) -> int:
        """Memory words of an input row in one lane."""
        return self.geometry.shape[1] * self.lane_beats

    @property
    def row_pitch(self) -> int:
        """Distance of two rows in a lane's memory: at least ``row_words``, at most two digits to add."""
        pitch = self.row_words
        while _digits(pitch) > 2:
            pitch += 1
        return pitch

    @property
    def kernel_id_bits(self) -> int:
        """Bits of a kernel id in the table; none where a set is a single kernel."""
        return (self.kernels_per_set - 1).bit_length()

    @property
    def table_width(self) -> int:
        """Bits of a word of a lane's table: a weight and a kernel id for each set column."""
        return self.set_columns * (8 + self.kernel_id_bits)

    @property
    def entry_width(self) -> int:
        """Bits of an entry in a lane's memory: a value and, of winners, its channel."""
        return 8 + ((self.geometry.shape[2] - 1).bit_length() if self.sparse else 0)

    @property
    def output_beats(self) -> int:
        """Beats of an output position."""
        return ceil_div(self.out_channels, self.output_lanes)

    @property
    def chain_latency(self) -> int:
        """Cycles from a drain command at the first lane to the complete sum behind the last."""
        return self.lanes + 7 + self.rom_latency


def _digits(value: int) -> int:
    """Non-zero digits of ``value`` in canonical signed-digit form."""
    return (value ^ (3 * value)).bit_count()


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
    def accumulator_width(self) -> int:
        """Bits of this lane's accumulators."""
        return bits_for_range(self.low, self.high)

    @cached_property
    def chain_width(self) -> int:
        """Bits of the sum that leaves this lane."""
        return bits_for_range(self.chain_low, self.chain_high)


def lane_tables(packed: PackedLayer, plan: LanesPlan, value_range: tuple[int, int]) -> list[LaneTable]:
    """The tables of all lanes, in the order of the chain (slices fastest, then columns, then rows).

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
    chain = np.zeros((2, padded[0], plan.kernels_per_set), dtype=np.int64)
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
    """Least and greatest partial sum of each kernel: ``[2, sets, kernels_per_set]``.

    Only ``lane_entries`` values of a tap are ever added, so only the largest weights of it count.
    """
    sets = len(weights)
    result = np.zeros((2, sets, plan.kernels_per_set), dtype=np.int64)
    low, high = value_range
    limit = plan.lane_entries
    for kid in range(plan.kernels_per_set):
        own = np.where(kernel_ids == kid, weights, 0).astype(np.int64)
        if low < 0:  # signed values: either sign of a weight can push either way
            size = np.abs(own).reshape(sets, -1).sum(axis=1)
            result[0, :, kid], result[1, :, kid] = -size * max(-low, high), size * max(-low, high)
            continue
        if limit < own.shape[-1]:
            ordered = np.sort(own, axis=-1)
            negative, positive = ordered[..., :limit], ordered[..., -limit:]
        else:
            negative = positive = own
        result[0, :, kid] = np.minimum(negative, 0).reshape(sets, -1).sum(axis=1) * high
        result[1, :, kid] = np.maximum(positive, 0).reshape(sets, -1).sum(axis=1) * high
    return result

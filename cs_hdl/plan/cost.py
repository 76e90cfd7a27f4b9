"""Rough resources of each stage on an ECP5, for choosing between foldings before any synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs_hdl.plan.adder_graph import AdderGraph
    from cs_hdl.plan.lanes import LanesPlan

__all__ = ["Cost", "block_rams", "constants_cost", "lanes_cost", "memory_cost", "ram_style", "table_in_block_ram"]

#: LUTs that are as scarce as one block RAM, and one DSP, on an LFE5U-85F (83,640 / 208, / 156).
LUTS_PER_BLOCK_RAM = 400
LUTS_PER_DSP = 530
#: Bits of a table of constants in one LUT, its multiplexers counted (measured: 256 x 40 bits took 1,600 LUTs).
TABLE_BITS_PER_LUT = 7


@dataclass(frozen=True, kw_only=True)
class Cost:
    """4-input LUTs (carry and LUT RAM counted as LUTs), DSPs and block RAMs of 18 kbit."""

    lut: float = 0.0
    dsp: int = 0
    block_ram: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(lut=self.lut + other.lut, dsp=self.dsp + other.dsp, block_ram=self.block_ram + other.block_ram)

    def __mul__(self, count: int) -> Cost:
        return Cost(lut=self.lut * count, dsp=self.dsp * count, block_ram=self.block_ram * count)

    @property
    def weight(self) -> float:
        """One number for comparing foldings: everything in LUTs."""
        return self.lut + self.dsp * LUTS_PER_DSP + self.block_ram * LUTS_PER_BLOCK_RAM

    @property
    def logic_weight(self) -> float:
        """The same for choosing between logic alone and lanes: it is LUTs that designs run out of first."""
        return (self.lut + self.weight) / 2


def block_rams(depth: int, width: int) -> int:
    """DP16KD blocks of a memory with one read and one write port."""
    return min(
        -(-depth // rows) * -(-width // columns)
        for rows, columns in ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
    )


def memory_cost(depth: int, width: int) -> Cost:
    """A memory that is written while it runs: LUT RAM (16 x 4 in 4 LUTs) where that is cheaper."""
    distributed = -(-depth // 16) * -(-width // 4) * 4
    blocks = block_rams(depth, width)
    if depth > 256 or distributed > blocks * LUTS_PER_BLOCK_RAM:
        return Cost(block_ram=blocks)
    return Cost(lut=distributed)


def ram_style(depth: int, width: int) -> str:
    """What Yosys is told to make such a memory of, which it would judge by a measure of its own."""
    return "block" if memory_cost(depth, width).block_ram else "distributed"


def table_in_block_ram(depth: int, width: int) -> bool:
    """Whether a table of constants takes less of the chip as block RAM than as LUTs."""
    return depth * width / TABLE_BITS_PER_LUT > block_rams(depth, width) * LUTS_PER_BLOCK_RAM


def _table_block_rams(plan: LanesPlan) -> int:
    """Block RAMs of a lane's table, cut by depth and by groups of set columns."""
    whole, rest = divmod(plan.table_depth, plan.TABLE_BANK_DEPTH)
    depths = [plan.TABLE_BANK_DEPTH] * whole + [rest] * (rest > 0)
    column = plan.table_width // plan.set_columns
    return sum(block_rams(depth, column * len(group)) for group in plan.column_groups for depth in depths)


def lanes_cost(plan: LanesPlan) -> Cost:
    """The engine on lanes: tables, activations, accumulators and control."""
    word, entry = plan.table_width, plan.entry_width
    accumulator = 20
    lut_ram = 2 * -(-plan.kernels_per_set // 16) * -(-accumulator // 4) * 4
    fetch = Cost(lut=60 + plan.beat * entry / 2) + memory_cost(plan.ring_rows * plan.row_pitch, plan.beat * entry)
    lane = Cost()
    if plan.table_in_block_ram:
        lane += Cost(block_ram=_table_block_rams(plan))
    else:
        lane += Cost(lut=plan.table_depth * word / TABLE_BITS_PER_LUT)
    lane += Cost(lut=plan.set_columns * (lut_ram + 6 * accumulator), dsp=plan.set_columns)
    reorder = memory_cost(plan.slots * plan.drained, 8) * plan.reorder_copies
    if plan.places_in_block_ram:
        reorder += Cost(block_ram=block_rams(plan.output_beats, plan.place_width)) * plan.output_lanes
    behind = Cost(lut=60 + (accumulator if plan.merge_latency else 0))
    if table_in_block_ram(plan.drained, accumulator):
        behind += Cost(block_ram=block_rams(plan.drained, accumulator))  # the biases
    engine = Cost(lut=100) + behind * plan.set_columns + lane * plan.lanes + reorder
    gather = plan.engines * plan.output_lanes * 4 if plan.engines > 1 else 0
    return Cost(lut=150 + gather) + engine * plan.engines + fetch * plan.fetching_lanes


def constants_cost(graph: AdderGraph, *, outputs: int, taps: int) -> Cost:
    """Window and constant multipliers: the adders' carry cells, and each output's requantisation and queue."""
    return Cost(lut=graph.carry_bits + outputs * 24 + taps * 10)

"""Rough resources of each stage on an ECP5, for choosing between foldings before any synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs_hdl.plan.adder_graph import AdderGraph
    from cs_hdl.plan.lanes import LanesPlan

__all__ = [
    "LUTS_PER_LUT_RAM",
    "LUTS_PER_MULTIPLIER",
    "LUTS_PER_REGISTER_BIT",
    "Cost",
    "block_rams",
    "constants_cost",
    "lanes_cost",
    "memory_cost",
    "ram_style",
    "small_rams",
    "table_block_rams",
    "table_in_block_ram",
]

#: LUTs that are as scarce as one block RAM, and one DSP, on an LFE5U-85F (83,640 / 208, / 156).
LUTS_PER_BLOCK_RAM = 400
LUTS_PER_DSP = 530
#: Of a memory of 16 x 4 bits.
LUTS_PER_LUT_RAM = 4
#: Bits of a table of constants in one LUT, its multiplexers counted (measured: 256 x 40 bits took 1,600 LUTs).
TABLE_BITS_PER_LUT = 7
#: Of a product of 8 x 8 bits without a DSP (measured on an iCE40: 155 LUT4, 11 carry), and of a bit of a memory that
#: is made of registers: the register, and its share of what chooses between them.
LUTS_PER_MULTIPLIER = 160
LUTS_PER_REGISTER_BIT = 1.6


@dataclass(frozen=True, kw_only=True)
class Cost:
    """4-input LUTs (carry and LUT RAM counted as LUTs), flip-flops, DSPs and block RAMs of 18 kbit.

    ``lut_ram`` are the memories of 16 x 4 bits among the LUTs. For a device whose LUTs cannot be RAM: ``small_ram`` are
    all memories that its block RAMs of 4 kbit can be, and ``register_bits`` the bits of those that become registers,
    because they are read without a clock.
    """

    lut: float = 0.0
    ff: float = 0.0
    dsp: int = 0
    block_ram: int = 0
    lut_ram: int = 0
    small_ram: int = 0
    register_bits: int = 0

    # Field by field: a plan adds so many of them that a loop over the fields would take it a third longer.
    def __add__(self, other: Cost) -> Cost:
        return Cost(
            lut=self.lut + other.lut,
            ff=self.ff + other.ff,
            dsp=self.dsp + other.dsp,
            block_ram=self.block_ram + other.block_ram,
            lut_ram=self.lut_ram + other.lut_ram,
            small_ram=self.small_ram + other.small_ram,
            register_bits=self.register_bits + other.register_bits,
        )

    def __mul__(self, count: int) -> Cost:
        return Cost(
            lut=self.lut * count,
            ff=self.ff * count,
            dsp=self.dsp * count,
            block_ram=self.block_ram * count,
            lut_ram=self.lut_ram * count,
            small_ram=self.small_ram * count,
            register_bits=self.register_bits * count,
        )

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


def small_rams(depth: int, width: int) -> int:
    """Block RAMs of an iCE40 (4 kbit) of such a memory."""
    return min(
        -(-depth // rows) * -(-width // columns) for rows, columns in ((2048, 2), (1024, 4), (512, 8), (256, 16))
    )


def memory_cost(depth: int, width: int) -> Cost:
    """A memory that is written while it runs: LUT RAM (16 x 4 in 4 LUTs) where that is cheaper."""
    pieces = -(-depth // 16) * -(-width // 4)
    distributed = pieces * LUTS_PER_LUT_RAM
    blocks = block_rams(depth, width)
    if depth > 256 or distributed > blocks * LUTS_PER_BLOCK_RAM:
        return Cost(block_ram=blocks, small_ram=small_rams(depth, width))
    return Cost(lut=distributed, lut_ram=pieces, small_ram=small_rams(depth, width))


def ram_style(depth: int, width: int) -> str:
    """What Yosys is told to make such a memory of, which it would judge by a measure of its own."""
    return "block" if memory_cost(depth, width).block_ram else "distributed"


def table_in_block_ram(depth: int, width: int) -> bool:
    """Whether a table of constants takes less of the chip as block RAM than as LUTs."""
    return depth * width / TABLE_BITS_PER_LUT > block_rams(depth, width) * LUTS_PER_BLOCK_RAM


def _table_block_rams(plan: LanesPlan) -> Cost:
    """Block RAMs of a lane's table."""
    sizes = tuple(len(group) for group in plan.column_groups)
    column = plan.table_width // plan.set_columns
    return _cut_table(plan.table_depth, column, sizes, bank_depth=plan.TABLE_BANK_DEPTH)


@lru_cache(maxsize=16384)
def _cut_table(depth: int, column: int, groups: tuple[int, ...], *, bank_depth: int) -> Cost:
    """A table of ``column`` bits for each set column, cut by depth and by groups of set columns."""
    whole, rest = divmod(depth, bank_depth)
    depths = [bank_depth] * whole + [rest] * (rest > 0)
    sizes = [(rows, column * group) for group in groups for rows in depths]
    return Cost(block_ram=sum(block_rams(*size) for size in sizes), small_ram=sum(small_rams(*size) for size in sizes))


def table_block_rams(plan: LanesPlan) -> int:
    """Block RAMs of an ECP5 for a lane's table; none where that is made of LUTs."""
    return _table_block_rams(plan).block_ram if table_in_block_ram(plan.table_depth, plan.table_width) else 0


def lanes_cost(plan: LanesPlan) -> Cost:
    """The engine on lanes: tables, activations, accumulators and control."""
    word, entry = plan.table_width, plan.entry_width
    accumulator = 20
    lut_ram = 2 * -(-plan.kernels_per_set // 16) * -(-accumulator // 4)
    fetch = Cost(lut=60 + plan.beat * entry / 2) + memory_cost(plan.ring_rows * plan.row_pitch, plan.beat * entry)
    lane = Cost()
    if plan.table_in_block_ram:
        lane += _table_block_rams(plan)
    else:
        lane += Cost(lut=plan.table_depth * word / TABLE_BITS_PER_LUT)
    lane += Cost(
        lut=plan.set_columns * (lut_ram * LUTS_PER_LUT_RAM + 6 * accumulator),
        lut_ram=plan.set_columns * lut_ram,
        dsp=plan.set_columns,
        register_bits=plan.set_columns * 2 * plan.kernels_per_set * accumulator,
    )
    reorder = memory_cost(plan.slots * plan.drained, 8) * plan.reorder_copies
    if plan.places_in_block_ram:
        size = (plan.output_beats, plan.place_width)
        reorder += Cost(block_ram=block_rams(*size), small_ram=small_rams(*size)) * plan.output_lanes
    behind = Cost(lut=60 + (accumulator if plan.merge_latency else 0))
    if table_in_block_ram(plan.drained, accumulator):
        size = (plan.drained, accumulator)
        behind += Cost(block_ram=block_rams(*size), small_ram=small_rams(*size))  # the biases
    engine = Cost(lut=100) + behind * plan.set_columns + lane * plan.lanes + reorder
    gather = plan.engines * plan.output_lanes * 4 if plan.engines > 1 else 0
    return Cost(lut=150 + gather) + engine * plan.engines + fetch * plan.fetching_lanes


def constants_cost(graph: AdderGraph, *, outputs: int, taps: int) -> Cost:
    """Window and constant multipliers: the adders' carry cells, and each output's requantisation and queue."""
    return Cost(lut=graph.carry_bits + outputs * 24 + taps * 10)

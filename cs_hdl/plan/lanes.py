"""How a layer is folded onto the lanes of the sparse-sparse engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cs_hdl.plan.geometry import Geometry

__all__ = ["LanesPlan", "ceil_div"]


#: Words beyond which a memory that is written while it runs is worth a register behind it.
_LARGE_MEMORY = 64
#: Set columns that share the registers and the table of a group.
_GROUP_COLUMNS = 4


def ceil_div(a: int, b: int) -> int:
    """``a / b``, rounded up."""
    return -(-a // b)


@dataclass(frozen=True, kw_only=True)
class LanesPlan:
    """The folding of one layer onto lanes.

    The kernel's rows, its columns and the entries of one position (the k winners, or every channel)
    are cut into ``rows`` x ``columns`` x ``slices`` lanes. ``passes`` is how many times an output
    position is worked on, each time for another share of the sets, on the same multipliers.
    ``engines`` such chains of lanes work on as many neighbouring output columns at once.

    Attributes
    ----------
    entries: values of one position that the engine reads: k winners, or all channels.
    beat: entries that arrive in one beat.
    sparse: True where entries are (value, index) pairs, False where every channel comes in order.
    ring_rows: input rows that each lane's memory holds (a power of two).
    slots: output positions that the reorder buffer of an engine holds.
    output_lanes: values in one beat of the output.
    spanning: True where the sets that a multiplier serves in turn share their kernel ids, so that a kernel
        may span them: accumulators then hold ``kernels_per_set`` kernels of all passes and drain once a position.
    reorder_copies: memories of an engine's reorder buffer, for choosing: one for each output lane and set column
        that its channels come from.
    places_in_block_ram: where the reorder buffer's tables of places are, one for each output lane.
    """

    #: Words of a block RAM that is nine bits wide: deeper tables are cut.
    TABLE_BANK_DEPTH: ClassVar[int] = 2048

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
    table_in_block_ram: bool = False
    engines: int = 1
    spanning: bool = False
    reorder_copies: int = 0
    places_in_block_ram: bool = False

    @property
    def lanes(self) -> int:
        """Lanes in the chain of one engine."""
        return self.rows * self.columns * self.slices

    @property
    def set_columns(self) -> int:
        """Sets that are worked on at once: the multipliers of one lane."""
        return ceil_div(self.sets, self.passes)

    @property
    def multipliers(self) -> int:
        """Multipliers of all lanes of all engines."""
        return self.engines * self.lanes * self.set_columns

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
    def drains(self) -> int:
        """Drains of a position: one for each pass, or a single one where its sets share kernel ids."""
        return 1 if self.spanning else self.passes

    @property
    def drain_steps(self) -> int:
        """Cycles of accumulating that one drain follows."""
        return self.steps * self.passes // self.drains

    @property
    def drained(self) -> int:
        """Sums of a position that a set column drains."""
        return self.drains * self.kernels_per_set

    @property
    def position_cycles(self) -> int:
        """Cycles of an output position: accumulating hides the drain before it, or waits for it."""
        return self.drains * max(self.drain_steps, self.kernels_per_set)

    @property
    def row_groups(self) -> int:
        """Groups of neighbouring positions in an output row, one a position for each engine; the last may be short."""
        return ceil_div(self.geometry.out[1], self.engines)

    @property
    def cycles(self) -> int:
        """Cycles of one word."""
        return self.geometry.out[0] * self.row_groups * self.position_cycles

    @property
    def table_channels(self) -> int:
        """Addresses of one tap in a lane's table."""
        return self.geometry.shape[2] if self.sparse else self.lane_entries

    @property
    def table_depth(self) -> int:
        """Words of a lane's table of weights and kernel ids."""
        return self.passes * self.lane_rows * self.lane_columns * self.table_channels

    @property
    def own_columns(self) -> bool:
        """Whether each lane reads other columns of the input, so that it keeps no more than those.

        True where the kernel has only one place in a row, as that of a linear layer.
        """
        left = self.geometry.padding[1]
        return self.columns > 1 and self.geometry.out[1] == 1 and left == 0

    @property
    def shares(self) -> int:
        """Groups of lanes that keep different entries: slices of a position, and columns of their own."""
        return self.slices * (self.columns if self.own_columns else 1)

    @property
    def row_words(self) -> int:
        """Memory words of an input row in one lane."""
        return (self.lane_columns if self.own_columns else self.geometry.shape[1]) * self.lane_beats

    @property
    def row_pitch(self) -> int:
        """Distance of two rows in a lane's memory: at least ``row_words``, at most two digits to add."""
        pitch = self.row_words
        while _digits(pitch) > 2:
            pitch += 1
        return pitch

    @property
    def memory_latency(self) -> int:
        """Cycles of a read of the activations: a large memory is block RAM, slow, and a register stands behind it."""
        return 2 if self.ring_rows * self.row_pitch > _LARGE_MEMORY else 1

    @property
    def kernel_id_bits(self) -> int:
        """Bits of a kernel id in the table; none where a set is a single kernel."""
        return (self.kernels_per_set - 1).bit_length()

    @property
    def table_width(self) -> int:
        """Bits of a word of a lane's table: a weight and a kernel id for each set column."""
        return self.set_columns * (8 + self.kernel_id_bits)

    @property
    def table_banks(self) -> int:
        """Memories that a table in block RAM is cut into by its depth."""
        return ceil_div(self.table_depth, self.TABLE_BANK_DEPTH) if self.table_in_block_ram else 1

    @property
    def rom_latency(self) -> int:
        """Cycles of a look-up: a register stands behind block RAM, another behind the choice between several."""
        return 1 + self.table_in_block_ram + (self.table_banks > 1)

    @property
    def column_groups(self) -> tuple[range, ...]:
        """The set columns of a lane, a few in each group: a group has registers of its own."""
        groups = ceil_div(self.set_columns, _GROUP_COLUMNS)
        size = ceil_div(self.set_columns, groups)
        return tuple(range(first, min(first + size, self.set_columns)) for first in range(0, self.set_columns, size))

    @property
    def spread_latency(self) -> int:
        """Cycles in which a step is handed on to all groups of a lane's set columns, or to many block RAMs."""
        return 1 if len(self.column_groups) > 1 or self.table_banks > 1 else 0

    @property
    def shared_fetch(self) -> bool:
        """Whether a lane reads what its right neighbour in the engine before has read: both are at the same column."""
        neighbours = self.engines > 1 and self.columns > 1 and self.slices == 1
        return neighbours and self.geometry.stride[1] == self.lane_columns

    @property
    def fetching_lanes(self) -> int:
        """Lanes of all engines that read activations, each from a memory of its own."""
        if self.shared_fetch:
            return self.rows * (self.columns + self.engines - 1)
        return self.lanes * self.engines

    @property
    def engine_delay(self) -> int:
        """Cycles that an engine is behind the one before: a lane must be a cycle behind the one it shares with."""
        return 2 if self.shared_fetch else 1

    @property
    def read_delay(self) -> int:
        """Cycles from the decision for a command until the last lane of the last engine has read its entry."""
        return self.lanes + self.engines * self.engine_delay + 3

    @property
    def entry_width(self) -> int:
        """Bits of an entry in a lane's memory: a value and, of winners, its channel."""
        return 8 + ((self.geometry.shape[2] - 1).bit_length() if self.sparse else 0)

    @property
    def place_width(self) -> int:
        """Bits of a place in the reorder buffer: a set column, an address in it, and whether there is none."""
        return (self.set_columns - 1).bit_length() + (self.drained - 1).bit_length() + 1

    @property
    def reorder_latency(self) -> int:
        """Cycles from the last write of a position to its first beat."""
        return 6 if self.places_in_block_ram else 4

    @property
    def output_beats(self) -> int:
        """Beats of an output position."""
        return ceil_div(self.out_channels, self.output_lanes)

    @property
    def chain_latency(self) -> int:
        """Cycles from a drain command at the first lane of an engine to the complete sum behind its last."""
        return self.lanes + 7 + self.memory_latency + self.spread_latency + self.rom_latency

    @property
    def merge_latency(self) -> int:
        """Cycles in which guests' sums are merged, where kernels span set columns."""
        return 2 if self.spanning and self.set_columns > 1 else 0

    @property
    def last_group(self) -> int:
        """Positions in the last group of an output row: as many engines as have work in it."""
        return self.geometry.out[1] - (self.row_groups - 1) * self.engines


def _digits(value: int) -> int:
    """Non-zero digits of ``value`` in canonical signed-digit form."""
    return (value ^ (3 * value)).bit_count()

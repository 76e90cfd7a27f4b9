"""Tables of constants in LUTs: what their contents leave to be made."""

from __future__ import annotations

from cs_hdl.estimate.words import Table

__all__ = ["table_features"]

_LEAF_ROWS = 16
#: Beyond so many rows, LUTs are joined by more than what the slice has for it (measured).
_SHALLOW_ROWS = 32


def table_features(table: Table) -> tuple[int, int, int]:
    """LUT4s that hold the rows of a table, columns that are too deep for these alone, and columns that differ.

    A column takes a LUT4 for each 16 rows. Constant columns need none, equal and inverse ones share.
    """
    rows = 1 << max(4, (table.depth - 1).bit_length())
    columns = {_canonical(column, rows) for column in table.columns} - {0}
    leaves = deep = 0
    for column in columns:
        needed = min(table.depth, _halved(column, rows))
        leaves += max(1, -(-needed // _LEAF_ROWS))
        deep += needed > _SHALLOW_ROWS
    return leaves, deep, len(columns)


def _halved(column: int, rows: int) -> int:
    """Rows of a column of ``rows`` rows once its upper half is left out as often as it repeats the lower one."""
    while rows > 1 and column >> rows // 2 == column & ((1 << rows // 2) - 1):
        rows //= 2
        column &= (1 << rows) - 1
    return rows


def _canonical(bits: int, rows: int) -> int:
    """The smaller of a column and its inverse."""
    return min(bits, bits ^ ((1 << rows) - 1))

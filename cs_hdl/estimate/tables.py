"""Tables of constants in LUTs: what their contents leave to be made."""

from __future__ import annotations

from cs_hdl.estimate.words import Table

__all__ = ["table_features"]

_LEAF_ROWS = 16
#: LUT4s that the multiplexers of a slice join to one wide LUT.
_JOINED = 8


def table_features(table: Table) -> tuple[int, int, int]:
    """LUTs that hold the rows of a table, choices between whole wide LUTs, and columns that differ.

    A column takes a LUT4 for each 16 rows; the slice's own multiplexers join up to eight of them. More
    are chosen between by further LUTs. Constant columns need none, equal and inverse ones share.
    """
    rows = 1 << max(4, (table.depth - 1).bit_length())
    columns = {_canonical(column, rows) for column in table.columns} - {0}
    wide = _LEAF_ROWS * _JOINED
    leaves = joints = 0
    for column in columns:
        if rows > wide:
            leaves += -(-table.depth // _LEAF_ROWS)
            joints += -(-table.depth // wide) - 1
        else:
            leaves += max(1, _halved(column, rows) // _LEAF_ROWS)
    return leaves, joints, len(columns)


def _halved(column: int, rows: int) -> int:
    """Rows of a column of ``rows`` rows once its upper half is left out as often as it repeats the lower one."""
    while rows > 1 and column >> rows // 2 == column & ((1 << rows // 2) - 1):
        rows //= 2
        column &= (1 << rows) - 1
    return rows


def _canonical(bits: int, rows: int) -> int:
    """The smaller of a column and its inverse."""
    return min(bits, bits ^ ((1 << rows) - 1))

"""The payloads of every stream between components, in one place.

Values and pairs travel in **beats**. A position (a pixel, or the whole of a linear layer's vector)
takes ``beats`` beats one after the other, in channel order; words follow each other without any
mark, since every component counts. Lanes beyond the last channel hold 0.
"""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

__all__ = ["index_width", "pairs_layout", "value_shape", "values_layout"]

_WIDTHS = {
    "uint8": unsigned(8),
    "int8": signed(8),
    "uint16": unsigned(16),
    "int16": signed(16),
    "int24": signed(24),
    "int32": signed(32),
}


def value_shape(dtype: str) -> Shape:
    """The Amaranth shape of one value of ``dtype``."""
    return _WIDTHS[dtype]


def index_width(count: int) -> int:
    """Bits that an index below ``count`` needs (at least 1)."""
    return max(1, (count - 1).bit_length())


def values_layout(dtype: str, lanes: int) -> data.StructLayout:
    """One beat of a dense tensor: ``values[lane]`` is channel ``beat * lanes + lane``."""
    return data.StructLayout({"values": data.ArrayLayout(value_shape(dtype), lanes)})


def pairs_layout(channels: int, pairs: int) -> data.StructLayout:
    """One beat of winners: ``values[i]`` (uint8) belongs to channel ``indices[i]``.

    A slot that is not needed (k is no multiple of ``pairs``) holds value 0, index 0.
    """
    return data.StructLayout(
        {
            "values": data.ArrayLayout(unsigned(8), pairs),
            "indices": data.ArrayLayout(unsigned(index_width(channels)), pairs),
        }
    )

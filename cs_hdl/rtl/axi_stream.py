"""The AXI4-Stream interface at the accelerator's border, as an Amaranth signature."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.streams import value_shape

__all__ = ["axi_stream", "bytes_per_value"]


def bytes_per_value(dtype: str) -> int:
    """Bytes that one value of ``dtype`` takes in ``tdata``: a whole number, 3 for int24."""
    return (value_shape(dtype).width + 7) // 8


def axi_stream(data_bytes: int, *, user: bool = False) -> wiring.Signature:
    """``tdata`` of ``data_bytes`` bytes, ``tvalid``, ``tready``, ``tlast`` and, on demand, a one-bit ``tuser``.

    Seen from the producer; a consumer takes it as ``In``.
    """
    members = {"tdata": Out(8 * data_bytes), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)}
    if user:
        members["tuser"] = Out(1)
    return wiring.Signature(members)

"""The AXI4-Stream interface at the accelerator's border, as an Amaranth signature."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.streams import value_shape

__all__ = ["axi_stream", "bytes_per_value", "lanes_of_last_beat"]


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


def lanes_of_last_beat(*, values_per_beat: int, beats: int, values: int | None) -> int:
    """Values in the last of a word's ``beats`` beats; without ``values`` every beat is full.

    Raises TypeError for a number that is no positive integer, ValueError where ``values`` do not take
    just so many beats.
    """
    for name, number in (("values_per_beat", values_per_beat), ("beats", beats)):
        if not isinstance(number, int) or number < 1:
            raise TypeError(f"{name} must be a positive integer, not {number!r}")
    if values is None:
        values = beats * values_per_beat
    if not (beats - 1) * values_per_beat < values <= beats * values_per_beat:
        raise ValueError(f"{values} values do not take {beats} beats of {values_per_beat}")
    return values - (beats - 1) * values_per_beat

"""Values of a tensor to the packed beats of its AXI4-Stream, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bytes_per_value", "pack_beats", "unpack_beats"]

_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int24": 3, "int32": 4}


def bytes_per_value(dtype: str) -> int:
    """Bytes that a value of ``dtype`` takes in a beat."""
    return _BYTES[dtype]


def pack_beats(words: NDArray[Any], *, dtype: str, values_per_beat: int, beats: int) -> NDArray[np.uint8]:
    """``words`` (integers ``[n, ...]``) as uint8 ``[n, beats, bytes of a beat]``, the lowest byte first.

    Values follow in C order, little-endian, two's complement; what the last beat has left over is 0.
    """
    count, size = words.shape[0], _BYTES[dtype]
    padded = np.zeros((count, beats * values_per_beat), dtype="<i4")
    flat = words.reshape(count, -1)
    padded[:, : flat.shape[1]] = flat
    octets = padded.view(np.uint8).reshape(count, beats * values_per_beat, 4)[:, :, :size]
    return np.ascontiguousarray(octets).reshape(count, beats, values_per_beat * size)


def unpack_beats(beats: NDArray[np.uint8], *, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The inverse of :func:`pack_beats`: ``[n, *shape]``; int16 and int24 come as int32."""
    size, words = _BYTES[dtype], beats.shape[0]
    octets = beats.reshape(words, -1, size)[:, : int(np.prod(shape))]
    wide = np.zeros((*octets.shape[:2], 4), dtype=np.uint8)
    # The value's bytes stand at the top of 32 bits, so that the shift down extends the sign.
    wide[:, :, 4 - size :] = octets
    signed = dtype.startswith("int")
    values = wide.view("<i4" if signed else "<u4").reshape(words, *shape) >> (8 * (4 - size))
    return values.astype("int32" if dtype in ("int16", "int24", "int32") else dtype)

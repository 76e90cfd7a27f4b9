"""Values as bytes on the link, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bytes_of", "pack_values", "unpack_values"]

_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int24": 3, "int32": 4}


def bytes_of(dtype: str) -> int:
    """Bytes of one value of ``dtype`` on the link."""
    return _BYTES[dtype]


def pack_values(values: NDArray[Any], dtype: str) -> bytes:
    """``values`` in C order, each in a whole number of bytes, the lowest first."""
    size = bytes_of(dtype)
    return np.ascontiguousarray(values, dtype="<i8").reshape(-1, 1).view(np.uint8)[:, :size].tobytes()


def unpack_values(data: bytes, dtype: str) -> NDArray[np.int64]:
    """The other way round, sign-extended."""
    size = bytes_of(dtype)
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, size).astype(np.int64)
    values: NDArray[np.int64] = (raw << (8 * np.arange(size))).sum(axis=1)
    if not dtype.startswith("u"):
        values = np.where(values >= 1 << (8 * size - 1), values - (1 << (8 * size)), values)
    return values

"""The benchmark that a board runs on its own: the words that it replays, and what its checksum must be."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cs_hdl.errors import InputError
from cs_hdl.host.protocol import Identity
from cs_hdl.host.values import bytes_of, pack_values

__all__ = ["CHECK_BITS", "BenchmarkFigures", "checksum", "stored_values", "stored_words"]

CHECK_BITS = 32
#: Bytes that the stored words take at most (one word has to fit in any case), and their number at most.
_STORED_BYTES, _MOST_STORED = 4096, 16
_FIGURES = struct.Struct("<IIQI")


@dataclass(frozen=True, kw_only=True)
class BenchmarkFigures:
    """What a board counted in a run: ``cycles`` of its clock for ``words`` words, ``faults`` of them marked so."""

    words: int
    faults: int
    cycles: int
    checksum: int

    @classmethod
    def decode(cls, payload: bytes) -> BenchmarkFigures:
        """Of a BENCHMARKED response; InputError where it is damaged."""
        if len(payload) != _FIGURES.size:
            raise InputError(f"the board's figures have {len(payload)} bytes, not {_FIGURES.size}")
        words, faults, cycles, check = _FIGURES.unpack(payload)
        return cls(words=words, faults=faults, cycles=cycles, checksum=check)

    def words_per_second(self, clock_khz: float) -> float:
        """At the clock that the board measured against its oscillator; the first word's latency counts."""
        return self.words * clock_khz * 1e3 / self.cycles


def stored_values(identity: Identity) -> NDArray[np.int64]:
    """The words that a board with ``identity`` replays in turn: random ones, ``[words, *input_shape]``."""
    size = math.prod(identity.input_shape) * bytes_of(identity.input_dtype)
    count = max(1, min(_MOST_STORED, _STORED_BYTES // size))
    low, high = (0, 255) if identity.input_dtype == "uint8" else (-128, 127)
    return np.random.default_rng(2112).integers(low, high + 1, (count, *identity.input_shape))


def stored_words(identity: Identity) -> list[bytes]:
    """The same as bytes."""
    return [pack_values(word, identity.input_dtype) for word in stored_values(identity)]


def checksum(results: Iterable[bytes], *, bytes_per_beat: int) -> int:
    """Over all beats of all results: turned to the left by one bit, plus the beat (its 32-bit pieces XORed)."""
    total, mask = 0, (1 << CHECK_BITS) - 1
    for result in results:
        for first in range(0, len(result), bytes_per_beat):
            beat = int.from_bytes(result[first : first + bytes_per_beat], "little")
            folded = 0
            while beat:
                folded ^= beat & mask
                beat >>= CHECK_BITS
            total = ((total << 1 | total >> (CHECK_BITS - 1)) + folded) & mask
    return total

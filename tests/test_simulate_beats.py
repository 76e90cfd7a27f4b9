"""Packing of values into beats, against a packing that is written out byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.simulate.beats import bytes_per_value, pack_beats, unpack_beats
from cs_hdl.simulate.simulate import _steady_state


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int24", "int32"])
@pytest.mark.parametrize(("shape", "lanes"), [((1, 1, 1), 1), ((2, 3, 5), 4), ((1, 1, 7), 7), ((1, 1, 3), 8)])
def test_beats_hold_the_values_in_c_order_the_first_lowest(dtype: str, shape: tuple[int, int, int], lanes: int) -> None:
    low, high = dtype_range(dtype)
    words = np.random.default_rng(5).integers(low, high, size=(3, *shape), endpoint=True)
    words[0, 0, 0, 0], words[1, 0, 0, 0] = low, high
    size, count = bytes_per_value(dtype), int(np.prod(shape))
    beats = -(-count // lanes)
    packed = pack_beats(words, dtype=dtype, values_per_beat=lanes, beats=beats)
    assert packed.shape == (3, beats, lanes * size)
    for word in range(3):
        values = [int(value) for value in words[word].reshape(-1)]
        expected = b"".join(value.to_bytes(size, "little", signed=low < 0) for value in values)
        assert packed[word].tobytes() == expected.ljust(beats * lanes * size, b"\0")
    back = unpack_beats(packed, dtype=dtype, shape=shape)
    assert np.array_equal(back, words)
    assert back.dtype == ("int32" if dtype in ("int16", "int24", "int32") else dtype)


def test_the_last_word_is_not_steady_state():
    """Nothing follows it, so its end may come sooner than that of a word amid others."""
    given = [61 + 40 * number for number in range(12)]
    assert _steady_state(given) == 40
    assert _steady_state([*given, given[-1] + 32]) == 40

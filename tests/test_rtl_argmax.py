"""ArgMax against Python's own: every dtype, ties, stalls, and its stated cycles."""

from __future__ import annotations

import random

import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.rtl.argmax import ArgMax

# values, lanes
SHAPES = [(1, 1), (1, 4), (2, 1), (3, 8), (7, 2), (10, 1), (10, 4), (12, 4), (13, 5), (256, 16), (300, 7)]


def make_words(values: int, dtype: str, seed: int) -> list[list[int]]:
    rng = random.Random(seed)
    low, high = dtype_range(dtype)
    words = [[rng.randint(low, high) for _ in range(values)] for _ in range(8)]
    words += [[rng.choice((low, 0, high)) for _ in range(values)] for _ in range(4)]
    return [*words, [low] * values, [high] * values, [max(low, -1)] * values, [low] * (values - 1) + [low + 1]]


@pytest.mark.parametrize(("gap", "stall"), [(0.0, 0.0), (0.2, 0.2)])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int24", "int32"])
@pytest.mark.parametrize(("values", "lanes"), SHAPES)
def test_argmax(values: int, lanes: int, dtype: str, gap: float, stall: float) -> None:
    words = make_words(values, dtype, seed=values)
    inputs = []
    for word in words:
        padded = word + [dtype_range(dtype)[1]] * (-values % lanes)
        inputs += [{"values": padded[start : start + lanes]} for start in range(0, len(padded), lanes)]
    dut = ArgMax(values=values, lanes=lanes, dtype=dtype)
    result = run_stream(dut, inputs, len(words), seed=1, gap=gap, stall=stall)
    assert [output["values"][0] for output in result.outputs] == [word.index(max(word)) for word in words]
    if gap == stall == 0.0:
        beats = -(-values // lanes)
        assert dut.interval == beats
        assert result.in_cycles == list(range(len(inputs)))
        assert result.out_cycles == [beats - 1 + dut.latency + number * beats for number in range(len(words))]


@pytest.mark.parametrize("disturb", [1, 4, 7])
def test_reset_at_any_time_brings_back_the_first_state(disturb: int) -> None:
    words = make_words(10, "int16", seed=2)
    inputs = [{"values": word[start : start + 2]} for word in words for start in range(0, 10, 2)]
    result = run_stream(ArgMax(values=10, lanes=2, dtype="int16"), inputs, len(words), seed=3, disturb=disturb)
    assert [output["values"][0] for output in result.outputs] == [word.index(max(word)) for word in words]


def test_the_index_has_as_many_bits_as_it_needs() -> None:
    assert len(ArgMax(values=256, lanes=4, dtype="int8").o.payload.as_value()) == 8
    assert len(ArgMax(values=257, lanes=4, dtype="int8").o.payload.as_value()) == 16


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="values must be at most 65536"):
        ArgMax(values=65537, lanes=1, dtype="int8")
    with pytest.raises(TypeError, match="lanes must be a positive integer, not 0"):
        ArgMax(values=10, lanes=0, dtype="int8")

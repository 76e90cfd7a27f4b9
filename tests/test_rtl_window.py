"""Line buffer and window: every window of every word, at the very cycles that the contract states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.geometry import Geometry
from cs_hdl.rtl.primitives.window import Window

# shape, kernel, stride, padding, values a beat, beats a position
CASES = [
    pytest.param((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 1, id="one value"),
    pytest.param((1, 7, 1), (1, 3), (1, 1), (0, 0, 0, 0), 1, 1, id="one row"),
    pytest.param((5, 1, 4), (3, 1), (1, 1), (0, 0, 0, 0), 4, 1, id="one column"),
    pytest.param((4, 4, 2), (4, 4), (1, 1), (0, 0, 0, 0), 2, 1, id="kernel as large as the input"),
    pytest.param((6, 5, 3), (3, 3), (1, 1), (1, 1, 1, 1), 3, 1, id="padding that keeps the size"),
    pytest.param((7, 5, 3), (3, 2), (2, 3), (1, 0, 2, 1), 2, 2, id="strides, uneven padding, a beat not full"),
    pytest.param((5, 7, 5), (2, 3), (1, 2), (0, 2, 0, 0), 1, 5, id="a channel a beat"),
    pytest.param((2, 2, 1), (5, 5), (1, 1), (2, 2, 2, 2), 1, 1, id="kernel larger than the input"),
    pytest.param((3, 3, 2), (2, 2), (1, 1), (1, 1, 3, 4), 1, 2, id="padding behind wider than the kernel"),
    pytest.param((7, 7, 1), (1, 1), (3, 3), (0, 0, 0, 0), 1, 1, id="a stride that skips"),
]


def windows(words, geometry, *, lanes, beats, padding_value):
    """[words, positions * beats][tap][lane], straight from the definition."""
    (top, left, bottom, right), channels = geometry.padding, geometry.shape[2]
    full = np.full((len(words), words.shape[1], words.shape[2], lanes * beats), 0)
    full[..., :channels] = words
    edges = ((0, 0), (top, bottom), (left, right), (0, 0))
    full = np.pad(full, edges, constant_values=padding_value)
    result = []
    for word, y, x, beat in itertools.product(full, *map(range, geometry.out), range(beats)):
        window = word[y * geometry.stride[0] :, x * geometry.stride[1] :, beat * lanes : (beat + 1) * lanes]
        result.append(window[: geometry.kernel[0], : geometry.kernel[1]].reshape(-1, lanes).tolist())
    return result


def run(shape, kernel, stride, padding, lanes, beats, *, dtype="uint8", padding_value=0, count=5, **options):
    geometry = Geometry(shape=shape, kernel=kernel, stride=stride, padding=padding)
    dut = Window(geometry=geometry, lanes=lanes, beats=beats, dtype=dtype, padding_value=padding_value)
    low, high = dtype_range(dtype)
    words = np.random.default_rng(1).integers(low, high + 1, (count, *shape))
    spare = lanes * beats - shape[2]
    inputs = np.pad(words, ((0, 0), (0, 0), (0, 0), (0, spare))).reshape(-1, lanes)
    expected = windows(words, geometry, lanes=lanes, beats=beats, padding_value=padding_value)
    result = run_stream(dut, [{"values": beat.tolist()} for beat in inputs], len(expected), **options)
    got = [[tap["values"] for tap in output["taps"]] for output in result.outputs]
    # Lanes beyond the last channel hold 0, or the padding.
    used = [min(lanes, shape[2] - beat * lanes) for beat in range(beats)] * (len(expected) // beats)
    for mine, wanted, number in zip(got, expected, used, strict=True):
        assert [tap[:number] for tap in mine] == [tap[:number] for tap in wanted]
    return dut, geometry, result


@pytest.mark.parametrize("shape, kernel, stride, padding, lanes, beats", CASES)
@pytest.mark.parametrize("count", [1, 5])
def test_full_rate(shape, kernel, stride, padding, lanes, beats, count):
    dut, geometry, result = run(shape, kernel, stride, padding, lanes, beats, count=count, seed=1)
    taken = np.array(result.in_cycles).reshape(count, shape[0], shape[1], beats)
    width = dut.interval // beats // max(shape[0], (geometry.out[0] - 1) * stride[0] + 1)
    y, x, beat = np.ogrid[: geometry.out[0], : geometry.out[1], :beats]
    places = (y * stride[0] * width + x * stride[1]) * beats + beat
    for word in range(count):
        assert taken[word, 0, 0, 0] == word * dut.interval
        given = np.array(result.out_cycles).reshape(count, *geometry.out, beats)[word]
        np.testing.assert_array_equal(given, taken[word, 0, 0, 0] + dut.latency + places)
    assert dut.interval >= shape[0] * shape[1] * beats


@pytest.mark.parametrize("shape, kernel, stride, padding, lanes, beats", CASES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 61)])
def test_stalls_and_resets(shape, kernel, stride, padding, lanes, beats, gap, stall, disturb):
    options = {"gap": gap, "stall": stall, "disturb": disturb, "seed": 7}
    run(shape, kernel, stride, padding, lanes, beats, dtype="int8", padding_value=-128, count=4, **options)


@pytest.mark.parametrize("kernel, padding", [((1, 2), (0, 0, 0, 0)), ((2, 3), (0, 1, 0, 0))])
def test_a_reset_at_any_cycle_of_a_word(kernel, padding):
    """Wherever a word's start is on its way through the lines, a reset takes it out of all of them."""
    for disturb in range(1, 36):
        run((2, 3, 6), kernel, (1, 1), padding, 2, 3, count=1, disturb=disturb, seed=disturb, quiet=40)


def test_padding_wider_than_the_kernel_is_refused():
    geometry = Geometry(shape=(4, 4, 1), kernel=(2, 2), stride=(1, 1), padding=(2, 0, 0, 0))
    with pytest.raises(ValueError, match=r"padding \(2, 0, 0, 0\) must be smaller than the kernel \(2, 2\)"):
        Window(geometry=geometry, lanes=1, beats=1, dtype="uint8")

"""The window that takes several columns at once: every window, at the cycles that the contract states."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.geometry import Geometry
from cs_hdl.rtl.primitives.wide_window import WideWindow

# shape, kernel, vertical stride, columns of a beat
CASES = [
    pytest.param((1, 1, 1), (1, 1), 1, 1, id="one value"),
    pytest.param((1, 6, 1), (1, 3), 1, 3, id="one row, as many columns as the kernel"),
    pytest.param((5, 4, 3), (3, 1), 1, 2, id="one kernel column, a prime number of channels"),
    pytest.param((4, 4, 2), (4, 4), 1, 4, id="kernel as large as the input"),
    pytest.param((7, 8, 1), (3, 3), 2, 4, id="a stride that leaves a row out"),
    pytest.param((6, 10, 1), (5, 4), 1, 5, id="two beats a row"),
    pytest.param((5, 21, 1), (2, 2), 3, 7, id="three beats a row, a stride that skips"),
    pytest.param((9, 16, 1), (5, 5), 1, 8, id="as the speech network's"),
]


def run(shape, kernel, stride, columns, *, count=4, dtype="int8", **options):
    geometry = Geometry(shape=shape, kernel=kernel, stride=(stride, 1), padding=(0, 0, 0, 0))
    dut = WideWindow(geometry=geometry, columns=columns, channels=shape[2], dtype=dtype)
    low, high = dtype_range(dtype)
    words = np.random.default_rng(2).integers(low, high + 1, (count, *shape))
    views = np.lib.stride_tricks.sliding_window_view(words, kernel, axis=(1, 2))[:, ::stride]
    expected = np.moveaxis(views, 3, -1).reshape(-1, geometry.taps, shape[2])
    beats = words.reshape(-1, columns * shape[2])
    result = run_stream(dut, [{"values": beat.tolist()} for beat in beats], len(expected), **options)
    np.testing.assert_array_equal([[tap["values"] for tap in out["taps"]] for out in result.outputs], expected)
    return dut, geometry, result


@pytest.mark.parametrize("shape, kernel, stride, columns", CASES)
def test_full_rate(shape, kernel, stride, columns):
    dut, geometry, result = run(shape, kernel, stride, columns, seed=1)
    beats = shape[1] // columns
    taken = np.array(result.in_cycles).reshape(4, shape[0], beats)
    assert np.diff(taken[:, 0, 0]).tolist() == [dut.interval] * 3
    # The window at the left edge comes two cycles after the beat that completes it, the others of the row behind it.
    given = np.array(result.out_cycles).reshape(4, *geometry.out)
    rows = kernel[0] - 1 + stride * np.arange(geometry.out[0])
    np.testing.assert_array_equal(given, taken[:, rows, :1] + 2 + np.arange(geometry.out[1]))


@pytest.mark.parametrize("shape, kernel, stride, columns", CASES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 31)])
def test_stalls_and_resets(shape, kernel, stride, columns, gap, stall, disturb):
    run(shape, kernel, stride, columns, dtype="uint8", gap=gap, stall=stall, disturb=disturb, seed=3)


@pytest.mark.parametrize(
    "padding, stride, columns, message",
    [
        ((1, 0, 0, 0), (1, 1), 4, "knows no padding"),
        ((0, 0, 0, 0), (1, 2), 4, "moves on by one column"),
        ((0, 0, 0, 0), (1, 1), 3, "3 columns a beat must divide the width 8"),
        ((0, 0, 0, 0), (1, 1), 2, "hold the kernel's 3"),
    ],
)
def test_what_it_cannot_do_is_refused(padding, stride, columns, message):
    geometry = Geometry(shape=(8, 8, 1), kernel=(3, 3), stride=stride, padding=padding)
    with pytest.raises(ValueError, match=message):
        WideWindow(geometry=geometry, columns=columns, channels=1, dtype="uint8")

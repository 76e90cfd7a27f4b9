"""The window that takes several columns at once: every window, at the cycles that the contract states."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.geometry import Geometry
from cs_hdl.rtl.primitives.wide_window import WideWindow

# shape, kernel, vertical stride (or both), columns of a beat
CASES = [
    pytest.param((1, 1, 1), (1, 1), 1, 1, id="one value"),
    pytest.param((1, 6, 1), (1, 3), 1, 3, id="one row, as many columns as the kernel"),
    pytest.param((5, 4, 3), (3, 1), 1, 2, id="one kernel column, a prime number of channels"),
    pytest.param((4, 4, 2), (4, 4), 1, 4, id="kernel as large as the input"),
    pytest.param((7, 8, 1), (3, 3), 2, 4, id="a stride that leaves a row out"),
    pytest.param((6, 10, 1), (5, 4), 1, 5, id="two beats a row"),
    pytest.param((5, 21, 1), (2, 2), 3, 7, id="three beats a row, a stride that skips"),
    pytest.param((9, 16, 1), (5, 5), 1, 8, id="as the speech network's"),
    pytest.param((7, 16, 1), (5, 6), (1, 2), 8, id="two columns on at a time"),
    pytest.param((5, 12, 2), (2, 3), (2, 3), 6, id="windows side by side"),
    pytest.param((4, 10, 1), (3, 2), (1, 4), 10, id="columns left out"),
    pytest.param((3, 7, 1), (1, 5), (1, 2), 7, id="one beat a row, of no whole number of strides"),
]


def run(shape, kernel, stride, columns, *, count=4, dtype="int8", **options):
    stride = stride if isinstance(stride, tuple) else (stride, 1)
    geometry = Geometry(shape=shape, kernel=kernel, stride=stride, padding=(0, 0, 0, 0))
    dut = WideWindow(geometry=geometry, columns=columns, channels=shape[2], dtype=dtype)
    low, high = dtype_range(dtype)
    words = np.random.default_rng(2).integers(low, high + 1, (count, *shape))
    views = np.lib.stride_tricks.sliding_window_view(words, kernel, axis=(1, 2))[:, :: stride[0], :: stride[1]]
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
    rows = kernel[0] - 1 + geometry.stride[0] * np.arange(geometry.out[0])
    np.testing.assert_array_equal(given, taken[:, rows, :1] + 2 + np.arange(geometry.out[1]))


@pytest.mark.parametrize("shape, kernel, stride, columns", CASES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 31)])
def test_stalls_and_resets(shape, kernel, stride, columns, gap, stall, disturb):
    run(shape, kernel, stride, columns, dtype="uint8", gap=gap, stall=stall, disturb=disturb, seed=3)


@pytest.mark.parametrize(
    "padding, stride, columns, message",
    [
        ((1, 0, 0, 0), (1, 1), 4, r"allows \[\]"),
        ((0, 0, 0, 0), (1, 2), 4, r"4 columns a beat: .* allows \[\]"),
        ((0, 0, 0, 0), (1, 5), 4, r"allows \[8\]"),
        ((0, 0, 0, 0), (1, 1), 3, r"3 columns a beat: .* allows \[4, 8\]"),
        ((0, 0, 0, 0), (1, 1), 2, r"allows \[4, 8\]"),
    ],
)
def test_what_it_cannot_do_is_refused(padding, stride, columns, message):
    geometry = Geometry(shape=(8, 8, 1), kernel=(3, 3), stride=stride, padding=padding)
    with pytest.raises(ValueError, match=message):
        WideWindow(geometry=geometry, columns=columns, channels=1, dtype="uint8")

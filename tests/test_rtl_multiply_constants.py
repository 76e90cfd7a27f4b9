"""Constant multipliers against a product of matrices, window by window."""

from __future__ import annotations

import numpy as np
import pytest
from networks import random_bias, random_scale, sparse_weights
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range, requantise, smallest_dtype
from cs_hdl.network import Requantise
from cs_hdl.plan.adder_graph import adder_graph
from cs_hdl.plan.geometry import Geometry
from cs_hdl.rtl.multiply_constants import MultiplyConstants


def build(matrix, bias, *, channels, dtype, scale):
    """Engine for ``matrix`` [kernels, taps * channels] over a row of taps."""
    taps = matrix.shape[1] // channels
    geometry = Geometry(shape=(1, taps, channels), kernel=(1, taps), stride=(1, 1), padding=(0, 0, 0, 0))
    low, high = dtype_range(dtype)
    bound = int((np.abs(matrix).sum(axis=1) * max(-low, high) + np.abs(bias)).max())
    output_dtype = smallest_dtype(-bound, bound) if scale is None else scale.dtype
    return MultiplyConstants(
        graph=adder_graph(matrix, low, high),
        geometry=geometry,
        dtype=dtype,
        biases=bias.tolist(),
        requantise=scale,
        output_dtype=output_dtype,
    )


def run(matrix, bias, *, channels, dtype="uint8", scale=None, count=40, **options):
    rng = np.random.default_rng(3)
    low, high = dtype_range(dtype)
    windows = rng.integers(low, high + 1, (count, matrix.shape[1]))
    # The extremes of each kernel, where a width that is too small would show.
    for index, row in enumerate(matrix[: count // 4]):
        windows[2 * index] = np.where(row > 0, high, low)
        windows[2 * index + 1] = np.where(row > 0, low, high)
    expected = windows @ matrix.T + bias
    if scale is not None:
        expected = requantise(expected, scale.multiplier, scale.shift, scale.dtype)
    dut = build(matrix, bias, channels=channels, dtype=dtype, scale=scale)
    taps = windows.reshape(count, -1, channels).tolist()
    inputs = [{"taps": [{"values": tap} for tap in window]} for window in taps]
    result = run_stream(dut, inputs, count, **options)
    assert [beat["values"] for beat in result.outputs] == expected.tolist()
    return dut, result


def random_matrix(seed):
    rng = np.random.default_rng(seed)
    channels, kernels = int(rng.choice([1, 2, 3])), int(rng.choice([1, 3, 6]))
    matrix = sparse_weights(rng, (kernels, channels * int(rng.integers(1, 7))), (0.2, 0.5, 1)[seed % 3])
    return rng, channels, matrix.astype(np.int64)


@pytest.mark.parametrize("seed", range(12))
def test_full_rate(seed):
    rng, channels, matrix = random_matrix(seed)
    scale = random_scale(rng, len(matrix), ("none", "shift", "layer", "channel")[seed % 4])
    dtype = ("uint8", "int8")[seed // 4 % 2]
    bias = random_bias(rng, len(matrix)).astype(np.int64)
    dut, result = run(matrix, bias, channels=channels, dtype=dtype, scale=scale, seed=seed)
    assert result.in_cycles == list(range(40))
    assert result.out_cycles == [cycle + dut.latency for cycle in result.in_cycles]


@pytest.mark.parametrize("seed", range(20, 26))
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 17)])
def test_stalls_and_resets(seed, gap, stall, disturb):
    rng, channels, matrix = random_matrix(seed)
    scale = random_scale(rng, len(matrix), ("none", "shift", "layer", "channel")[seed % 4])
    bias = random_bias(rng, len(matrix)).astype(np.int64)
    options = {"gap": gap, "stall": stall, "disturb": disturb, "seed": seed}
    run(matrix, bias, channels=channels, scale=scale, **options)


def test_kernels_without_weights_and_kernels_that_are_a_wire():
    matrix = np.array([[0, 0, 0], [1, 0, 0], [0, -64, 0], [0, 0, 127], [-127, -127, -127]])
    run(matrix, np.array([5, -300, 0, 1, 7]), channels=3, seed=1)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_nothing_but_zeros_gives_the_biases(dtype):
    bias = np.array([300, -5])
    scale = Requantise(multiplier=np.array([1, 3]), shift=np.array([0, 1]), dtype=dtype)
    run(np.zeros((2, 4), dtype=int), bias, channels=2, dtype=dtype, scale=scale, seed=1)


def test_channels_whose_scales_take_different_times():
    matrix, bias = np.array([[3, -5], [1, 1], [0, 0], [127, 2]]), np.array([0, 9, 700, -4])
    scale = Requantise(multiplier=np.array([1, 3, 2, 40000]), shift=np.array([4, 2, 1, 23]))
    dut, result = run(matrix, bias, channels=1, scale=scale, seed=1)
    assert result.out_cycles == [cycle + dut.latency for cycle in result.in_cycles]


def test_a_graph_of_another_size_is_refused():
    geometry = Geometry(shape=(3, 3, 2), kernel=(2, 2), stride=(1, 1), padding=(0, 0, 0, 0))
    graph = adder_graph(np.ones((1, 7), dtype=int), 0, 255)
    with pytest.raises(ValueError, match="a graph over 7 values with 1 sums does not fit"):
        MultiplyConstants(
            graph=graph, geometry=geometry, dtype="uint8", biases=[0], requantise=None, output_dtype="int16"
        )


@pytest.mark.parametrize("windows", [2, 3, 5])
def test_only_the_largest_of_several_windows_goes_on(windows):
    rng, channels, matrix = random_matrix(windows)
    scale = random_scale(rng, len(matrix), "channel")
    bias = random_bias(rng, len(matrix)).astype(np.int64)
    # Each window is a stretch of its own here, so that none hides behind another's values.
    taps = matrix.shape[1] * windows
    side = np.zeros((windows, len(matrix), windows, matrix.shape[1]), dtype=np.int64)
    for place in range(windows):
        side[place, :, place] = matrix
    dut = MultiplyConstants(
        graph=adder_graph(side.reshape(-1, taps), *dtype_range("int8")),
        geometry=Geometry(
            shape=(1, taps // channels, channels), kernel=(1, taps // channels), stride=(1, 1), padding=(0, 0, 0, 0)
        ),
        dtype="int8",
        biases=bias.tolist(),
        requantise=scale,
        output_dtype="uint8",
        windows=windows,
    )
    values = rng.integers(-128, 128, (60, windows, matrix.shape[1]))
    sums = (values @ matrix.T + bias).max(axis=1)
    expected = requantise(sums, scale.multiplier, scale.shift, scale.dtype)
    inputs = [{"taps": [{"values": tap} for tap in word]} for word in values.reshape(60, -1, channels).tolist()]
    result = run_stream(dut, inputs, 60, seed=1)
    assert [beat["values"] for beat in result.outputs] == expected.tolist()
    assert result.out_cycles == [cycle + dut.latency for cycle in result.in_cycles]

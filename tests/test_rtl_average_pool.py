"""Average pooling by windows and over whole words: values, signs, padding as zeros, and the stated cycles."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import run_dense
from cs_hdl.network import AveragePool as AveragePoolLayer
from cs_hdl.network import Network, ScaledSum, Tensor
from cs_hdl.plan.geometry import pool_geometry
from cs_hdl.rtl.average_pool import AveragePool, GlobalAveragePool

# shape, kernel, stride, padding, values a beat
CASES = [
    ((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1),
    ((4, 4, 2), (2, 2), (2, 2), (0, 0, 0, 0), 1),
    ((6, 5, 5), (3, 2), (1, 2), (0, 0, 0, 0), 5),
    ((7, 5, 3), (3, 3), (2, 2), (1, 1, 1, 1), 2),
    ((5, 7, 3), (2, 3), (1, 1), (0, 2, 1, 0), 3),
]
WHOLE = [((1, 1, 3), 2), ((3, 4, 1), 1), ((7, 7, 5), 2), ((2, 3, 8), 8)]


def scale_of(taps, dtype):
    return ScaledSum(multipliers=(round(2**20 / taps) % 65535 or 1,), shift=20, dtype=dtype)


def run(make, layer, shape, lanes, dtype, *, count=4, **options):
    network = Network(name="net", input=Tensor(shape, dtype), layers=(layer,))
    low, high = dtype_range(dtype)
    words = np.random.default_rng(1).integers(low, high + 1, (count, *shape))
    words[0], words[1] = low, high
    beats = -(-shape[2] // lanes)
    dut = make(network.input, beats)
    inputs = np.pad(words, ((0, 0), (0, 0), (0, 0), (0, lanes * beats - shape[2]))).reshape(-1, lanes)
    height, width, channels = network.output.shape
    result = run_stream(dut, [{"values": beat.tolist()} for beat in inputs], count * height * width * beats, **options)
    values = np.array([beat["values"] for beat in result.outputs]).reshape(count, height, width, lanes * beats)
    np.testing.assert_array_equal(values[..., :channels], run_dense(network, words))
    assert not values[..., channels:].any()
    return dut, result


def windows(case, dtype, **options):
    shape, kernel, stride, padding, lanes = case
    scale = scale_of(kernel[0] * kernel[1] * 16, dtype)
    layer = AveragePoolLayer(name="pool", kernel=kernel, stride=stride, padding=padding, scale=scale)

    def make(tensor, beats):
        return AveragePool(geometry=pool_geometry(layer, tensor), lanes=lanes, beats=beats, dtype=dtype, scale=scale)

    return run(make, layer, shape, lanes, dtype, **options)


def whole(case, dtype, **options):
    shape, lanes = case
    positions = shape[0] * shape[1]
    scale = scale_of(positions * 16, dtype)
    layer = AveragePoolLayer(name="pool", kernel=shape[:2], stride=(1, 1), scale=scale)

    def make(tensor, beats):
        return GlobalAveragePool(positions=positions, lanes=lanes, beats=beats, dtype=dtype, scale=scale)

    return run(make, layer, shape, lanes, dtype, **options)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_windows_at_full_rate(case, dtype):
    dut, result = windows(case, dtype, seed=1)
    starts = result.in_cycles[:: len(result.in_cycles) // 4]
    assert np.diff(starts).tolist() == [dut.interval] * 3
    firsts = result.out_cycles[:: len(result.out_cycles) // 4]
    assert [first - start for first, start in zip(firsts, starts, strict=True)] == [dut.latency] * 4


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("case", WHOLE)
def test_whole_words_at_full_rate(case, dtype):
    dut, result = whole(case, dtype, seed=1)
    assert np.diff(result.in_cycles).tolist() == [1] * (len(result.in_cycles) - 1)
    beats = len(result.out_cycles) // 4
    last_position = np.array(result.in_cycles).reshape(4, -1)[:, -beats:].ravel()
    assert (np.array(result.out_cycles) - last_position).tolist() == [dut.latency] * (4 * beats)


@pytest.mark.parametrize("gap, stall, disturb", [(0.3, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 43)])
@pytest.mark.parametrize("run_case", [windows, whole])
@pytest.mark.parametrize("number", [1, 3])
def test_stalls_and_resets(run_case, number, gap, stall, disturb):
    case = (CASES if run_case is windows else WHOLE)[number]
    run_case(case, "int8", gap=gap, stall=stall, disturb=disturb, seed=3)

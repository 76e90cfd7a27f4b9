"""Max-pooling: values, sign, padding that never wins, and the cycles that are stated."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import run_dense
from cs_hdl.network import MaxPool as MaxPoolLayer
from cs_hdl.network import Network, Tensor
from cs_hdl.plan.geometry import pool_geometry
from cs_hdl.plan.timing import BLOCK_POOL_LATENCY
from cs_hdl.rtl.block_pool import BlockMaxPool
from cs_hdl.rtl.max_pool import MaxPool

# shape, kernel, stride, padding, values a beat
CASES = [
    ((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1),
    ((4, 4, 2), (2, 2), (2, 2), (0, 0, 0, 0), 1),
    ((6, 5, 5), (2, 2), (2, 2), (0, 0, 0, 0), 5),
    ((7, 5, 3), (3, 3), (2, 2), (1, 1, 1, 1), 2),
    ((5, 7, 3), (2, 3), (1, 1), (0, 2, 1, 0), 1),
    ((7, 1, 4), (3, 1), (1, 1), (0, 0, 0, 0), 4),
    ((7, 5, 3), (2, 2), (2, 2), (1, 1, 1, 1), 2),
]
# Windows side by side: shape, kernel, values a beat; with rows or columns left over, and places seen twice in a row
BLOCKS = [
    ((1, 1, 1), (1, 1), 1),
    ((4, 4, 2), (2, 2), 1),
    ((6, 5, 5), (2, 2), 5),
    ((7, 5, 3), (3, 2), 2),
    ((5, 7, 3), (2, 3), 1),
    ((4, 1, 4), (4, 1), 4),
    ((3, 4, 3), (1, 4), 3),
    ((5, 3, 2), (2, 2), 2),
    ((6, 6, 4), (3, 3), 4),
]


def run(shape, kernel, stride, padding, lanes, dtype, *, count=4, component=MaxPool, **options):
    layer = MaxPoolLayer(name="pool", kernel=kernel, stride=stride, padding=padding)
    network = Network(name="net", input=Tensor(shape, dtype), layers=(layer,))
    low, high = dtype_range(dtype)
    words = np.random.default_rng(1).integers(low, high + 1, (count, *shape))
    words[0] = low  # nothing is larger than the padding
    beats = -(-shape[2] // lanes)
    dut = component(geometry=pool_geometry(layer, network.input), lanes=lanes, beats=beats, dtype=dtype)
    inputs = np.pad(words, ((0, 0), (0, 0), (0, 0), (0, lanes * beats - shape[2]))).reshape(-1, lanes)
    height, width, channels = network.output.shape
    expected_count = count * height * width * beats
    result = run_stream(dut, [{"values": beat.tolist()} for beat in inputs], expected_count, **options)
    values = np.array([beat["values"] for beat in result.outputs]).reshape(count, height, width, lanes * beats)
    np.testing.assert_array_equal(values[..., :channels], run_dense(network, words))
    return dut, result


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("shape, kernel, stride, padding, lanes", CASES)
def test_full_rate(shape, kernel, stride, padding, lanes, dtype):
    count = 4
    dut, result = run(shape, kernel, stride, padding, lanes, dtype, count=count, seed=1)
    starts = result.in_cycles[:: len(result.in_cycles) // count]
    assert np.diff(starts).tolist() == [dut.interval] * (count - 1)
    firsts = result.out_cycles[:: len(result.out_cycles) // count]
    assert [first - start for first, start in zip(firsts, starts, strict=True)] == [dut.latency] * count


@pytest.mark.parametrize("shape, kernel, stride, padding, lanes", CASES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.3, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 43)])
def test_stalls_and_resets(shape, kernel, stride, padding, lanes, gap, stall, disturb):
    run(shape, kernel, stride, padding, lanes, "int8", gap=gap, stall=stall, disturb=disturb, seed=3)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("shape, kernel, lanes", BLOCKS)
def test_a_running_maximum_at_full_rate(shape, kernel, lanes, dtype):
    count = 4
    _, result = run(shape, kernel, kernel, (0, 0, 0, 0), lanes, dtype, count=count, component=BlockMaxPool, seed=1)
    beats = -(-shape[2] // lanes)
    assert np.diff(result.in_cycles).tolist() == [1] * (count * shape[0] * shape[1] * beats - 1)
    cycles = np.array(result.in_cycles).reshape(count, shape[0], shape[1], beats)
    ends = cycles[:, kernel[0] - 1 :: kernel[0], kernel[1] - 1 :: kernel[1]]
    assert result.out_cycles == (ends.ravel() + BLOCK_POOL_LATENCY).tolist()


@pytest.mark.parametrize("shape, kernel, lanes", BLOCKS)
@pytest.mark.parametrize("gap, stall, disturb", [(0.3, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 43)])
def test_a_running_maximum_with_stalls_and_resets(shape, kernel, lanes, gap, stall, disturb):
    options = {"gap": gap, "stall": stall, "disturb": disturb, "seed": 3}
    run(shape, kernel, kernel, (0, 0, 0, 0), lanes, "int8", component=BlockMaxPool, **options)


def test_windows_that_overlap_have_no_running_maximum():
    layer = MaxPoolLayer(name="pool", kernel=(2, 2), stride=(1, 1), padding=(0, 0, 0, 0))
    with pytest.raises(ValueError, match="side by side"):
        BlockMaxPool(geometry=pool_geometry(layer, Tensor((4, 4, 1), "uint8")), lanes=1, beats=1, dtype="uint8")

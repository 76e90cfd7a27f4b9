"""The planner: cycles are kept, limits are kept, and what is impossible is said; plans are saved without loss."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from networks import LIMITS, random_bias, random_convolution, random_linear, sparse_weights

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.combine.packed import combine
from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.network import Conv2d, GlobalKWTA, Linear, LocalKWTA, Network, Tensor
from cs_hdl.plan.adder_graph import adder_graph, signed_digits
from cs_hdl.plan.folding import fold_lanes
from cs_hdl.plan.geometry import weight_geometry
from cs_hdl.plan.lanes import lane_tables
from cs_hdl.plan.plan import load_plan, save_plan
from cs_hdl.plan.planner import DeviceLimits, make_plan
from cs_hdl.plan.stages import LanesStage


def speech_convolution(winners=8):
    """The second convolution of the paper's speech network."""
    rng = np.random.default_rng(1)
    masks = complementary_masks(kernels=64, positions=1600, nonzeros=100, seed=1).reshape(64, 64, 5, 5)
    weights = np.where(masks, rng.integers(1, 128, masks.shape), 0).astype(np.int8)
    conv = Conv2d(name="conv", weights=weights, bias=random_bias(rng, 64))
    return Network(
        name="conv2", input=Tensor((14, 14, 64), "uint8"), layers=(LocalKWTA(name="k", winners=winners), conv)
    )


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("make", [random_convolution, random_linear])
def test_cycles_are_kept(make, seed):
    network = make(seed)
    fewest = make_plan(network, limits=LIMITS).cycles_per_word
    for cycles in (fewest, 2 * fewest + 1, 50 * fewest):
        plan = make_plan(network, limits=LIMITS, cycles=cycles)
        assert plan.cycles_per_word <= cycles
        assert plan.cycles_per_word >= max(stage.cycles for stage in plan.stages)
        assert plan.latency_cycles > 0


def test_more_cycles_take_fewer_multipliers():
    multipliers = [
        sum(layer.multipliers for layer in make_plan(speech_convolution(), limits=LIMITS, cycles=cycles).layers)
        for cycles in (4000, 16000, 64000)
    ]
    assert multipliers == sorted(multipliers, reverse=True) and multipliers[0] > multipliers[-1]


def test_too_few_cycles_are_refused_with_the_fewest():
    weights = np.ones((3, 40), dtype=np.int8)
    layers = (
        GlobalKWTA(name="front", winners=30),
        Linear(name="linear", weights=weights, bias=np.zeros(3, dtype=np.int32)),
    )
    network = Network(name="net", input=Tensor((1, 1, 40), "uint8"), layers=layers)
    with pytest.raises(InputError, match=r"net: 0|--cycles 0: must be at least 1"):
        make_plan(network, limits=LIMITS, cycles=0)
    kernel = np.ones((4, 1, 3, 3), dtype=np.int8)
    conv = Conv2d(name="conv", weights=kernel, bias=np.zeros(4, dtype=np.int32))
    image = Network(name="image", input=Tensor((20, 20, 1), "uint8"), layers=(conv,))
    with pytest.raises(InputError, match="image: 100 cycles a word cannot be reached; the fewest are 400"):
        make_plan(image, limits=LIMITS, cycles=100)


def test_a_device_that_is_too_small_is_refused_with_the_sizes():
    tiny = DeviceLimits(name="TINY", lut=1000, dsp=2, block_ram=1)
    with pytest.raises(InputError, match=r"conv2: too large for TINY: .* LUTs, .* DSPs and .* block RAMs"):
        make_plan(speech_convolution(), limits=tiny)


def test_modes():
    network = speech_convolution()
    assert make_plan(network, limits=LIMITS, cycles=10**6).layers[1].mode == "sparse-sparse"
    sparse_dense = make_plan(network, limits=LIMITS, cycles=10**6, mode="sparse-dense").layers[1]
    dense = make_plan(network, limits=LIMITS, cycles=10**7, mode="dense").layers[1]
    assert (sparse_dense.mode, dense.mode) == ("sparse-dense", "dense")
    assert dense.sets == 64 and dense.kernels_per_set == 1
    with pytest.raises(InputError, match="--mode fast: must be one of sparse-sparse, sparse-dense, dense"):
        make_plan(network, limits=LIMITS, mode="fast")
    plain = dataclasses.replace(network, layers=network.layers[1:])
    with pytest.raises(InputError, match="sparse-sparse needs sparse activations"):
        make_plan(plain, limits=LIMITS, mode="sparse-sparse")


@pytest.mark.parametrize("make", [random_convolution, random_linear])
@pytest.mark.parametrize("seed", range(8))
def test_plans_are_saved_without_loss(make, seed, tmp_path):
    plan = make_plan(make(seed), limits=LIMITS)
    save_plan(plan, tmp_path)
    loaded = load_plan(tmp_path)
    for field in dataclasses.fields(plan):
        if field.name != "packed":
            assert getattr(loaded, field.name) == getattr(plan, field.name)
    assert loaded.layers == plan.layers


@pytest.mark.parametrize("content", ["", "{}", '{"format": 9}', '{"format": 1, "stages": [{"stage": "What"}]}'])
def test_a_damaged_plan_is_refused(content, tmp_path):
    save_plan(make_plan(random_linear(2), limits=LIMITS), tmp_path)
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(InputError, match=r"plan\.json"):
        load_plan(tmp_path)


@pytest.mark.parametrize("cycles", [800, 2000, 9000, 40000])
def test_lanes_hold_every_weight_once(cycles):
    network = speech_convolution()
    layer, tensor = network.layers[1], network.tensors[1]
    packed = combine(network).layers["conv"]
    geometry = weight_geometry(layer, tensor)
    plan = fold_lanes(packed, geometry, entries=8, beat=2, sparse=True, output_lanes=4, cycles=100 * cycles)
    assert plan is not None and plan.cycles <= 100 * cycles
    tables = lane_tables(packed, plan, dtype_range("uint8"))
    assert len(tables) == plan.lanes
    once = plan.slices  # each slice of the winners has a table of all channels
    assert sum(int(np.abs(table.weights.astype(int)).sum()) for table in tables) == once * int(
        np.abs(layer.weights.astype(int)).sum()
    )
    low, high = layer.accumulator_range(tensor)
    assert tables[-1].chain_low >= low - abs(int(layer.bias.min()))
    assert tables[-1].chain_high <= high + abs(int(layer.bias.max()))


def test_no_folding_is_none():
    network = speech_convolution()
    packed = combine(network).layers["conv"]
    geometry = weight_geometry(network.layers[1], network.tensors[1])
    assert fold_lanes(packed, geometry, entries=8, beat=1, sparse=True, output_lanes=4, cycles=5) is None


def test_the_bound_of_a_lane_is_reached():
    """Two winners of a position, weights 127, 100 and -127: at most two of them count."""
    weights = np.array([[127, 100, -127, 5]], dtype=np.int8)
    layers = (
        GlobalKWTA(name="k", winners=2),
        Linear(name="l", weights=weights, bias=np.zeros(1, dtype=np.int32)),
    )
    network = Network(name="n", input=Tensor((1, 1, 4), "uint8"), layers=layers)
    plan = make_plan(network, limits=LIMITS)
    (lanes,) = (stage.lanes for stage in plan.stages if isinstance(stage, LanesStage))
    if lanes.slices == 1:
        (table,) = lane_tables(plan.packed.layers["l"], lanes, (0, 255))
        assert (table.low, table.high) == (-127 * 255, 227 * 255)


@pytest.mark.parametrize("seed", range(12))
def test_adder_graphs_equal_the_matrix(seed):
    rng = np.random.default_rng(seed)
    low, high = (0, 255) if seed % 2 else (-128, 127)
    matrix = sparse_weights(rng, (int(rng.integers(1, 20)), int(rng.integers(1, 20))), float(rng.random())).astype(int)
    matrix[0] = 0
    matrix[-1] = -np.abs(matrix[-1])
    graph = adder_graph(matrix, low, high)
    assert graph == adder_graph(matrix, low, high)
    for case in range(20):
        vector = (
            rng.integers(low, high + 1, matrix.shape[1]) if case > 2 else np.full(matrix.shape[1], (low, high, 0)[case])
        )
        values = [int(value) for value in vector]
        for adder in graph.adders:
            values.append(
                (values[adder.left] << adder.left_shift) + adder.sign * (values[adder.right] << adder.right_shift)
            )
            assert adder.low <= values[-1] <= adder.high
        outputs = [0 if term is None else term.sign * (values[term.node] << term.shift) for term in graph.outputs]
        assert outputs == (matrix @ vector).tolist()


@pytest.mark.parametrize("value", [0, 1, 7, 93, 127, 255, 65535])
def test_signed_digits(value):
    digits = signed_digits(value)
    assert sum(digit << place for place, digit in digits) == value
    places = [place for place, _ in digits]
    assert all(after - before >= 2 for before, after in itertools.pairwise(places))

"""The planner: cycles are kept, limits are kept, and what is impossible is said; plans are saved without loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import LIMITS, random_bias, random_convolution, random_linear
from slow import quick_first

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.errors import InputError
from cs_hdl.network import Conv2d, GlobalKWTA, Linear, LocalKWTA, Network, Tensor
from cs_hdl.plan.device_limits import DeviceLimits, needs, usable
from cs_hdl.plan.planner import explain, make_plan


def speech_convolution(winners=8):
    """The second convolution of the paper's speech network."""
    rng = np.random.default_rng(1)
    masks = complementary_masks(kernels=64, positions=1600, nonzeros=100, seed=1).reshape(64, 64, 5, 5)
    weights = np.where(masks, rng.integers(1, 128, masks.shape), 0).astype(np.int8)
    conv = Conv2d(name="conv", weights=weights, bias=random_bias(rng, 64))
    return Network(
        name="conv2", input=Tensor((14, 14, 64), "uint8"), layers=(LocalKWTA(name="k", winners=winners), conv)
    )


@pytest.mark.parametrize("seed", quick_first(range(25), 12))
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
    with pytest.raises(InputError, match="--cycles 0: must be at least 1"):
        make_plan(network, limits=LIMITS, cycles=0)
    kernel = np.ones((4, 1, 3, 3), dtype=np.int8)
    conv = Conv2d(name="conv", weights=kernel, bias=np.zeros(4, dtype=np.int32))
    image = Network(name="image", input=Tensor((20, 20, 1), "uint8"), layers=(conv,))
    with pytest.raises(InputError, match="image: 100 cycles a word cannot be reached; the fewest are 326"):
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


def test_a_plan_says_what_binds_it():
    """The fastest plan that fits: the next faster one needs more of something than there is."""
    network = speech_convolution()
    limits = DeviceLimits(name="small", lut=30_000, dsp=28, block_ram=56)
    plan = make_plan(network, limits=limits)
    why = explain(plan)
    assert why.bottleneck == ("conv",) and why.faster is not None
    assert all(need <= usable(limits)[kind] for kind, need in needs(why.cost, limits).items())
    cycles, cost = why.faster
    assert cycles < plan.cycles_per_word
    assert any(need > usable(limits)[kind] for kind, need in needs(cost, limits).items())


def test_the_fastest_plan_of_all_says_so():
    network = speech_convolution()
    why = explain(make_plan(network, limits=DeviceLimits(name="huge", lut=10**8, dsp=10**6, block_ram=10**6)))
    assert why.faster is None

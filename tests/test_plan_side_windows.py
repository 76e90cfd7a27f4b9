# amaranth: UnusedElaboratable=no
"""Several windows of a first layer at once, of which a max-pool wants the largest: planned, and in RTL bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from networks import LIMITS, random_bias, random_scale, sparse_weights
from test_rtl_layer import check, check_speed

from cs_hdl.network import AveragePool, Conv2d, LocalKWTA, MaxPool, Network, ScaledSum, Tensor
from cs_hdl.plan.geometry import Geometry
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.side_windows import pooled, side_windows
from cs_hdl.plan.stages import ConstantsStage, PoolStage


def network(
    shape, kernel, pool, *, kernels=4, dtype="uint8", scale="channel", stride=(1, 1), padding=(0, 0, 0, 0), seed=0
):
    """A convolution of ``kernel`` over ``shape``, and a max-pool of ``pool``."""
    rng = np.random.default_rng(seed)
    conv = Conv2d(
        name="conv",
        weights=sparse_weights(rng, (kernels, shape[2], *kernel), 0.5),
        bias=random_bias(rng, kernels),
        stride=stride,
        padding=padding,
        requantise=random_scale(rng, kernels, scale),
    )
    layers = (conv, MaxPool(name="pool", kernel=pool, stride=pool))
    return Network(name="net", input=Tensor(shape, dtype), layers=layers)


def stages(plan):
    first, second = plan.stages[:2]
    assert isinstance(first, ConstantsStage) and isinstance(second, PoolStage)
    return first, second


# shape, kernel, pool, windows at once, kernels, type of the input, kind of scale
CASES = [
    pytest.param((9, 8, 1), (3, 3), (2, 2), 2, 4, "uint8", "channel", id="pairs, one beat a row"),
    pytest.param((6, 8, 2), (2, 1), (2, 2), 2, 3, "int8", "shift", id="one kernel column"),
    pytest.param((8, 12, 1), (3, 5), (2, 4), 4, 4, "uint8", "layer", id="four of four"),
    pytest.param((8, 12, 1), (3, 5), (1, 4), 2, 5, "uint8", "shift", id="two of four in one row"),
    pytest.param((7, 8, 1), (1, 3), (7, 3), 3, 2, "int8", "channel", id="three, the whole height"),
    pytest.param((5, 16, 1), (2, 5), (2, 2), 2, 1, "uint8", "layer", id="one kernel, two beats a row"),
]


def fastest(net, windows):
    """The plan in which so many windows are worked on at once."""
    geometry = Geometry(
        shape=net.input.shape, kernel=net.layers[0].weights.shape[2:], stride=(1, 1), padding=(0, 0, 0, 0)
    ).side_by_side(windows)
    cycles = geometry.wide_cycles(geometry.wide_columns()[-1])
    plan = make_plan(net, limits=LIMITS, cycles=cycles)
    assert stages(plan)[0].windows == windows
    return plan


@pytest.mark.parametrize("shape, kernel, pool, windows, kernels, dtype, scale", CASES)
def test_at_full_rate(shape, kernel, pool, windows, kernels, dtype, scale):
    plan = fastest(network(shape, kernel, pool, kernels=kernels, dtype=dtype, scale=scale), windows)
    conv, rest = stages(plan)
    out = plan.network.tensors[1].shape
    assert rest.geometry.shape == (out[0], out[1] // windows, kernels)
    assert conv.cycles < out[0] * out[1]
    assert plan.layers[0].constant_multipliers == windows * np.count_nonzero(plan.network.layers[0].weights)
    check_speed(plan)


@pytest.mark.parametrize("shape, kernel, pool, windows, kernels, dtype, scale", CASES)
@pytest.mark.parametrize("gap, stall, disturb", [(0.4, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 17)])
def test_stalls_on_both_sides(shape, kernel, pool, windows, kernels, dtype, scale, gap, stall, disturb):
    net = network(shape, kernel, pool, kernels=kernels, dtype=dtype, scale=scale, seed=1)
    check(fastest(net, windows), count=3, gap=gap, stall=stall, disturb=disturb, seed=2)


def test_one_window_at_a_time_while_that_is_fast_enough():
    net = network((9, 8, 1), (3, 3), (2, 2))
    positions = 7 * 6
    assert stages(make_plan(net, limits=LIMITS, cycles=positions + 2 * 1))[0].windows == 1
    assert stages(make_plan(net, limits=LIMITS, cycles=positions - 1))[0].windows == 2
    assert make_plan(net, limits=LIMITS).cycles_per_word <= positions // 2 + 2


@pytest.mark.parametrize(
    "changes, windows",
    [
        ({}, [1, 2]),
        ({"pool": (1, 2)}, [1]),  # nothing would be left for the pool
        ({"pool": (1, 6)}, [1, 2, 3]),
        ({"pool": (2, 4)}, [1, 2]),  # four do not divide six columns
        ({"shape": (9, 9, 1)}, [1]),  # seven columns
        ({"stride": (2, 1)}, [1, 2]),
        ({"stride": (1, 2), "shape": (9, 9, 1)}, [1]),
        ({"padding": (0, 1, 0, 1)}, [1]),
    ],
)
def test_where_they_may_stand_side_by_side(changes, windows):
    options = {"shape": (9, 8, 1), "kernel": (3, 3), "pool": (2, 2)} | changes
    assert side_windows(network(**options)) == windows


def test_only_in_front_of_a_max_pool_whose_windows_lie_side_by_side():
    conv = network((9, 8, 1), (3, 3), (2, 2)).layers[0]
    for behind in (
        (),
        (MaxPool(name="pool", kernel=(2, 2), stride=(1, 1)),),
        (AveragePool(name="pool", kernel=(2, 2), stride=(2, 2), scale=ScaledSum(multipliers=(1,), shift=2)),),
        (LocalKWTA(name="kwta", winners=2),),
    ):
        assert side_windows(Network(name="net", input=Tensor((9, 8, 1), "uint8"), layers=(conv, *behind))) == [1]


def test_what_is_left_for_the_pool():
    geometry = Geometry(shape=(28, 28, 64), kernel=(2, 4), stride=(2, 4), padding=(0, 0, 0, 0))
    assert pooled(geometry, 1) == geometry
    overlapping = Geometry(shape=(6, 6, 4), kernel=(3, 2), stride=(1, 1), padding=(1, 0, 1, 0))
    assert pooled(overlapping, 1) == overlapping
    left = pooled(geometry, 2)
    assert (left.shape, left.kernel, left.stride, left.out) == ((28, 14, 64), (2, 2), (2, 2), geometry.out)

"""Leaf components with parameters, data and stalls that Hypothesis draws; each against its own test's golden function.

The tests of the components have corner sizes picked by hand; here are those that nobody picked. Without stalls the
stated interval and latency are asserted by the same functions.
"""

from __future__ import annotations

import numpy as np
import pytest
import test_rtl_argmax as argmax
import test_rtl_average_pool as average_pool
import test_rtl_densify as densify
import test_rtl_global_kwta as global_kwta
import test_rtl_local_kwta as local_kwta
import test_rtl_max_pool as max_pool
import test_rtl_multiply_constants as constants
import test_rtl_rechunk as rechunk
import test_rtl_reorder as reorder
import test_rtl_window as window
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import LIMITS, Warmed, beats_in, random_chain, random_convolution, random_linear, random_words, words_out
from stream_harness import run_stream

from cs_hdl.errors import InputError
from cs_hdl.golden.dense import run_dense
from cs_hdl.network import MaxPool, Network, Tensor
from cs_hdl.plan.geometry import Geometry
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.widths import beat_lanes

#: Pauses of the driver and of the consumer; now and then none at all.
STALLS = st.sampled_from([(0.0, 0.0), (0.3, 0.0), (0.0, 0.4), (0.2, 0.3)])
few = settings(max_examples=8, deadline=None, derandomize=True)


@few
@given(channels=st.integers(1, 20), data=st.data(), stalls=STALLS, depth=st.integers(2, 6))
def test_rechunk(channels, data, stalls, depth):
    lanes = data.draw(st.integers(1, channels))
    rechunk.test_narrow(channels, lanes, *stalls, 0, depth)
    rechunk.test_widen(channels, lanes, *stalls, 0)


def draw_geometry(data, *, pool):
    """Shape, kernel, stride and padding that fit each other."""
    shape = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5)))
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    edges = [st.integers(0, kernel[side % 2] - 1) for side in range(4)]
    padding = data.draw(st.tuples(*edges))
    if pool:
        layer = MaxPool(name="pool", kernel=kernel, stride=stride, padding=padding)
        try:
            Network(name="net", input=Tensor(shape, "uint8"), layers=(layer,))
        except InputError:
            assume(False)
    assume(min(Geometry(shape=shape, kernel=kernel, stride=stride, padding=padding).out) >= 1)
    return shape, kernel, stride, padding


@few
@given(data=st.data(), stalls=STALLS)
def test_window(data, stalls):
    geometry = draw_geometry(data, pool=False)
    channels = geometry[0][2]
    lanes = data.draw(st.integers(1, channels))
    gap, stall = stalls
    window.run(*geometry, lanes, -(-channels // lanes), count=2, gap=gap, stall=stall, seed=1)


@few
@given(data=st.data(), stalls=STALLS, dtype=st.sampled_from(["uint8", "int8"]))
def test_max_pool(data, stalls, dtype):
    geometry = draw_geometry(data, pool=True)
    lanes = data.draw(st.integers(1, geometry[0][2]))
    gap, stall = stalls
    if gap or stall:
        max_pool.run(*geometry, lanes, dtype, count=2, gap=gap, stall=stall, seed=1)
    else:
        max_pool.test_full_rate(*geometry, lanes, dtype)


@few
@given(data=st.data(), stalls=STALLS, dtype=st.sampled_from(["uint8", "int8"]))
def test_average_pool(data, stalls, dtype):
    shape, *rest = draw_geometry(data, pool=True)
    lanes = data.draw(st.integers(1, shape[2]))
    gap, stall = stalls
    average_pool.windows((shape, *rest, lanes), dtype, count=3, gap=gap, stall=stall, seed=1)
    average_pool.whole((shape, lanes), dtype, count=3, gap=gap, stall=stall, seed=1)


@few
@given(channels=st.integers(1, 40), data=st.data(), stalls=STALLS)
def test_densify(channels, data, stalls):
    winners = data.draw(st.integers(1, channels))
    pairs = data.draw(st.integers(1, winners))
    lanes = 1 << data.draw(st.integers(0, 3))
    if stalls == (0.0, 0.0):
        densify.test_full_rate(channels, winners, pairs, lanes)
    else:
        densify.run(channels, winners, pairs, lanes, count=4, gap=stalls[0], stall=stalls[1], seed=1)


@few
@given(channels=st.integers(1, 24), data=st.data(), stalls=STALLS)
def test_local_kwta(channels, data, stalls):
    winners = data.draw(st.integers(1, channels))
    beats = -(-channels // data.draw(st.sampled_from(beat_lanes(channels))))
    local_kwta.test_winners(channels, winners, beats, data.draw(st.integers(1, winners)), *stalls)


@few
@given(features=st.integers(1, 60), data=st.data(), stalls=STALLS)
def test_global_kwta(features, data, stalls):
    winners, lanes = data.draw(st.integers(1, features)), data.draw(st.integers(1, min(features, 8)))
    if stalls == (0.0, 0.0):
        global_kwta.test_cycles_are_those_stated_whatever_the_data(features, winners, lanes)
    else:
        global_kwta.test_winners(features, winners, lanes, *stalls)


@few
@given(
    values=st.integers(1, 40), lanes=st.integers(1, 9), dtype=st.sampled_from(["uint8", "int8", "int32"]), stalls=STALLS
)
def test_argmax(values, lanes, dtype, stalls):
    argmax.test_argmax(values, lanes, dtype, *stalls)


@few
@given(channels=st.integers(1, 14), data=st.data(), pauses=STALLS)
def test_reorder(channels, data, pauses):
    columns = data.draw(st.integers(1, channels))
    depth = -(-channels // columns) + data.draw(st.integers(0, 2))
    slots, lanes = data.draw(st.integers(1, 4)), data.draw(st.integers(1, channels))
    reorder.run(channels, columns, depth, slots, lanes, count=5, wait=pauses[0], stall=pauses[1])


@few
@given(seed=st.integers(0, 10_000), stalls=STALLS)
def test_multiply_constants(seed, stalls):
    rng, channels, matrix = constants.random_matrix(seed)
    bias = rng.integers(-2000, 2000, len(matrix))
    constants.run(matrix, bias, channels=channels, gap=stalls[0], stall=stalls[1], seed=seed)


@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(100, 100_000), slower=st.sampled_from([1, 2, 5, 30]), stalls=STALLS)
def test_engines_as_planned(make, seed, slower, stalls):
    """Lanes, their engines and spanning kernels as the planner folds them, at several numbers of cycles."""
    network = make(seed)
    plan = make_plan(network, limits=LIMITS)
    if slower > 1:
        plan = make_plan(network, limits=LIMITS, cycles=slower * plan.cycles_per_word)
    words = random_words(network, 3, seed)
    result = run_stream(
        Warmed(plan), beats_in(plan, words), 3 * plan.output_beats, gap=stalls[0], stall=stalls[1], seed=seed
    )
    np.testing.assert_array_equal(words_out(plan, result.outputs, 3), run_dense(network, words))

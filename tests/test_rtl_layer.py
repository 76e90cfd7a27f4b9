"""Whole kernels in Amaranth's simulator: the planned stages against the plain golden model.

Values must be equal in every bit, the interval and the latency the very numbers that the plan states.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import LIMITS, Warmed, beats_in, random_chain, random_convolution, random_linear, random_words, words_out
from slow import quick_first
from stream_harness import run_stream

from cs_hdl.errors import InputError
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense
from cs_hdl.models import find_model
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.timing import INPUT_LATENCY, OUTPUT_LATENCY, REPORT_LATENCY

MODES = [None, "sparse-dense", "dense"]


def planned(network, *, slower, mode):
    """A plan at a multiple of the fewest cycles; without the mode where the network does not allow it."""
    try:
        fewest = make_plan(network, limits=LIMITS, mode=mode)
    except InputError:
        mode, fewest = None, make_plan(network, limits=LIMITS)
    return make_plan(network, limits=LIMITS, cycles=fewest.cycles_per_word * slower, mode=mode)


def check(plan, *, count, gap=0.0, stall=0.0, disturb=0, seed=0):
    words = random_words(plan.network, count, seed)
    result = run_stream(
        Warmed(plan),
        beats_in(plan, words),
        count * plan.output_beats,
        seed=seed,
        gap=gap,
        stall=stall,
        disturb=disturb,
        patience=4 * plan.latency_cycles + 4000,
    )
    np.testing.assert_array_equal(words_out(plan, result.outputs, count), run_dense(plan.network, words))
    return result


def check_speed(plan):
    """Six words back to back, after a first one alone that gives the latency."""
    alone = check(plan, count=1)
    latency = alone.out_cycles[-1] - alone.in_cycles[0]
    # The output border gives the last beat when the whole word is in, even if its end does not count.
    assert max(latency, plan.input_beats - 1 + REPORT_LATENCY) == plan.latency_cycles - INPUT_LATENCY - OUTPUT_LATENCY
    result = check(plan, count=7)
    ends = result.out_cycles[plan.output_beats - 1 :: plan.output_beats]
    # The last word is pushed out by empty steps, which may bring it earlier; the first two settle.
    assert np.diff(ends)[2:-1].tolist() == [plan.cycles_per_word] * 3


@pytest.mark.parametrize("seed", quick_first(range(18), 7))
def test_convolution_at_full_rate(seed):
    check_speed(planned(random_convolution(seed), slower=(1, 2, 5, 20)[seed % 4], mode=MODES[seed % 3]))


@pytest.mark.parametrize("seed", quick_first(range(18), 7))
def test_linear_at_full_rate(seed):
    check_speed(planned(random_linear(seed), slower=(1, 2, 5, 20)[seed % 4], mode=MODES[seed % 3]))


@pytest.mark.parametrize("seed", range(7))
def test_several_layers_at_full_rate(seed):
    check_speed(planned(random_chain(seed), slower=(1, 3)[seed % 2], mode=MODES[seed % 3]))


@pytest.mark.parametrize("seed", range(100, 106))
@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
def test_stalls_on_both_sides(make, seed):
    plan = planned(make(seed), slower=(1, 3, 10)[seed % 3], mode=MODES[seed % 3])
    check(plan, count=5, gap=0.15, stall=0.3, seed=seed)


@pytest.mark.parametrize("seed", range(200, 205))
@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
def test_a_reset_amid_a_word_leaves_nothing_behind(make, seed):
    plan = planned(make(seed), slower=2, mode=None)
    check(plan, count=4, stall=0.2, disturb=150, seed=seed)


def test_the_shipped_network():
    network = read_onnx(find_model("digits").path)
    plan = make_plan(network, limits=LIMITS, cycles=64)
    assert plan.cycles_per_word == 64
    check_speed(plan)


def test_the_shipped_network_with_stalls():
    plan = make_plan(read_onnx(Path(find_model("digits").path)), limits=LIMITS, cycles=64)
    check(plan, count=4, gap=0.1, stall=0.3)

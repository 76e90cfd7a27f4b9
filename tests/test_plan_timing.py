"""The times that the plan computes against those that the simulation measures, with a driver that waits."""

from __future__ import annotations

import numpy as np
import pytest
from networks import LIMITS, Warmed, beats_in, random_chain, random_convolution, random_linear, random_words
from stream_harness import run_stream

from cs_hdl.network import Conv2d, Network, Tensor
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.stages import GlobalKWTAStage
from cs_hdl.plan.timing import INPUT_LATENCY, OUTPUT_LATENCY, REPORT_LATENCY, measure, stage_times


def computed(plan, times):
    for stage in plan.stages:
        times = stage_times(plan, stage, times)
    return times


@pytest.mark.parametrize("seed", range(40, 47))
@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
def test_one_word_with_gaps(make, seed):
    fewest = make_plan(make(seed), limits=LIMITS).cycles_per_word
    plan = make_plan(make(seed), limits=LIMITS, cycles=fewest * (1, 3, 8)[seed % 3])
    inputs = beats_in(plan, random_words(plan.network, 1, seed))
    result = run_stream(Warmed(plan), inputs, plan.output_beats, seed=seed, gap=0.25)
    times = computed(plan, np.array(result.in_cycles))
    assert times[-1] == result.out_cycles[-1]
    assert len(times) == plan.output_beats and (np.diff(times) >= 1).all()
    # Of a global k-WTA's beats only the last has a fixed time.
    if not any(isinstance(stage, GlobalKWTAStage) for stage in plan.stages):
        assert times.tolist() == result.out_cycles


@pytest.mark.parametrize("make", [random_convolution, random_linear])
def test_latency_is_from_border_to_border(make):
    plan = make_plan(make(3), limits=LIMITS)
    last = computed(plan, np.arange(plan.input_beats) + INPUT_LATENCY)[-1]
    assert plan.latency_cycles == last + OUTPUT_LATENCY
    assert last >= plan.input_beats - 1 + INPUT_LATENCY
    again = measure(plan)
    assert (again.latency_cycles, again.words_in_flight) == (plan.latency_cycles, plan.words_in_flight)


def test_the_last_beat_waits_for_the_whole_word():
    """Of 9 x 9 positions a kernel of 2 x 2 with a stride of 2 leaves the last row and column unread."""
    conv = Conv2d(
        name="conv",
        weights=np.ones((1, 1, 2, 2), dtype=np.int8),
        bias=np.zeros(1, dtype=np.int32),
        stride=(2, 2),
    )
    plan = make_plan(Network(name="net", input=Tensor((9, 9, 1), "uint8"), layers=(conv,)), limits=LIMITS)
    assert computed(plan, np.arange(plan.input_beats) + INPUT_LATENCY)[-1] < 81
    assert plan.latency_cycles == 81 + REPORT_LATENCY + OUTPUT_LATENCY


@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
@pytest.mark.parametrize("seed", range(6))
def test_later_beats_never_give_earlier_results(make, seed):
    plan = make_plan(make(seed), limits=LIMITS)
    times = np.arange(plan.input_beats)
    late = times + np.sort(np.random.default_rng(seed).integers(0, 30, len(times)))
    assert (computed(plan, late) >= computed(plan, times)).all()
    np.testing.assert_array_equal(computed(plan, times + 1000), computed(plan, times) + 1000)

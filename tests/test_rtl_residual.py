"""Residual blocks in Amaranth's simulator: fork and join alone, and planned networks against the golden model."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from networks import LIMITS, random_bias, sparse_weights
from residual_networks import random_residual
from slow import quick_first
from stream_harness import run_stream
from test_plan_timing import computed
from test_rtl_layer import check, check_speed

from cs_hdl.network import Conv2d, GlobalKWTA, Linear, Network, Requantise, Residual, ScaledSum, Tensor
from cs_hdl.plan.planner import make_plan
from cs_hdl.rtl.fork import Fork, Join
from cs_hdl.rtl.primitives.queue import Queue
from cs_hdl.rtl.streams import values_layout

MODES = [None, "sparse-dense", "dense"]
LAYOUT = values_layout("uint8", 1)


class Loop(wiring.Component):
    """Fork, queues of two depths, and join."""

    def __init__(self, first: int, second: int) -> None:
        self._depths = first, second
        self._join = Join(first=LAYOUT, second=LAYOUT)
        super().__init__({"i": In(stream.Signature(LAYOUT)), "o": Out(self._join.o.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fork = fork = Fork(LAYOUT)
        m.submodules.join = join = self._join
        connect(m, flipped(self.i), fork.i)
        for name, depth in zip(("first", "second"), self._depths, strict=True):
            queue = m.submodules[name] = Queue(layout=LAYOUT, depth=depth)
            connect(m, getattr(fork, name), queue.i)
            connect(m, queue.o, getattr(join, name))
        connect(m, join.o, flipped(self.o))
        return m


@pytest.mark.parametrize("depths", [(2, 2), (1, 5), (3, 1)])
@pytest.mark.parametrize("gap, stall, disturb", [(0.0, 0.0, 0), (0.3, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 33)])
def test_fork_and_join(depths, gap, stall, disturb):
    values = np.random.default_rng(0).integers(0, 256, 80).tolist()
    inputs = [{"values": [value]} for value in values]
    result = run_stream(Loop(*depths), inputs, 80, seed=2, gap=gap, stall=stall, disturb=disturb)
    assert result.outputs == [{"operand_0": item, "operand_1": item} for item in inputs]
    if not gap and not stall and min(depths) > 1:
        assert (np.array(result.out_cycles) - result.in_cycles).tolist() == [2] * 80


def planned(seed, slower):
    network = random_residual(seed)
    mode = MODES[seed % 3]
    fewest = make_plan(network, limits=LIMITS, mode=mode)
    return make_plan(network, limits=LIMITS, mode=mode, cycles=fewest.cycles_per_word * slower)


@pytest.mark.parametrize("seed", quick_first([3, 6, 10, 13, 16], 3))
def test_full_rate(seed):
    """Latency and cycles a word are the very numbers that the plan states."""
    check_speed(planned(seed, (1, 2, 5)[seed % 3]))


@pytest.mark.parametrize("seed", [2, 6, 11])
def test_stalls_on_both_sides(seed):
    check(planned(seed, 1), count=4, gap=0.15, stall=0.3, seed=seed)


@pytest.mark.parametrize("seed", [3, 10])
def test_a_reset_amid_a_word_leaves_nothing_behind(seed):
    check(planned(seed, 2), count=3, stall=0.2, disturb=150, seed=seed)


def deep_shortcut(*, swapped):
    """A body that sees one value at a time, a shortcut that sees nearly the whole word, or the other way round."""
    rng = np.random.default_rng(0)

    def conv(name, kernel):
        return Conv2d(
            name=name,
            weights=rng.integers(-9, 10, (2, 2, kernel, kernel)).astype(np.int8),
            bias=np.zeros(2, dtype=np.int32),
            padding=(kernel // 2,) * 4,
            requantise=Requantise(multiplier=np.array([1]), shift=np.array([6]), dtype="int8"),
        )

    branches = ((conv("small", 1),), (conv("large", 5),))
    body, shortcut = branches[::-1] if swapped else branches
    scale = ScaledSum(multipliers=(1, 3), shift=1, dtype="int8")
    layer = Residual(name="sum", body=body, shortcut=shortcut, scale=scale)
    return Network(name="deep", input=Tensor((5, 5, 2), "uint8"), layers=(layer,))


@pytest.mark.parametrize("swapped", quick_first([False, True], 1))
@pytest.mark.parametrize("mode", quick_first([None, "dense"], 1))
def test_whichever_branch_is_slower_the_other_waits(swapped, mode):
    plan = make_plan(deep_shortcut(swapped=swapped), limits=LIMITS, mode=mode)
    check_speed(plan)
    check(plan, count=3, gap=0.1, stall=0.4, seed=1)


@pytest.mark.parametrize("slower", [1, 3])
def test_a_global_k_wta_holds_whole_words_back(slower):
    """The shortcut's queue must take the words that the selection keeps."""
    rng = np.random.default_rng(2)
    scale = Requantise(multiplier=np.array([1]), shift=np.array([7]))
    linear = Linear(
        name="linear", weights=sparse_weights(rng, (24, 24), 0.3), bias=random_bias(rng, 24), requantise=scale
    )
    block = Residual(
        name="sum",
        body=(GlobalKWTA(name="winners", winners=5), linear),
        shortcut=(GlobalKWTA(name="others", winners=20),),
        scale=ScaledSum(multipliers=(1, 1), shift=1),
    )
    network = Network(name="linear", input=Tensor((1, 1, 24), "uint8"), layers=(block,))
    fewest = make_plan(network, limits=LIMITS)
    plan = make_plan(network, limits=LIMITS, cycles=fewest.cycles_per_word * slower)
    check_speed(plan)
    check(plan, count=5, gap=0.2, stall=0.3, seed=1)


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])
def test_later_beats_never_give_earlier_results(seed):
    plan = make_plan(random_residual(seed), limits=LIMITS)
    times = np.arange(plan.input_beats)
    late = times + np.sort(np.random.default_rng(seed).integers(0, 30, len(times)))
    assert (computed(plan, late) >= computed(plan, times)).all()
    np.testing.assert_array_equal(computed(plan, times + 1000), computed(plan, times) + 1000)

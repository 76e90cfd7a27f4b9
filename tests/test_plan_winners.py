"""Which way to a k-WTA the planner takes, that its cost is what synthesis made of it, and that its cycles are exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from networks import LIMITS, random_bias, random_scale, sparse_weights
from test_rtl_layer import check, check_speed

from cs_hdl.network import Conv2d, GlobalKWTA, Layer, LocalKWTA, Network, Tensor
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.select_cost import histogram_cost, sorting_cost, threshold_cost
from cs_hdl.plan.stages import GlobalKWTAStage, LocalKWTAStage, ThresholdKWTAStage
from cs_hdl.plan.winners import cheapest_way, ways

MEASURED = json.loads((Path(__file__).parent.parent / "docs" / "results" / "kwta.json").read_text())["components"]
WAYS = {
    "LocalKWTA": (LocalKWTAStage, sorting_cost),
    "GlobalKWTA": (GlobalKWTAStage, histogram_cost),
    "ThresholdKWTA": (ThresholdKWTAStage, threshold_cost),
}


@pytest.mark.parametrize("name", [name for name, entry in MEASURED.items() if entry["component"] in WAYS])
def test_cost_is_what_synthesis_made(name):
    entry = MEASURED[name]
    stage, cost = WAYS[entry["component"]]
    modelled = cost(stage(layer=0, cycles=0, **entry["parameters"]))
    assert modelled.lut == pytest.approx(entry["cells"]["comb"], rel=0.15)
    assert modelled.block_ram == entry["cells"].get("DP16KD", 0)


@pytest.mark.parametrize(
    "groups, features, winners, lanes, cycles, kind",
    [
        (196, 64, 8, 16, 800, LocalKWTAStage),  # the paper's second convolution: 4 cycles a position
        (1, 10, 2, 10, 1, LocalKWTAStage),  # a whole word at once
        (16, 512, 256, 4, 16 * 128, GlobalKWTAStage),  # too many winners to sort
        (1, 1500, 150, 2, 800, GlobalKWTAStage),
        (1, 1500, 150, 1, 4000, ThresholdKWTAStage),
        (196, 64, 8, 1, 196 * 160, ThresholdKWTAStage),
    ],
)
def test_the_cheapest_way_is_taken(groups, features, winners, lanes, cycles, kind):
    way = cheapest_way(layer=0, groups=groups, features=features, winners=winners, lanes=lanes, cycles=cycles)
    assert way is not None and type(way.stage) is kind and way.stage.cycles <= cycles
    others = ways(layer=0, groups=groups, features=features, winners=winners, lanes=lanes)
    assert way.cost.weight == min(other.cost.weight for other in others if other.stage.cycles <= cycles)


def test_more_cycles_let_fewer_values_be_compared_at_once():
    found = [
        cheapest_way(layer=0, groups=1, features=1500, winners=150, lanes=1, cycles=n) for n in (3100, 4600, 20000)
    ]
    assert [way.stage.scan for way in found] == [8, 4, 1]
    assert cheapest_way(layer=0, groups=1, features=1500, winners=150, lanes=1, cycles=1499) is None


def network(*, channels: int, winners: int, whole: bool, behind: bool) -> Network:
    """A convolution with a k-WTA behind it, local or over the whole, and perhaps another convolution that reads it."""
    rng = np.random.default_rng(channels)
    shape = (1, 1, 6) if whole else (3, 4, 2)
    first = Conv2d(
        name="first",
        weights=sparse_weights(rng, (channels, shape[2], 1, 1), 1.0),
        bias=random_bias(rng, channels),
        requantise=random_scale(rng, channels, "shift"),
    )
    select = (GlobalKWTA if whole else LocalKWTA)(name="k", winners=winners)
    size = 1 if whole else 2
    last = Conv2d(name="last", weights=sparse_weights(rng, (4, channels, size, size), 0.3), bias=random_bias(rng, 4))
    layers: tuple[Layer, ...] = (first, select, last) if behind else (first, select)
    return Network(name="net", input=Tensor(shape, "uint8"), layers=layers)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "channels, winners, whole, cycles, kind",
    [
        (12, 3, False, 12 * 12, LocalKWTAStage),
        (24, 12, False, 12 * 24, GlobalKWTAStage),
        (12, 3, False, 12 * 80, ThresholdKWTAStage),
        (12, 9, False, 12 * 300, ThresholdKWTAStage),
        (30, 11, True, 100, ThresholdKWTAStage),
    ],
)
def test_every_way_in_a_network(channels, winners, whole, cycles, kind, behind):
    plan = make_plan(
        network(channels=channels, winners=winners, whole=whole, behind=behind), limits=LIMITS, cycles=cycles
    )
    assert any(isinstance(stage, kind) for stage in plan.stages)
    check_speed(plan)
    check(plan, count=2, gap=0.2, stall=0.3, seed=channels)

"""The planner's cycles of the selecting components are what the components themselves state."""

from __future__ import annotations

import pytest

from cs_hdl.plan.select import argmax_latency, global_kwta_cycles, global_kwta_latency, local_kwta_latency
from cs_hdl.plan.stages import GlobalKWTAStage, LocalKWTAStage
from cs_hdl.rtl.argmax import ArgMax
from cs_hdl.rtl.global_kwta import GlobalKWTA
from cs_hdl.rtl.local_kwta import LocalKWTA


@pytest.mark.parametrize(
    "channels, winners, beats, pairs", [(1, 1, 1, 1), (30, 6, 4, 2), (64, 8, 4, 2), (7, 7, 2, 4), (16, 3, 8, 1)]
)
def test_local(channels, winners, beats, pairs):
    stage = LocalKWTAStage(layer=0, cycles=0, channels=channels, winners=winners, beats=beats, pairs=pairs)
    component = LocalKWTA(channels=channels, winners=winners, beats=beats, pairs=pairs)
    assert local_kwta_latency(stage) == component.latency


@pytest.mark.parametrize("lanes", [1, 2, 4, 7])
@pytest.mark.parametrize("features, winners", [(1, 1), (128, 25), (97, 97), (1500, 150)])
def test_global(features, winners, lanes):
    stage = GlobalKWTAStage(layer=0, cycles=0, features=features, winners=winners, lanes=lanes)
    component = GlobalKWTA(features=features, winners=winners, lanes=lanes)
    assert global_kwta_latency(stage) == component.latency
    assert global_kwta_cycles(features, lanes) == component.interval


@pytest.mark.parametrize("dtype", ["uint8", "int24"])
@pytest.mark.parametrize("values, lanes", [(1, 1), (10, 1), (10, 4), (10, 10), (300, 7)])
def test_argmax(values, lanes, dtype):
    component = ArgMax(values=values, lanes=lanes, dtype=dtype)
    assert argmax_latency(values=values, lanes=lanes, dtype=dtype) == component.latency

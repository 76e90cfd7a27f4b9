"""The front of throughput against area: nothing on it is beaten, and each device gets what the planner gives it."""

from __future__ import annotations

import json

import pytest
from networks import random_convolution, random_linear
from slow import quick_first

from cs_hdl.board.catalogue import known_devices
from cs_hdl.cli import run
from cs_hdl.plan.cost import Cost
from cs_hdl.plan.device_limits import DeviceLimits, fits
from cs_hdl.plan.front import FrontPoint, throughput_front
from cs_hdl.plan.planner import make_plan

SMALL = DeviceLimits(name="small", lut=4000, dsp=8, block_ram=12)
NOTHING = DeviceLimits(name="nothing", lut=10, dsp=0, block_ram=0)


@pytest.mark.parametrize("seed", quick_first(range(6), 3))
@pytest.mark.parametrize("make", [random_convolution, random_linear])
def test_the_front_holds_what_the_planner_finds(make, seed):
    network = make(seed)
    devices = (NOTHING, SMALL, *known_devices())
    front = throughput_front(network, devices=devices, points=8)
    assert front.points and [point.cycles for point in front.points] == sorted(point.cycles for point in front.points)
    for point in front.points:
        assert not any(other.beats(point) for other in front.points)
        plan = make_plan(
            network, limits=DeviceLimits(name="huge", lut=10**9, dsp=10**6, block_ram=10**6), cycles=point.cycles
        )
        assert plan.cycles_per_word <= point.cycles
    assert front.fastest[0] is None
    for limits, point in zip(devices, front.fastest, strict=True):
        if point is None:
            continue
        assert fits(point.cost, limits)
        # Packing in earnest may need a little more than the draft says.
        assert point.cycles <= make_plan(network, limits=limits).cycles_per_word
        assert any(best == point or best.beats(point) for best in front.points)
    assert front.fastest[-1] is not None


def test_a_point_beats_another_only_where_it_is_nowhere_worse():
    base = FrontPoint(cycles=10, cost=Cost(lut=100, dsp=4, block_ram=2))
    assert not base.beats(base)
    assert base.beats(FrontPoint(cycles=11, cost=base.cost))
    assert base.beats(FrontPoint(cycles=10, cost=Cost(lut=100, dsp=5, block_ram=2)))
    assert not base.beats(FrontPoint(cycles=11, cost=Cost(lut=100, dsp=3, block_ram=2)))


def test_the_command_shows_the_front_over_all_devices(tmp_path, capsys):
    options = [
        "--kernel",
        "3x3",
        "--in-channels",
        "8",
        "--out-channels",
        "8",
        "--input",
        "8x8",
        "--weight-sparsity",
        "0.5",
    ]
    assert run(["generate", "conv", *options, "--out", str(tmp_path / "d"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert run(["estimate", str(tmp_path / "d"), "--front", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [entry["device"] for entry in content["devices"]] == [limits.name for limits in known_devices()]
    (board,) = [entry for entry in content["devices"] if entry["device"] == "LFE5U-85F"]
    assert board["fastest"]["cycles_per_word"] == made["cycles_per_word"]
    for point in content["front"]:
        assert point["words_per_second"] == pytest.approx(
            content["clock_mhz"] * 1e6 / point["cycles_per_word"], abs=0.1
        )
    assert run(["estimate", str(tmp_path / "d"), "--front"]) == 0
    text = capsys.readouterr().out
    assert "smallest device" in text and "LFE5U-85F" in text

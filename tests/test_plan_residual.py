"""Residual blocks in the plan: saved without loss, reported by layer, queues as long as the other branch needs."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from networks import LIMITS, random_words
from residual_networks import random_residual

from cs_hdl.golden.dense import run_dense
from cs_hdl.golden.packed import run_packed
from cs_hdl.network import Tensor, load_network, save_network
from cs_hdl.plan.intake import least_taken, most_taken, queue_depth
from cs_hdl.plan.plan import load_plan, save_plan
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.residual import flat_stages, rechunk
from cs_hdl.plan.stages import NarrowStage, RescaleStage, WidenStage


@functools.cache
def planned(seed):
    return make_plan(random_residual(seed), limits=LIMITS)


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])
def test_plans_are_saved_without_loss(seed, tmp_path):
    plan = planned(seed)
    save_plan(plan, tmp_path / "one")
    loaded = load_plan(tmp_path / "one")
    for field in dataclasses.fields(plan):
        if field.name != "packed":
            assert getattr(loaded, field.name) == getattr(plan, field.name)
    assert (loaded.layers, loaded.warm_up_cycles) == (plan.layers, plan.warm_up_cycles)
    save_plan(loaded, tmp_path / "two")
    for name in ("network.npz", "packed.json", "plan.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])
def test_golden_models_agree(seed, tmp_path):
    """Packed and plain, and once more from the file."""
    network = planned(seed).network
    words = random_words(network, 3, seed)
    expected = run_dense(network, words)
    save_network(network, tmp_path / "n.npz")
    loaded = load_network(tmp_path / "n.npz")
    assert [layer.name for layer, _ in loaded.flat] == [layer.name for layer, _ in network.flat]
    np.testing.assert_array_equal(run_dense(loaded, words), expected)
    got = run_packed(planned(seed).packed, words)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])
def test_every_layer_is_reported_once(seed):
    plan = planned(seed)
    assert [report.name for report in plan.layers] == [layer.name for layer, _ in plan.network.flat]
    for report, (layer, tensor) in zip(plan.layers, plan.network.flat, strict=True):
        assert report.output == layer.output(tensor).shape
        assert report.cycles > 0 and report.cycles <= plan.cycles_per_word
        assert bool(report.macs_dense) == bool(report.engine)


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 6])
def test_a_beat_cannot_leave_before_what_it_is_made_of(seed):
    """``least_taken`` never exceeds ``most_taken``, and both rise with the beats."""
    for stage in flat_stages(planned(seed).stages):
        beats = np.arange(300)
        least, most = least_taken([stage], beats), most_taken([stage], beats)
        assert (np.diff(least) >= 0).all() and (np.diff(most) >= 0).all(), stage
        assert (least[1:] <= most[1:] + 1).all() and least[0] >= 1, stage


def test_queues_hold_what_the_other_branch_holds_back():
    narrow = NarrowStage(layer=0, cycles=10, channels=4, lanes=1, depth=50, dtype="uint8")
    widen = WidenStage(layer=0, cycles=10, channels=4, lanes=1, dtype="uint8")
    # Nothing beside 50 positions and a little: as many must find room.
    assert 50 <= queue_depth([], [widen, narrow], word=40) // 4 <= 60
    assert queue_depth([], [], word=40) <= 10


@pytest.mark.parametrize(
    ("channels", "have", "want", "kinds"),
    [
        (8, 4, 4, []),
        (8, 2, 4, [WidenStage]),
        (8, 4, 2, [NarrowStage]),
        (6, 2, 3, [WidenStage, NarrowStage]),
        (7, 4, 7, [WidenStage]),
        (7, 7, 4, [NarrowStage]),
        (7, 4, 2, [WidenStage, NarrowStage]),
        (1, 1, 1, []),
    ],
)
def test_beats_are_cut_anew(channels, have, want, kinds):
    branch = rechunk(Tensor((3, 5, channels), "int8"), layer=2, have=have, want=want)
    assert [type(stage) for stage in branch.stages] == kinds
    assert branch.lanes == want and all(stage.layer == 2 for stage in branch.stages)
    assert not any(isinstance(stage, RescaleStage) for stage in branch.stages)

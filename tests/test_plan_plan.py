"""The plan as an object: what it says about layers, and that it is saved without loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import LIMITS, random_chain, random_convolution, random_linear

from cs_hdl.errors import InputError
from cs_hdl.network import Conv2d, LocalKWTA, MaxPool, Network, Requantise, Tensor
from cs_hdl.plan.plan import load_plan, save_plan
from cs_hdl.plan.planner import make_plan
from cs_hdl.plan.stages import ConstantsStage, LanesStage


@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", [None, "dense"])
def test_plans_are_saved_without_loss(make, seed, mode, tmp_path):
    plan = make_plan(make(seed), limits=LIMITS, mode=mode)
    save_plan(plan, tmp_path / "one")
    loaded = load_plan(tmp_path / "one")
    for field in dataclasses.fields(plan):
        if field.name != "packed":
            assert getattr(loaded, field.name) == getattr(plan, field.name)
    assert [type(stage) for stage in loaded.stages] == [type(stage) for stage in plan.stages]
    assert loaded.layers == plan.layers
    assert loaded.warm_up_cycles == plan.warm_up_cycles
    save_plan(loaded, tmp_path / "two")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert set(files) - {"packed.npz"} == {"network.npz", "packed.json", "plan.json"}
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        '"plan"',
        "[1]",
        '{"format": 9}',
        '{"format": 1}',
        '{"format": 1, "stages": [3]}',
        '{"format": 1, "stages": [{"stage": "What"}]}',
        '{"format": 1, "stages": [{"stage": "PoolStage", "geometry": 5}]}',
        '{"format": 1, "stages": [{"stage": "LanesStage", "layer": 0, "cycles": 1, "lanes": {}}]}',
        '{"format": 1, "stages": [], "surprise": 1}',
    ],
)
def test_a_damaged_plan_is_refused(content, tmp_path):
    save_plan(make_plan(random_linear(2), limits=LIMITS), tmp_path)
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(InputError, match=r"plan\.json: .*generate (it|the design) again"):
        load_plan(tmp_path)


def test_a_missing_plan_is_refused(tmp_path):
    save_plan(make_plan(random_linear(2), limits=LIMITS), tmp_path)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(InputError, match=r"plan\.json: not a plan that cs-hdl saved"):
        load_plan(tmp_path)


def two_layers():
    """A k-WTA of 2 in 4 channels, a convolution with 5 of 16 weights in each of 3 kernels, a pool."""
    weights = np.zeros((3, 4, 2, 2), dtype=np.int8)
    for kernel in range(3):
        weights.reshape(3, -1)[kernel, kernel * 5 : kernel * 5 + 5] = 3
    conv = Conv2d(
        name="conv",
        weights=weights,
        bias=np.zeros(3, dtype=np.int32),
        requantise=Requantise(multiplier=np.array([1]), shift=np.array([4])),
    )
    layers = (LocalKWTA(name="front", winners=2), conv, MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)))
    return Network(name="net", input=Tensor((5, 5, 4), "uint8"), layers=layers)


def test_what_it_says_about_layers():
    plan = make_plan(two_layers(), limits=LIMITS)
    front, conv, pool = plan.layers
    assert [report.name for report in plan.layers] == ["front", "conv", "pool"]
    assert [report.kind for report in plan.layers] == ["LocalKWTA", "Conv2d", "MaxPool"]
    assert (front.output, front.winners) == ((5, 5, 4), 2)
    assert (front.mode, front.engine, front.sets, front.multipliers, front.macs_dense) == ("", "", 0, 0, 0)
    assert (conv.mode, conv.engine) == ("sparse-sparse", "lanes")
    assert (conv.sets, conv.set_bound, conv.kernels_per_set) == (1, 1, 3)
    assert (conv.weights, conv.nonzeros) == (48, 15)
    # 16 positions; of the 15 weights, half meet a winner.
    assert (conv.macs_dense, conv.macs_sparse) == (16 * 48, 16 * 15 // 2)
    (lanes,) = (stage.lanes for stage in plan.stages if isinstance(stage, LanesStage))
    assert (conv.multipliers, conv.constant_multipliers) == (lanes.multipliers, 0)
    assert conv.cycles == lanes.cycles and pool.output == (2, 2, 3)


def test_constants_are_counted_apart():
    network = dataclasses.replace(two_layers(), layers=two_layers().layers[1:])
    plan = make_plan(network, limits=LIMITS)
    conv = plan.layers[0]
    (windows,) = (stage.windows for stage in plan.stages if isinstance(stage, ConstantsStage))
    assert (conv.mode, conv.engine, windows) == ("sparse-dense", "constants", 2)
    assert (conv.multipliers, conv.constant_multipliers) == (0, 2 * 15)
    assert conv.macs_sparse == 16 * 15


@pytest.mark.parametrize("make", [random_convolution, random_linear, random_chain])
@pytest.mark.parametrize("seed", range(6))
def test_beats_hold_every_value(make, seed):
    plan = make_plan(make(seed), limits=LIMITS)
    network = plan.network
    for lanes, beats, tensor in (
        (plan.input_lanes, plan.input_beats, network.input),
        (plan.output_lanes, plan.output_beats, network.output),
    ):
        assert (beats - 1) * lanes < tensor.size <= beats * lanes
        # No beat is partly empty but a word's last: one holds a part of a position, or several of a row.
        whole = tensor.shape[2] % lanes == 0 or (lanes % tensor.shape[2] == 0 and tensor.shape[1:] != (1, 1))
        assert whole or tensor.size == tensor.shape[2]
        assert tensor.shape[1] * tensor.shape[2] % lanes == 0 or tensor.size == tensor.shape[2]
    assert plan.cycles_per_word >= max(plan.input_beats, plan.output_beats)
    assert plan.words_in_flight * plan.cycles_per_word > plan.latency_cycles

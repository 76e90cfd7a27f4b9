"""The shipped speech network: the structure that the paper's figures rest on, and what its random weights are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cs_hdl.combine.packed import combine
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense, run_layers
from cs_hdl.models import find_model
from cs_hdl.models.speech import speech_model
from cs_hdl.network import Network
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.planner import make_plan
from cs_hdl.simulate.simulate import random_words

ECP5_85 = DeviceLimits(name="LFE5U-85F", lut=83640, dsp=156, block_ram=208)


@pytest.fixture(scope="module")
def network() -> Network:
    return read_onnx(Path(find_model("gsc").path))


def test_the_file_is_what_the_command_writes() -> None:
    assert find_model("gsc").path.read_bytes() == speech_model()


def test_it_says_that_it_is_not_trained() -> None:
    assert "UNTRAINED" in find_model("gsc").summary


@pytest.mark.parametrize(
    "name, positions, nonzeros, kernels_per_set, sets",
    [("conv1", 25, 3, 8, 8), ("conv2", 1600, 100, 16, 4), ("linear1", 1600, 80, 20, 75), ("output", 1500, 1500, 1, 12)],
)
def test_weights_are_as_many_and_as_complementary_as_the_paper_s(
    network: Network, name: str, positions: int, nonzeros: int, kernels_per_set: int, sets: int
) -> None:
    layer, tensor = next((layer, tensor) for layer, tensor in network.weighted if layer.name == name)
    kernels = layer.kernels(tensor).reshape(layer.out_channels, -1)
    assert kernels.shape[1] == positions
    assert ((kernels != 0).sum(axis=1) == nonzeros).all()
    packed = combine(network).layers[name]
    assert (packed.kernels_per_set, len(packed.sets)) == (kernels_per_set, sets)


def test_activations_are_worth_computing(network: Network) -> None:
    """At least half of the winners are not zero, and under 5 % of the values stand at the end of their range."""
    results = run_layers(network, random_words(network, 20, seed=7)[2:])
    pairs: list[tuple[Any, Any]] = list(zip(network.layers, results, strict=True))
    selected = [(layer.winners, data) for layer, data in pairs if hasattr(layer, "winners")]
    assert [winners for winners, _ in selected] == [8, 8, 150]
    for winners, data in selected:
        groups = data.reshape(-1, data.shape[-1])
        assert (groups != 0).sum() >= 0.5 * winners * len(groups)
        assert (groups == 255).mean() < 0.05


def test_onnxruntime_gives_the_same(network: Network) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: test)")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    path = find_model("gsc").path
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    words = random_words(network, 4, seed=3)
    (scores,) = session.run(["scores"], {"image": words.transpose(0, 3, 1, 2).astype(np.float32) * 2.0**-8})
    sums = run_dense(network, words).reshape(len(words), -1)
    scale = scores / sums
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-6)


def test_the_planner_finds_800_cycles_on_one_ecp5_85(network: Network) -> None:
    plan = make_plan(network, limits=ECP5_85)
    assert plan.cycles_per_word <= 800
    assert plan.cycles_per_word == max(stage.cycles for stage in plan.stages)

"""The shipped models: what the registry says, and what their files really hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cs_hdl.datasets import load_digits_split
from cs_hdl.errors import InputError
from cs_hdl.models import find_model, models

RECORD = Path(__file__).parents[1] / "docs" / "results" / "digits-training.json"


def constants(name: str) -> dict[str, Any]:
    return {c.name: numpy_helper.to_array(c) for c in onnx.load(find_model(name).path).graph.initializer}


def record() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORD.read_text())
    return content


def test_registry() -> None:
    model = find_model("digits")
    assert model in models()
    assert [m.name for m in models()] == sorted(m.name for m in models())
    assert model.path.is_absolute() and model.path.is_file()
    assert (model.input.shape, model.input.dtype) == ((8, 8, 1), "uint8")
    assert (model.output.shape, model.output.dtype) == ((1, 1, 10), "float32")
    assert model.classes == tuple("0123456789")
    assert model.summary and "\n" not in model.summary


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'digit'.*digits"):
        find_model("digit")


@pytest.mark.parametrize(("layer", "kernels_per_set", "nonzeros"), [("conv", 5, 5), ("linear1", 16, 30)])
def test_digits_kernels_are_complementary(layer: str, kernels_per_set: int, nonzeros: int) -> None:
    weights = constants("digits")[f"{layer}_weight_quantized"]
    used = weights.reshape(len(weights), -1) != 0
    assert used.sum(axis=1).max() <= nonzeros and used.sum(axis=1).mean() > 0.9 * nonzeros
    assert 1 - used.mean() >= 0.8
    sets = used.reshape(-1, kernels_per_set, used.shape[1])
    assert sets.sum(axis=1).max() == 1, "two kernels of a set use one position"


def test_digits_is_in_the_form_that_was_promised() -> None:
    values = constants("digits")
    for name, value in values.items():
        if name.endswith("_weight_quantized"):
            assert value.dtype == np.int8 and value.min() >= -127
        elif name.endswith("_bias_quantized"):
            assert value.dtype == np.int32
        elif name.endswith("_scale"):
            assert value.shape == () and np.frexp(value)[0] == 0.5, f"{name} is not a power of two"
        elif name.endswith("_zero_point"):
            assert value.dtype == np.uint8 and value == 0
    assert int(values["kwta1_k"][0]) <= 0.2 * 30 and int(values["kwta2_k"][0]) <= 0.2 * 128


def test_digits_is_the_file_of_the_record() -> None:
    assert hashlib.sha256(find_model("digits").path.read_bytes()).hexdigest() == record()["shipped"]["sha256"]


def test_shipped_seed_was_chosen_on_the_validation_split() -> None:
    best = min(record()["seeds"], key=lambda s: (-s["integer_sparse"]["validation"], s["validation_loss"], s["seed"]))
    assert record()["shipped"]["seed"] == best["seed"]


@pytest.mark.parametrize("batch", [1, 359])
def test_digits_accuracy_on_the_test_split(batch: int) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: test)")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: digits)")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(find_model("digits").path), options, providers=["CPUExecutionProvider"])
    images, labels = load_digits_split("test")
    feed = images.transpose(0, 3, 1, 2).astype(np.float32)
    scores = np.concatenate(
        [session.run(["scores"], {"image": feed[i : i + batch]})[0] for i in range(0, len(feed), batch)]
    )
    accuracy = float(np.mean(scores.argmax(axis=1) == labels))
    assert accuracy == record()["shipped"]["accuracy"]["test"]
    assert accuracy >= 0.96


def test_digits_tiny_is_the_model_on_record() -> None:
    content = json.loads((RECORD.parent / "digits-tiny-training.json").read_text())
    model = find_model("digits-tiny")
    assert (model.input.shape, model.output.shape) == ((8, 8, 1), (1, 1, 10))
    assert hashlib.sha256(model.path.read_bytes()).hexdigest() == content["shipped"]["sha256"]
    for layer, kernels_per_set in (("conv", 4), ("output", 2)):
        weights = constants("digits-tiny")[f"{layer}_weight_quantized"]
        # Sets are interleaved: set i of s holds the kernels i, i + s, ...
        used = weights.reshape(kernels_per_set, -1, weights[0].size) != 0
        assert used.sum(axis=0).max() == 1, "two kernels of a set use one position"


def test_digits_tiny_is_as_accurate_as_its_record_says() -> None:
    from cs_hdl.frontend.onnx import read_onnx
    from cs_hdl.golden.dense import run_dense

    content = json.loads((RECORD.parent / "digits-tiny-training.json").read_text())
    network = read_onnx(find_model("digits-tiny").path)
    for split in ("validation", "test"):
        images, labels = load_digits_split(split)
        digits = run_dense(network, images).reshape(len(images), -1).argmax(axis=1)
        assert float(np.mean(digits == labels)) == content["shipped"]["accuracy"][split]

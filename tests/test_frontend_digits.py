"""The shipped digits model, as our reader and golden model see it, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import nchw, onnxruntime_output

import cs_hdl
from cs_hdl.frontend.onnx import read_onnx_model
from cs_hdl.golden.dense import run_dense, run_layers

MODEL = Path(cs_hdl.__file__).parent / "models" / "digits.onnx"


@pytest.fixture(scope="module")
def model():
    return read_onnx_model(MODEL)


@pytest.fixture(scope="module")
def images():
    pytest.importorskip("sklearn", reason="scikit-learn, which carries the images, is not installed")
    from cs_hdl.datasets.digits import load_digits_split

    return load_digits_split("test")


def test_structure(model):
    network = model.network
    assert [layer.kind for layer in network.layers] == [
        "Conv2d", "MaxPool", "LocalKWTA", "Linear", "GlobalKWTA", "Linear",
    ]  # fmt: skip
    assert network.input.shape == (8, 8, 1) and network.input.dtype == "uint8"
    assert network.output.shape == (1, 1, 10)
    assert [layer.requantise is None for layer in network.layers if hasattr(layer, "weights")] == [False, False, True]


def test_scores_equal_those_of_onnxruntime_in_every_bit(model, images):
    words, labels = images
    scores = run_dense(model.network, words)
    theirs = onnxruntime_output(MODEL, nchw(words).astype(np.float32) * np.float32(model.input_scale))
    assert np.array_equal(scores.reshape(len(words), 10) * model.output_scale, theirs)
    assert (scores.reshape(len(words), 10).argmax(axis=1) == labels).mean() >= 0.96


def test_activations_are_sparse_after_each_k_wta(model, images):
    for layer, result in zip(model.network.layers, run_layers(model.network, images[0]), strict=True):
        if layer.kind in ("LocalKWTA", "GlobalKWTA"):
            assert ((result > 0).sum(axis=3) <= layer.winners).all()
            assert layer.winners <= 0.2 * result.shape[3]

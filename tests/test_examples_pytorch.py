"""The example of a dense PyTorch model on its way to the chip, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cs_hdl.datasets.digits import load_digits_split
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "pytorch" / "dense_to_sparse.py"


def test_a_dense_model_becomes_a_sparse_one_in_integers(tmp_path: Path) -> None:
    model = tmp_path / "digits-fitted.onnx"
    ran = subprocess.run([sys.executable, str(EXAMPLE), str(model)], capture_output=True, text=True, check=True)
    told = {name: float(share.rstrip("%")) for name, share in (line.split(": ") for line in ran.stdout.splitlines())}
    assert list(told) == ["dense", "the largest weights", "fitted", "trained on", "in 8 bits"]
    assert told["fitted"] > told["the largest weights"] + 40
    assert told["in 8 bits"] > told["dense"] - 4
    network = read_onnx(model)
    weights = {layer.name: layer.weights.reshape(len(layer.weights), -1) for layer, _ in network.weighted}
    assert (weights["conv"] != 0).sum(axis=1).max() <= 3 and (weights["hidden"] != 0).sum(axis=1).max() <= 16
    images, labels = load_digits_split("test")
    scores = run_dense(network, images).reshape(len(labels), -1)
    assert 100 * np.mean(scores.argmax(axis=1) == labels) == pytest.approx(told["in 8 bits"], abs=0.01)

"""Trains the shipped `digits-tiny` model, for the smallest chips: ``python -m cs_hdl.torch.digits_tiny``.

The first layer of `digits` with half the channels, and the scores right behind it. Three seeds; the one with the best
validation accuracy of its integers is shipped (on a tie the lower seed), the test split is only reported. Writes,
below the root: ``cs_hdl/models/digits-tiny.onnx`` and ``docs/results/digits-tiny-training.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import nn

from cs_hdl.datasets import Split, load_digits_split
from cs_hdl.datasets.digits import CLASSES
from cs_hdl.errors import InputError, ResultError
from cs_hdl.files import write_aside
from cs_hdl.report.comparison import accuracy
from cs_hdl.report.oracle import run_onnxruntime
from cs_hdl.script import run_script
from cs_hdl.torch.digits_network import dense_network
from cs_hdl.torch.digits_seed import versions
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.onnx_export import to_onnx
from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale
from cs_hdl.torch.to_integer import integer_network
from cs_hdl.torch.training import Recipe, calibrate, fold_batch_norm, to_tensor, train
from cs_hdl.torch.winners import KWinners2d

__all__ = ["main", "tiny_network"]

COMMAND = "python -m cs_hdl.torch.digits_tiny"
SEEDS = (0, 1, 2)
CHANNELS, CHANNEL_WINNERS = 16, 4
#: Weights of each class: half of all inputs, so that two classes share a set.
OUTPUT_NONZEROS = CHANNELS * 4 * 4 // 2
#: Pixels are 0..16; training wants about 0..1.
_INPUT_EXPONENT = -4
_MASK_SEEDS = {"conv": 1, "output": 2}
_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_DENSE = Recipe(epochs=60, learning_rate=3e-3)
_SPARSE = Recipe(epochs=100, learning_rate=1e-2)
_QUANTISED = Recipe(epochs=25, learning_rate=2e-3)


def tiny_network() -> nn.Sequential:
    """Input float ``[batch, 1, 8, 8]`` of 0..16, output ``[batch, 10]``; the masks are the same for every seed."""
    pooled = CHANNELS * 4 * 4
    layers: list[tuple[str, nn.Module]] = [
        ("scale", PowerOfTwoScale(_INPUT_EXPONENT)),
        ("conv", ComplementaryConv2d(1, CHANNELS, 5, padding=2, nonzeros=5, seed=_MASK_SEEDS["conv"])),
        ("norm1", nn.BatchNorm2d(CHANNELS)),
        ("pool", nn.MaxPool2d(2)),
        ("requantise1", FakeQuantise("uint8")),
        ("kwta1", KWinners2d(CHANNELS, CHANNEL_WINNERS, boost_strength=0.0)),
        ("flatten", nn.Flatten()),
        ("output", ComplementaryLinear(pooled, CLASSES, nonzeros=OUTPUT_NONZEROS, seed=_MASK_SEEDS["output"])),
    ]
    return nn.Sequential(OrderedDict(layers))


def main(arguments: list[str] | None = None) -> int:
    """Train, choose, check against onnxruntime and write; returns the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train the shipped digits-tiny model from three seeds.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    root = parser.parse_args(arguments).root
    return run_script(COMMAND, lambda: _run(root))


def _run(root: Path) -> None:
    if not (root / "cs_hdl" / "models").is_dir():
        raise InputError(f"{root} is not the repository (cs_hdl/models is not there): go there, or give --root")
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    torch.use_deterministic_algorithms(True)
    candidates = []
    for seed in SEEDS:
        model = _train(seed)
        accuracies = {split: _accuracy(model, split) for split in _SPLITS}
        print(f"seed {seed}: {accuracies['validation']:.2%} on the validation split", file=sys.stderr)
        candidates.append((seed, accuracies, model))
    seed, accuracies, model = min(candidates, key=lambda entry: (-entry[1]["validation"], entry[0]))
    record = {
        "command": COMMAND,
        "versions": versions() | {"onnxruntime": onnxruntime.__version__},
        "recipes": {"dense": asdict(_DENSE), "sparse": asdict(_SPARSE), "quantised": asdict(_QUANTISED)},
        "seeds": [{"seed": seed, "accuracy": accuracies} for seed, accuracies, _ in candidates],
        "shipped": {
            "seed": seed,
            "selection": "highest integer validation accuracy; on a tie the lower seed",
            "accuracy": accuracies,
            "sha256": hashlib.sha256(model).hexdigest(),
        },
    }
    write_aside(root / "cs_hdl" / "models" / "digits-tiny.onnx", model)
    write_aside(root / "docs" / "results" / "digits-tiny-training.json", json.dumps(record, indent=2) + "\n")
    print(f"shipped: seed {seed}, {accuracies['test']:.2%} on the test split", file=sys.stderr)


def _train(seed: int) -> bytes:
    """The ONNX file of the integer network that ``seed`` gives."""
    pixels, digits = load_digits_split("train")
    images, labels = to_tensor(pixels), torch.from_numpy(digits)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        teacher = dense_network()
        train(teacher, images, labels, _DENSE, generator)
        model = tiny_network()
        train(model, images, labels, _SPARSE, generator, teacher=teacher)
        model = fold_batch_norm(model)
        calibrate(model, images)
        train(model, images, labels, _QUANTISED, generator, teacher=teacher)
    network = integer_network(model, name="digits-tiny", input_shape=(1, 8, 8))
    classes = [str(digit) for digit in range(CLASSES)]
    exported: Any = to_onnx(
        network,
        output_name="scores",
        outputs=CLASSES,
        summary="handwritten digits for the smallest chips: half the channels of digits, no hidden layer",
        metadata={"classes": classes, "dataset": "scikit-learn digits"},
    )
    return bytes(exported.SerializeToString(deterministic=True))


def _accuracy(model: bytes, split: Split) -> float:
    """Of the exported integers, as onnxruntime computes them."""
    images, labels = load_digits_split(split)
    scores = run_onnxruntime(model, images, input_scale=1.0)
    if len(scores) != len(labels):
        raise ResultError(f"onnxruntime gives {len(scores)} results for {len(labels)} images")
    return accuracy(scores, labels)


if __name__ == "__main__":
    sys.exit(main())

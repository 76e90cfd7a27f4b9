"""What sparsity costs on `digits`: ``python -m cs_hdl.torch.sweep_digits`` (or ``scripts/sweep-sparsity``).

Trains the network of `digits` for each number of weights a kernel and of winners, all points alike and without a
teacher, and measures the integers on the test split. Each trained point is kept under ``build/sweep-digits/``, so
that a run that was stopped goes on where it was. Writes, below the root: ``docs/results/digits-sparsity.json``
and the picture ``docs/digits-sparsity.svg``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cs_hdl.datasets import load_digits_split
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.report.comparison import accuracy
from cs_hdl.script import run_script, say
from cs_hdl.torch import integer
from cs_hdl.torch.digits_network import CHANNELS, FEATURES, sparse_network
from cs_hdl.torch.digits_seed import versions
from cs_hdl.torch.sweep_plot import sparsity_plot
from cs_hdl.torch.to_integer import integer_network
from cs_hdl.torch.training import Recipe, calibrate, fold_batch_norm, to_tensor, train

__all__ = ["POINTS", "Point", "main", "multiplications"]

COMMAND = "scripts/sweep-sparsity"
#: Of the shapes of `digits`: a 5x5 convolution over 8x8 pixels, pooled to 4x4, ten classes.
_POSITIONS, _POOLED, _CLASSES = 64, 16, 10
_FLOAT = Recipe(epochs=40, learning_rate=1e-2)
_QUANTISED = Recipe(epochs=8, learning_rate=2e-3)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Weights a kernel of both sparse layers, and winners behind them."""

    nonzeros: tuple[int, int]
    winners: tuple[int, int]

    @property
    def weight_sparsity(self) -> float:
        """Share of zeros in the hidden layer, which has nearly all weights."""
        return 1 - self.nonzeros[1] / (CHANNELS * _POOLED)

    @property
    def active(self) -> float:
        """Share of the channels that win."""
        return self.winners[0] / CHANNELS


_WEIGHTS = ((25, 480), (12, 120), (8, 60), (5, 30), (3, 15), (2, 8))
_WINNERS = ((CHANNELS, FEATURES), (12, 50), (6, 25), (3, 13))
POINTS = tuple(Point(nonzeros=n, winners=k) for k in _WINNERS for n in _WEIGHTS)


def multiplications(point: Point) -> int:
    """Products a word that neither a zero weight nor a loser saves; the input counts as dense, as in the manifest."""
    conv = _POSITIONS * CHANNELS * point.nonzeros[0]
    # Each active value of the pooled map meets the share of the weights that is there.
    linear = FEATURES * point.nonzeros[1] * point.winners[0] / CHANNELS
    return round(conv + linear + point.winners[1] * _CLASSES)


def main(arguments: list[str] | None = None) -> int:
    """Train every point and write; returns the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Accuracy against multiplications on digits.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each point (default: 1)")
    options = parser.parse_args(arguments)
    return run_script(COMMAND, lambda: _run(options.root, options.seeds))


def _run(root: Path, seeds: int) -> None:
    if seeds < 1:
        raise InputError("--seeds must be at least 1")
    if not (root / "docs" / "digits.md").is_file():
        raise InputError(f"{root} is not the repository: go there, or give --root")
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    points: list[dict[str, Any]] = []
    for index, point in enumerate(POINTS, start=1):
        accuracies = [_accuracy(point, seed, root / "build" / "sweep-digits") for seed in range(seeds)]
        points.append(
            asdict(point)
            | {
                "weight_sparsity": point.weight_sparsity,
                "multiplications": multiplications(point),
                "accuracy": accuracies,
            }
        )
        mean = np.mean([shares["test"] for shares in accuracies])
        say(f"{index} of {len(POINTS)}: {point}: {mean:.2%}")
    record = {
        "command": f"{COMMAND} --seeds {seeds}",
        "data": "scikit-learn digits, test split of 359 images, integers",
        "versions": versions(),
        "recipes": {"float": asdict(_FLOAT), "quantised": asdict(_QUANTISED)},
        "points": points,
    }
    write_aside(root / "docs" / "results" / "digits-sparsity.json", json.dumps(record, indent=1) + "\n")
    write_aside(root / "docs" / "digits-sparsity.svg", sparsity_plot(record))


def _accuracy(point: Point, seed: int, cache: Path) -> dict[str, float]:
    """Accuracies of the integers by split, from the cache where the same was trained before."""
    key = {"point": asdict(point), "seed": seed, "recipes": [asdict(_FLOAT), asdict(_QUANTISED)], "of": versions()}
    path = cache / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.json"
    try:
        found: dict[str, float] = json.loads(path.read_text())["accuracy"]
        return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    network = _train(point, seed)
    shares = {}
    for split in ("validation", "test"):
        images, labels = load_digits_split("test" if split == "test" else "validation")
        sums, _ = integer.evaluate(network, images.transpose(0, 3, 1, 2))
        shares[split] = accuracy(sums, labels)
    write_aside(path, json.dumps({"key": key, "accuracy": shares}))
    return shares


def _train(point: Point, seed: int) -> integer.IntegerNetwork:
    pixels, digits = load_digits_split("train")
    images, labels = to_tensor(pixels), torch.from_numpy(digits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        model = sparse_network(boost_strength=0.0, nonzeros=point.nonzeros, winners=point.winners)
        train(model, images, labels, _FLOAT, generator)
        model = fold_batch_norm(model)
        calibrate(model, images)
        train(model, images, labels, _QUANTISED, generator)
    return integer_network(model, name="digits", input_shape=(1, 8, 8))


if __name__ == "__main__":
    sys.exit(main())

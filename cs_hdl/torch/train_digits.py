"""Trains the shipped `digits` model: ``python -m cs_hdl.torch.train_digits`` (or ``scripts/train-digits``).

Five seeds, each cached under ``build/train-digits/``, so that a run that was stopped goes on where
it was. The model with the best validation accuracy of its integers is shipped (on a tie the lower
validation loss, then the lower seed); the test split is only reported. Writes, below the root:
``cs_hdl/models/digits.onnx``, ``docs/results/digits-training.json`` and the tables of ``docs/digits.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from cs_hdl.datasets import load_digits_split
from cs_hdl.datasets.digits import SPLIT_RULE
from cs_hdl.errors import InputError, ResultError
from cs_hdl.files import write_aside
from cs_hdl.report.comparison import accuracy
from cs_hdl.report.marked import put_between
from cs_hdl.report.oracle import run_onnxruntime
from cs_hdl.script import run_script, say, say_passing
from cs_hdl.torch.digits_seed import Configuration, SeedResult, digest, train_seed, versions

__all__ = ["main"]

COMMAND = "scripts/train-digits"
SEEDS = (0, 1, 2, 3, 4)
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_KINDS = {
    "float_sparse": "sparse, float",
    "integer_sparse": "**sparse, integer**",
    "dense_float": "dense with ReLU, float",
}


def main(arguments: list[str] | None = None) -> int:
    """Train, choose, check against onnxruntime and write; returns the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train the shipped digits model from five seeds.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    root = parser.parse_args(arguments).root
    return run_script(COMMAND, lambda: _run(root))


def _run(root: Path) -> None:
    page = root / "docs" / "digits.md"
    if not page.is_file():
        raise InputError(f"{root} is not the repository (docs/digits.md is not there): go there, or give --root")
    configuration, cache = Configuration(), root / "build" / "train-digits"
    results = []
    for seed in SEEDS:
        results.append(train_seed(seed, configuration, cache, _progress(seed)))
        share = results[-1].integer_sparse["validation"]
        say(f"seed {seed}: integer model {share:.2%} on the validation split")
    shipped = select(results)
    record = _record(configuration, results, shipped)
    _check_against_onnxruntime(shipped)
    write_aside(root / "cs_hdl" / "models" / "digits.onnx", shipped.model)
    write_aside(root / "docs" / "results" / "digits-training.json", json.dumps(record, indent=2) + "\n")
    figures = put_between(page.read_text(), _figures(record), marks=(BEGIN, END), name="docs/digits.md", what="figures")
    write_aside(page, figures)
    say(f"shipped: seed {shipped.seed}, {shipped.integer_sparse['test']:.2%} on the test split")


def _progress(seed: int) -> Any:
    def show(phase: str, epoch: int, epochs: int) -> None:
        say_passing(f"seed {seed}: {phase}, epoch {epoch} of {epochs}")

    return show


def select(results: list[SeedResult]) -> SeedResult:
    """The result to ship, chosen on the validation split alone."""
    return min(results, key=lambda r: (-r.integer_sparse["validation"], r.validation_loss, r.seed))


def _check_against_onnxruntime(result: SeedResult) -> None:
    for split, expected in result.integer_sparse.items():
        images, labels = load_digits_split(split)  # type: ignore[arg-type]
        share = accuracy(run_onnxruntime(result.model, images, input_scale=1.0), labels)
        if share != expected:
            raise ResultError(f"seed {result.seed}: {split} {expected:.4%}, but onnxruntime gives {share:.4%}")


def _record(configuration: Configuration, results: list[SeedResult], shipped: SeedResult) -> dict[str, Any]:
    seeds = [{key: value for key, value in vars(result).items() if key != "model"} for result in results]
    return {
        "command": COMMAND,
        "digest": digest(configuration),
        "versions": versions() | {"onnxruntime": onnxruntime.__version__},
        "configuration": asdict(configuration),
        "split": {
            "rule": "index % 5 is one of the remainders listed",
            "remainders": SPLIT_RULE,
            "images": {split: len(load_digits_split(split)[1]) for split in SPLIT_RULE},
        },
        "seeds": seeds,
        "summary": {kind: {split: _spread(results, kind, split) for split in SPLIT_RULE} for kind in _KINDS},
        "shipped": {
            "seed": shipped.seed,
            "selection": "highest integer validation accuracy; ties: lower validation loss, then lower seed",
            "accuracy": shipped.integer_sparse,
            "sha256": hashlib.sha256(shipped.model).hexdigest(),
            "layers": _layers(shipped.model),
        },
    }


def _spread(results: list[SeedResult], kind: str, split: str) -> dict[str, float]:
    values = [getattr(result, kind)[split] for result in results]
    deviation = statistics.stdev(values)
    return {"mean": statistics.mean(values), "stdev": deviation, "min": min(values), "max": max(values)}


def _layers(model: bytes) -> list[dict[str, Any]]:
    """Weights of each layer as they stand in the ONNX file: all, allowed by the mask, and really not 0."""
    layers = []
    for constant in onnx.load_from_string(model).graph.initializer:
        if constant.name.endswith("_weight_quantized"):
            weights = numpy_helper.to_array(constant)
            layers.append(
                {
                    "name": constant.name.removesuffix("_weight_quantized"),
                    "kernels": weights.shape[0],
                    "weights": weights.size,
                    "nonzero": int(np.count_nonzero(weights)),
                    "largest": int(np.abs(weights.astype(np.int64)).max()),
                }
            )
    return layers


def _figures(record: dict[str, Any]) -> str:
    lines = [
        f"| accuracy, {len(record['seeds'])} seeds | validation: mean ± deviation | test: mean ± deviation "
        "| test: lowest, highest |",
        "|---|---|---|---|",
    ]
    for kind, title in _KINDS.items():
        by_split = record["summary"][kind]
        cells = [f"{by_split[s]['mean']:.2%} ± {by_split[s]['stdev']:.2%}" for s in ("validation", "test")]
        lines.append(
            f"| {title} | {cells[0]} | {cells[1]} | {by_split['test']['min']:.2%}, {by_split['test']['max']:.2%} |"
        )
    shipped = record["shipped"]
    accuracy = shipped["accuracy"]
    lines += [
        "",
        f"Shipped: seed {shipped['seed']}, integer model: {accuracy['validation']:.2%} on the validation split, "
        f"**{accuracy['test']:.2%} on the test split** ({record['split']['images']['test']} images).",
        "",
        "| layer of the shipped model | kernels | weights | not 0 | sparsity |",
        "|---|---|---|---|---|",
    ]
    for layer in shipped["layers"]:
        sparsity = 1 - layer["nonzero"] / layer["weights"]
        cells = [str(layer[key]) for key in ("name", "kernels", "weights", "nonzero")]
        lines.append(f"| {' | '.join(cells)} | {sparsity:.2%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

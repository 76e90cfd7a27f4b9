"""Trains the paper's speech network: ``python -m cs_hdl.torch.train_speech FOLDER`` (or ``scripts/train-speech``).

Dense, sparse-dense and sparse-sparse networks for each seed, the dense one the teacher of the others; a checkpoint
after each epoch below ``build/train-speech/``, so that a run that was stopped goes on where it was. Every network is
exported to ONNX and its integers are measured by the golden model, as the hardware computes them. The sparse-sparse
network of the best integer validation accuracy (on a tie the lower seed) is shipped; the test split is only reported.
Seeds that the record has already, for the very same data and recipe, are not trained again; others may be trained at
the same time, each in a process of its own (``--jobs``).
Writes, below the root: ``cs_hdl/models/gsc-trained.onnx``, ``docs/results/speech-training.json`` and the tables of
``docs/speech.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from cs_hdl.datasets.speech_commands import CLASSES, SpeechSplit
from cs_hdl.errors import InputError, ResultError
from cs_hdl.files import write_aside
from cs_hdl.frontend.onnx import read_onnx_model
from cs_hdl.golden.dense import run_dense
from cs_hdl.report.comparison import accuracy
from cs_hdl.report.oracle import run_onnxruntime
from cs_hdl.script import run_script, say, say_passing
from cs_hdl.torch.onnx_export import to_onnx
from cs_hdl.torch.speech_data import MEASURED, Data, read_data
from cs_hdl.torch.speech_loop import SpeechRecipe
from cs_hdl.torch.speech_network import INPUT_SHAPE, VARIANTS, Variant
from cs_hdl.torch.speech_tables import with_tables
from cs_hdl.torch.speech_training import Training, float_accuracies, train_float, train_linear, train_quantised
from cs_hdl.torch.to_integer import integer_network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["main"]

COMMAND = "scripts/train-speech"
NAME = "gsc-trained"
#: What was measured of each network, by variant and seed.
Results = dict[tuple[Variant, int], dict[str, Any]]
_PACKAGES = ("torch", "numpy", "scipy", "onnx", "onnxruntime")


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, choose and write; returns the exit code."""
    recipe = SpeechRecipe()
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train the paper's speech network in three variants.")
    parser.add_argument("data", type=Path, help="a Speech Commands folder, or one that scripts/make-speech made")
    parser.add_argument("--seeds", type=int, default=2, help="so many, from 0 on (default: 2)")
    parser.add_argument("--epochs", type=int, default=recipe.float_epochs, help="in float (default: %(default)s)")
    parser.add_argument(
        "--winners-epochs", type=int, default=recipe.winners_epochs, help="sparse-sparse, float (default: %(default)s)"
    )
    parser.add_argument("--quantised-epochs", type=int, default=recipe.quantised_epochs, help="default: %(default)s")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="only these (default: all three)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="seeds at the same time (default: 1)")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    parser.add_argument("--cache", type=Path, help="where checkpoints go (default: build/train-speech in the root)")
    options = parser.parse_args(arguments)
    recipe = replace(
        recipe,
        float_epochs=options.epochs,
        winners_epochs=options.winners_epochs,
        quantised_epochs=options.quantised_epochs,
    )
    return run_script(COMMAND, lambda: _run(options, recipe))


def _run(options: argparse.Namespace, recipe: SpeechRecipe) -> None:
    root: Path = options.root
    counts = (options.seeds, options.jobs, options.epochs, options.winners_epochs, options.quantised_epochs)
    if min(counts) < 1:
        raise InputError("--seeds, --jobs, --epochs, --winners-epochs and --quantised-epochs must be at least 1")
    page = root / "docs" / "speech.md"
    if not page.is_file():
        raise InputError(f"{root} is not the repository (docs/speech.md is not there): go there, or give --root")
    cache = options.cache or root / "build" / "train-speech"
    data, name = read_data(options.data)
    synthetic = name.startswith("synthetic")
    source = "SYNTHETIC speech (eSpeak NG), not on recordings" if synthetic else f"the speech of {options.data.name}"
    model, record_file = root / "cs_hdl" / "models" / f"{NAME}.onnx", root / "docs" / "results" / "speech-training.json"
    known = _on_record(record_file, model, data.digest, recipe, options.seeds)
    work = []
    for seed in range(options.seeds):
        missing = tuple(variant for variant in options.variants if (variant, seed) not in known)
        if missing:
            work.append((missing, seed, data, recipe, cache, source))
        else:
            say(f"seed {seed}: on record")
    found = known | _trained(work, jobs=options.jobs)
    trained = {variant: [found[variant, seed] for seed in range(options.seeds)] for variant in options.variants}
    linear = train_linear(data, recipe, seed=0)
    candidates = trained.get("sparse-sparse", [])
    shipped = max(candidates, key=lambda result: (result["integer"]["validation"], -result["seed"]), default=None)
    # One that was on record already was shipped then: it was the best of fewer.
    content = b"" if shipped is None else shipped.get("model") or model.read_bytes()
    record = {
        "command": f"{COMMAND} {options.data.name} --seeds {options.seeds} --epochs {recipe.float_epochs} "
        f"--winners-epochs {recipe.winners_epochs} --quantised-epochs {recipe.quantised_epochs}"
        + ("" if set(options.variants) == set(VARIANTS) else f" --variants {' '.join(options.variants)}"),
        "data": {
            "name": options.data.name,
            "what": "synthetic speech (scripts/make-speech, eSpeak NG), not recordings"
            if synthetic
            else "Speech Commands folder",
            "made_by": _maker(options.data),
            "digest_of_features": data.digest,
            "clips": {split: len(getattr(data, split)[1]) for split in get_args(SpeechSplit)},
        },
        "versions": {package: version(package) for package in _PACKAGES},
        "recipe": asdict(recipe),
        "linear_classifier": float_accuracies(linear, data),
        "networks": {variant: [_without_model(result) for result in results] for variant, results in trained.items()},
        "summary": {variant: _summary(results) for variant, results in trained.items()},
        "shipped": shipped and {
            "selection": "sparse-sparse, highest integer validation accuracy; on a tie the lower seed",
            "seed": shipped["seed"],
            "accuracy": shipped["integer"],
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    }  # fmt: skip
    if shipped is not None:
        write_aside(model, content)
        say(f"shipped: seed {shipped['seed']}, {shipped['integer']['test']:.2%} on the test split")
    write_aside(record_file, json.dumps(record, indent=1) + "\n")
    write_aside(page, with_tables(page.read_text(), record))


def _on_record(path: Path, model: Path, digest: str, recipe: SpeechRecipe, seeds: int) -> Results:
    """What an earlier run measured on the features of ``digest`` with what of ``recipe`` concerns it; nothing where
    there was none.

    Nothing of sparse-sparse networks where ``model`` is not what was shipped, or of none of the ``seeds`` that are
    wanted now.
    """
    try:
        record = json.loads(path.read_text())
        if record["data"]["digest_of_features"] != digest:
            return {}
        shipped = record["shipped"]
        there = shipped is None or (
            shipped["seed"] < seeds and shipped["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
        )
        return {
            (variant, result["seed"]): result
            for variant, results in record["networks"].items()
            if (variant != "sparse-sparse" or there) and recipe.told(variant).items() <= record["recipe"].items()
            for result in results
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _trained(work: Sequence[tuple[Any, ...]], *, jobs: int) -> Results:
    """What :func:`_train_seed` gives for each of ``work``, ``jobs`` at a time."""
    if min(jobs, len(work)) <= 1:
        results = [_train_seed(*arguments) for arguments in work]
    else:
        # Not forked: PyTorch's threads would not be there.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin_process) as pool:
            try:
                results = list(pool.map(_train_seed, *zip(*work, strict=True)))
            except BrokenProcessPool:
                raise ResultError("a process that trained was ended; run it again to go on") from None
    return {key: result for found in results for key, result in found.items()}


def _begin_process() -> None:
    """Ctrl-C, and the end of the process that began this one, end it without a word; its checkpoints stay."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def end_with_parent() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _train_seed(
    variants: Sequence[Variant], seed: int, data: Data, recipe: SpeechRecipe, cache: Path, source: str
) -> Results:
    """The ``variants`` of one seed, trained and measured; the dense network is trained as the teacher in any case."""
    whole = Training(variant="dense", data=data, recipe=recipe, seed=seed, cache=cache, progress=_progress(seed))
    found: Results = {}
    dense = train_float(whole)
    for variant in variants:
        training = whole if variant == "dense" else replace(whole, variant=variant, teacher=dense)
        floating = dense if variant == "dense" else train_float(training)
        quantised = train_quantised(training, floating)
        found[variant, seed] = _measured(training, floating, quantised, source)
        say(f"seed {seed}, {variant}: integers {found[variant, seed]['integer']['validation']:.2%} on validation")
    return found


def _progress(seed: int) -> Any:
    begin = time.monotonic()

    def show(phase: str, epoch: int, epochs: int, loss: float) -> None:
        elapsed = time.monotonic() - begin
        say_passing(f"seed {seed}: {phase}, epoch {epoch} of {epochs}, loss {loss:.3f}, {elapsed:.0f} s")

    return show


def _measured(training: Training, floating: nn.Sequential, quantised: nn.Sequential, source: str) -> dict[str, Any]:
    """Accuracies (0..1) of float and integers by split, weights of each layer, and the ONNX file's bytes."""
    variant, seed, data = training.variant, training.seed, training.data
    network = integer_network(quantised, name=NAME, input_shape=INPUT_SHAPE)
    model = to_onnx(
        network,
        output_name="scores",
        outputs=len(CLASSES),
        summary=f"speech network of arXiv 2112.13896, {variant}, trained on {source}",
        metadata={"classes": list(CLASSES), "dataset": source},
    ).SerializeToString(deterministic=True)
    path = training.cache / f"{variant}-seed{seed}.onnx"
    write_aside(path, model)
    read = read_onnx_model(path)
    integers = {split: run_dense(read.network, getattr(data, split)[0]) for split in MEASURED}
    few = data.test[0][:64]
    theirs = run_onnxruntime(path, few, input_scale=read.input_scale)
    if not np.array_equal(theirs, integers["test"][:64].reshape(len(few), -1) * read.output_scale):
        raise ResultError(f"{path}: onnxruntime and the golden model differ")
    return {
        "seed": seed,
        "float": float_accuracies(floating, data),
        "integer": {split: accuracy(integers[split], getattr(data, split)[1]) for split in MEASURED},
        "layers": [
            {"name": layer.name, "kernels": layer.out_channels, "weights": int(layer.weights.size),
             "nonzero": int(np.count_nonzero(layer.weights))}
            for layer, _ in read.network.weighted
        ],
        "model": model,
    }  # fmt: skip


def _without_model(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "model"}


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation (None with a single seed) by kind and split."""

    def spread(values: list[float]) -> dict[str, float | None]:
        return {"mean": statistics.mean(values), "stdev": statistics.stdev(values) if len(values) > 1 else None}

    kinds = ("float", "integer")
    return {kind: {split: spread([r[kind][split] for r in results]) for split in MEASURED} for kind in kinds}


def _maker(folder: Path) -> Any:
    """What a synthetic set says of itself, its list of speakers apart."""
    try:
        record = json.loads((folder / "synthesis.json").read_text())
    except (OSError, ValueError):
        return None
    return {"command": record.get("command"), "recipe": record["recipe"], "speakers": len(record["speakers"])}


if __name__ == "__main__":
    sys.exit(main())

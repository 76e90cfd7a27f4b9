"""One training of the speech network: resumable after each epoch, deterministic by its seed."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cs_hdl.report.comparison import accuracy
from cs_hdl.torch.speech_data import MEASURED, Data, as_tensor, data_digest
from cs_hdl.torch.speech_loop import Loop, SpeechRecipe
from cs_hdl.torch.speech_network import Variant, begin_as, linear_classifier, speech_network
from cs_hdl.torch.training import calibrate, fold_batch_norm
from cs_hdl.torch.winners import narrow_winners

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["float_accuracies", "predict_in_batches", "train_float", "train_linear", "train_quantised"]

#: Changes with whatever changes the results, so that no checkpoint of other code is gone on with.
_VERSION = "2"
_PACKAGES = ("torch", "numpy")


@torch.no_grad()
def predict_in_batches(model: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scores ``[n, 12]`` in inference mode."""
    model.eval()
    device = next(model.parameters()).device
    parts = [model(batch.float().to(device)).cpu().numpy() for batch in as_tensor(images).split(128)]
    return np.concatenate(parts)


def float_accuracies(model: nn.Module, data: Data) -> dict[str, float]:
    """Accuracies (0..1) of ``model`` on the splits of :data:`MEASURED`."""
    splits = {split: getattr(data, split) for split in MEASURED}
    return {split: accuracy(predict_in_batches(model, x), y) for split, (x, y) in splits.items()}


def train_linear(data: Data, recipe: SpeechRecipe, *, seed: int) -> nn.Sequential:
    """The linear classifier on the same features, trained as the networks are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = linear_classifier()
        loop = Loop(model, data, recipe, learning_rate=recipe.learning_rate, epochs=recipe.float_epochs, seed=seed)
        while loop.epoch < loop.epochs:
            loop.run_epoch()
    return model


def train_float(
    variant: Variant,
    data: Data,
    recipe: SpeechRecipe,
    *,
    seed: int,
    cache: Path,
    progress: Callable[[str, int, int, float], None],
    teacher: nn.Sequential | None = None,
) -> nn.Sequential:
    """The network of ``variant`` in inference mode on the CPU.

    A checkpoint below ``cache`` is written after each epoch and gone on with where there is one of the same data,
    recipe, teacher and versions. ``progress`` is called with the phase, its epoch, its number of epochs and the mean
    loss. With a ``teacher``, a dense network, the network begins with what complementary masks can keep of its weights,
    and most of the loss is the distance to its scores.
    """
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        winners = variant == "sparse-sparse"
        model = speech_network(
            variant, boost_strength=recipe.boost_strength, gradient_leak=recipe.gradient_leak if winners else 0.0
        )
        epochs = recipe.winners_epochs if winners else recipe.float_epochs
        loop = Loop(
            model, data, recipe, learning_rate=recipe.learning_rate, epochs=epochs, seed=seed,
            narrowing_epochs=min(recipe.narrowing_epochs, epochs // 2), teacher=teacher,
        )  # fmt: skip
        path = _checkpoint("float", variant, data, recipe, seed=seed, cache=cache, teacher=teacher)
        if not loop.load(path) and teacher is not None:
            begin_as(model, teacher)
        _fit(loop, path, lambda *rest: progress(f"{variant}, float", *rest))
        narrow_winners(model, 1.0)
    return model.cpu().eval()


def train_quantised(
    floating: nn.Sequential,
    variant: Variant,
    data: Data,
    recipe: SpeechRecipe,
    *,
    seed: int,
    cache: Path,
    progress: Callable[[str, int, int, float], None],
    teacher: nn.Sequential | None = None,
) -> nn.Sequential:
    """What :func:`train_float` gave for the same arguments, its normalisation folded, with weights, biases and
    activations quantised, and trained on. The arguments, checkpoints and the result are as there."""
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        quantised = fold_batch_norm(_copy(floating, variant, recipe))
        clips = as_tensor(data.train[0][:: max(1, len(data.train[0]) // recipe.calibration_clips)]).float()
        calibrate(quantised, clips, quantile=1 - recipe.cut)
        loop = Loop(
            quantised, data, recipe,
            learning_rate=recipe.quantised_learning_rate, epochs=recipe.quantised_epochs, seed=seed + 1_000_000,
            teacher=teacher,
        )  # fmt: skip
        path = _checkpoint("quantised", variant, data, recipe, seed=seed, cache=cache, teacher=teacher)
        loop.load(path)
        _fit(loop, path, lambda *rest: progress(f"{variant}, quantised", *rest))
    return quantised.cpu().eval()


def _checkpoint(
    phase: str,
    variant: Variant,
    data: Data,
    recipe: SpeechRecipe,
    *,
    seed: int,
    cache: Path,
    teacher: nn.Sequential | None,
) -> Path:
    """Where the state of a training is kept: named by all that its results depend on."""
    told = recipe.told(variant)
    if teacher is not None:
        told |= {"teacher": _weights_digest(teacher), "begins": "as the teacher"}
    key = {
        "version": _VERSION, "variant": variant, "seed": seed, "recipe": told, "data": data_digest(data),
        "packages": {package: version(package) for package in _PACKAGES},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return cache / f"{variant}-seed{seed}-{digest}-{phase}.pt"


def _weights_digest(model: nn.Module) -> str:
    """SHA-256 over all that ``model`` computes with."""
    total = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        total.update(name.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()


def _copy(model: nn.Sequential, variant: Variant, recipe: SpeechRecipe) -> nn.Sequential:
    """A second network with the same weights, without boosting."""
    copy = speech_network(variant, gradient_leak=recipe.gradient_leak)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("boost_strength")}
    copy.load_state_dict(state, strict=False)
    return copy


def _fit(loop: Loop, path: Path, progress: Callable[[int, int, float], None]) -> None:
    while loop.epoch < loop.epochs:
        loss = loop.run_epoch()
        loop.save(path)
        progress(loop.epoch, loop.epochs, loss)

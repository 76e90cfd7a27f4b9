"""One training of the speech network: resumable after each epoch, deterministic by its seed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cs_hdl.report.comparison import accuracy
from cs_hdl.torch.speech_data import MEASURED, Data, as_tensor
from cs_hdl.torch.speech_loop import Loop, SpeechRecipe
from cs_hdl.torch.speech_network import Variant, begin_as, linear_classifier, speech_network
from cs_hdl.torch.training import calibrate, fold_batch_norm
from cs_hdl.torch.winners import narrow_winners

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Training", "float_accuracies", "predict_in_batches", "train_float", "train_linear", "train_quantised"]

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """What one training needs: which network, on what, how, and from which ``seed`` on.

    A checkpoint below ``cache`` is written after each epoch and gone on with where there is one of the same data,
    recipe, teacher and versions. ``progress`` is called with the phase, its epoch, its number of epochs and the mean
    loss. With a ``teacher``, a dense network, the network begins with what complementary masks can keep of its weights,
    and most of the loss is the distance to its scores.
    """

    variant: Variant
    data: Data
    recipe: SpeechRecipe
    seed: int
    cache: Path
    progress: Callable[[str, int, int, float], None]
    teacher: nn.Sequential | None = None

    def checkpoint(self, phase: str) -> Path:
        """Where the state of ``phase`` is kept: named by all that its results depend on."""
        told = self.recipe.told(self.variant, only_float=phase == "float")
        if self.teacher is not None:
            told |= {"teacher": _weights_digest(self.teacher), "begins": "as the teacher"}
        key = {
            "version": _VERSION, "variant": self.variant, "seed": self.seed, "recipe": told,
            "data": self.data.digest, "packages": {package: version(package) for package in _PACKAGES},
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return self.cache / f"{self.variant}-seed{self.seed}-{digest}-{phase}.pt"


def train_float(training: Training) -> nn.Sequential:
    """The network of ``training`` in inference mode on the CPU."""
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    recipe = training.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = speech_network(
            training.variant, boost_strength=recipe.boost_strength, gradient_leak=recipe.gradient_leak
        )
        epochs = recipe.winners_epochs if training.variant == "sparse-sparse" else recipe.float_epochs
        loop = Loop(
            model, training.data, recipe, learning_rate=recipe.learning_rate, epochs=epochs, seed=training.seed,
            narrowing_epochs=min(recipe.narrowing_epochs, epochs // 2), teacher=training.teacher,
        )  # fmt: skip
        path = training.checkpoint("float")
        if not loop.load(path) and training.teacher is not None:
            begin_as(model, training.teacher)
        _fit(loop, path, lambda *rest: training.progress(f"{training.variant}, float", *rest))
        narrow_winners(model, 1.0)
    return model.cpu().eval()


def train_quantised(training: Training, floating: nn.Sequential) -> nn.Sequential:
    """``floating``, which :func:`train_float` gave for the same ``training``, with its normalisation folded and with
    weights, biases and activations quantised, trained on; in inference mode on the CPU."""
    torch.set_num_threads(1)
    recipe, clips = training.recipe, training.data.train[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        quantised = fold_batch_norm(_copy(floating, training))
        some = as_tensor(clips[:: max(1, len(clips) // recipe.calibration_clips)]).float()
        calibrate(quantised, some, quantile=1 - recipe.cut)
        loop = Loop(
            quantised, training.data, recipe,
            learning_rate=recipe.quantised_learning_rate, epochs=recipe.quantised_epochs,
            seed=training.seed + 1_000_000, teacher=training.teacher,
        )  # fmt: skip
        path = training.checkpoint("quantised")
        loop.load(path)
        _fit(loop, path, lambda *rest: training.progress(f"{training.variant}, quantised", *rest))
    return quantised.cpu().eval()


def _weights_digest(model: nn.Module) -> str:
    """SHA-256 over all that ``model`` computes with."""
    total = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        total.update(name.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()


def _copy(model: nn.Sequential, training: Training) -> nn.Sequential:
    """A second network with the same weights, without boosting."""
    copy = speech_network(training.variant, gradient_leak=training.recipe.gradient_leak)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("boost_strength")}
    copy.load_state_dict(state, strict=False)
    return copy


def _fit(loop: Loop, path: Path, progress: Callable[[int, int, float], None]) -> None:
    while loop.epoch < loop.epochs:
        loss = loop.run_epoch()
        loop.save(path)
        progress(loop.epoch, loop.epochs, loss)

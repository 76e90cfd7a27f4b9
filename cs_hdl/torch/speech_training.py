"""One training of the speech network: resumable after each epoch, deterministic by its seed."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from cs_hdl.datasets.evaluation import load_labelled
from cs_hdl.datasets.speech_commands import SpeechSplit
from cs_hdl.files import write_aside
from cs_hdl.report.comparison import accuracy
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.speech_network import Variant, begin_as, linear_classifier, speech_network
from cs_hdl.torch.training import calibrate, fold_batch_norm, predict, taught_loss
from cs_hdl.torch.winners import narrow_winners, update_boost_strength

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "MEASURED",
    "Data",
    "Loop",
    "SpeechRecipe",
    "data_digest",
    "float_accuracies",
    "predict_in_batches",
    "read_data",
    "train_linear",
    "train_network",
]

#: Changes with whatever changes the results, so that no checkpoint of other code is gone on with.
_VERSION = "2"
_PACKAGES = ("torch", "numpy")
#: The splits that accuracies are told of.
MEASURED: tuple[SpeechSplit, ...] = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class SpeechRecipe:
    """How the networks are trained; all variants alike, but that sparse ones have a dense one as their teacher.

    The learning rate rises, then falls to 0 along a cosine.
    """

    float_epochs: int = 14
    quantised_epochs: int = 2
    learning_rate: float = 2.8e-3
    quantised_learning_rate: float = 4e-4
    batch_size: int = 64
    weight_decay: float = 1e-2
    boost_strength: float = 1.5
    #: Epochs in float in which the k-WTAs are narrowed from all of their units to k.
    narrowing_epochs: int = 4
    #: Softening of the teacher's scores, and the share of the loss that follows the teacher.
    temperature: float = 2.0
    distillation: float = 0.9
    #: The most that features are moved, in frames and in mel bands, and made louder or quieter (0..255).
    shift_frames: int = 3
    shift_bands: int = 1
    gain: float = 15.0
    #: Share of values beyond which a requantisation may cut off.
    cut: float = 1e-3
    calibration_clips: int = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Features uint8 ``[n, 32, 32, 1]`` and labels int64 ``[n]`` of each split."""

    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    validation: tuple[NDArray[np.uint8], NDArray[np.int64]]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_data(folder: Path) -> tuple[Data, str]:
    """The splits of a Speech Commands folder, and what the data are called. Errors as of load_labelled."""
    splits = {split: load_labelled(str(folder), split=split) for split in get_args(SpeechSplit)}
    return Data(**{split: (found.words, found.labels) for split, found in splits.items()}), splits["test"].name


def data_digest(data: Data) -> str:
    """SHA-256 over all features and labels."""
    total = hashlib.sha256()
    for images, labels in (data.train, data.validation, data.test):
        total.update(images.tobytes() + labels.tobytes())
    return total.hexdigest()


def as_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 ``[n, height, width, 1]`` as a tensor of bytes ``[n, 1, height, width]``."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


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


def train_network(
    variant: Variant,
    data: Data,
    recipe: SpeechRecipe,
    *,
    seed: int,
    cache: Path,
    progress: Callable[[str, int, int, float], None],
    teacher: nn.Sequential | None = None,
) -> tuple[nn.Sequential, nn.Sequential]:
    """(float, quantised) networks of ``variant``, each in inference mode on the CPU.

    A checkpoint below ``cache`` is written after each epoch and gone on with where there is one of the same data,
    recipe, teacher and versions. ``progress`` is called with the phase, its epoch, its number of epochs and the mean
    loss. With a ``teacher``, a dense network, the network begins with what complementary masks can keep of its weights,
    and most of the loss is the distance to its scores.
    """
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    told = asdict(recipe)
    if variant != "sparse-sparse":
        del told["narrowing_epochs"]  # there is nothing to narrow
    if teacher is None:
        del told["temperature"], told["distillation"]
    else:
        told["teacher"] = _weights_digest(teacher)
        told["begins"] = "as the teacher"
    key = {
        "version": _VERSION, "variant": variant, "seed": seed, "recipe": told, "data": data_digest(data),
        "packages": {package: version(package) for package in _PACKAGES},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    stem = cache / f"{variant}-seed{seed}-{digest}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = speech_network(variant, boost_strength=recipe.boost_strength)
        loop = Loop(
            model, data, recipe, learning_rate=recipe.learning_rate, epochs=recipe.float_epochs, seed=seed,
            narrowing_epochs=min(recipe.narrowing_epochs, recipe.float_epochs // 2), teacher=teacher,
        )  # fmt: skip
        path = stem.with_name(f"{stem.name}-float.pt")
        if not loop.load(path) and teacher is not None:
            begin_as(model, teacher)
        _fit(loop, path, lambda *rest: progress(f"{variant}, float", *rest))
        narrow_winners(model, 1.0)
        quantised = fold_batch_norm(_copy(model, variant))
        clips = as_tensor(data.train[0][:: max(1, len(data.train[0]) // recipe.calibration_clips)]).float()
        calibrate(quantised, clips, quantile=1 - recipe.cut)
        loop = Loop(
            quantised, data, recipe,
            learning_rate=recipe.quantised_learning_rate, epochs=recipe.quantised_epochs, seed=seed + 1_000_000,
            teacher=teacher,
        )  # fmt: skip
        path = stem.with_name(f"{stem.name}-quantised.pt")
        loop.load(path)
        _fit(loop, path, lambda *rest: progress(f"{variant}, quantised", *rest))
    return model.cpu().eval(), quantised.cpu().eval()


def _weights_digest(model: nn.Module) -> str:
    """SHA-256 over all that ``model`` computes with."""
    total = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        total.update(name.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()


def _copy(model: nn.Sequential, variant: Variant) -> nn.Sequential:
    """A second network with the same weights, without boosting."""
    copy = speech_network(variant)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("boost_strength")}
    copy.load_state_dict(state, strict=False)
    return copy


def _fit(loop: Loop, path: Path, progress: Callable[[int, int, float], None]) -> None:
    while loop.epoch < loop.epochs:
        loss = loop.run_epoch()
        loop.save(path)
        progress(loop.epoch, loop.epochs, loss)


class Loop:
    """The state of one training: model, optimiser, schedule, generator and the epochs done."""

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        recipe: SpeechRecipe,
        *,
        learning_rate: float,
        epochs: int,
        seed: int,
        narrowing_epochs: int = 0,
        teacher: nn.Module | None = None,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.teacher = None if teacher is None else teacher.to(self.device).eval()
        self.model = model.to(self.device)
        self.recipe, self.narrowing_epochs = recipe, narrowing_epochs
        self.images, self.labels = as_tensor(data.train[0]), torch.from_numpy(data.train[1])
        self.epoch, self.epochs = 0, epochs
        self.generator = torch.Generator().manual_seed(seed)
        groups = _parameter_groups(model, learning_rate)
        self.optimiser = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=recipe.weight_decay)
        steps = epochs * -(-len(self.labels) // recipe.batch_size)
        rates = [group["lr"] for group in groups]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, rates, max(1, steps), pct_start=0.15)

    def run_epoch(self) -> float:
        """Once over the training split; gives the mean loss."""
        self.model.train()
        if self.narrowing_epochs:
            narrow_winners(self.model, self.epoch / self.narrowing_epochs)
        order = torch.randperm(len(self.labels), generator=self.generator)
        total = 0.0
        for indices in order.split(self.recipe.batch_size):
            batch = _altered(self.images[indices], self.recipe, self.generator).to(self.device)
            target = self.labels[indices].to(self.device)
            scores = None if self.teacher is None else predict(self.teacher, batch)
            loss = taught_loss(self.model(batch), target, self.recipe, scores)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            total += float(loss.detach()) * len(indices)
        self.model.apply(update_boost_strength)
        self.epoch += 1
        return total / len(order)

    def save(self, path: Path) -> None:
        """All that going on needs."""
        buffer = io.BytesIO()
        state = {
            "epoch": self.epoch, "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(), "generator": self.generator.get_state(),
        }  # fmt: skip
        torch.save(state, buffer)
        write_aside(path, buffer.getvalue())

    def load(self, path: Path) -> bool:
        """Go on from ``path``, where there is a whole checkpoint; gives whether there is."""
        try:
            state = torch.load(path, weights_only=True, map_location=self.device)
        except Exception:  # absent or damaged: from the beginning
            return False
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"].cpu())
        self.epoch = int(state["epoch"])
        return True


def _parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """Sparse weights begin larger, for there are fewer of them: their steps are larger in the same proportion."""
    rates: dict[nn.Parameter, float] = {}
    for module in model.modules():
        if isinstance(module, ComplementaryConv2d | ComplementaryLinear):
            rates[module.weight] = learning_rate * math.sqrt(module.weight[0].numel() / module.nonzeros)
    return [{"params": [p], "lr": rates.get(p, learning_rate)} for p in model.parameters()]


def _altered(images: Tensor, recipe: SpeechRecipe, generator: torch.Generator) -> Tensor:
    """Float features, each moved in time and in pitch (its edge repeated) and made louder or quieter at random."""
    count, _, bands, frames = images.shape

    def moved(size: int, most: int) -> Tensor:
        by = torch.randint(-most, most + 1, (count, 1), generator=generator)
        return (torch.arange(size) + by).clamp(0, size - 1)

    rows, columns = moved(bands, recipe.shift_bands), moved(frames, recipe.shift_frames)
    batch = torch.arange(count)[:, None, None]
    shifted = images[:, 0][batch, rows[:, :, None], columns[:, None, :]].float()
    gain = (torch.rand((count, 1, 1), generator=generator) * 2 - 1) * recipe.gain
    return (shifted + gain).round().clamp(0, 255)[:, None]

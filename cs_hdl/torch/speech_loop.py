"""The loop of the speech network's training, which goes on where it was stopped, and the recipe that it follows."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cs_hdl.files import write_aside
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.speech_data import Data, as_tensor
from cs_hdl.torch.training import Teaching, predict, taught_loss
from cs_hdl.torch.winners import narrow_winners, update_boost_strength

if TYPE_CHECKING:
    from pathlib import Path

    from cs_hdl.torch.speech_network import Variant

__all__ = ["Loop", "SpeechRecipe"]


#: What of a recipe a training in float does not see: another try of the quantising need not begin before it.
_OF_QUANTISING = ("quantised_epochs", "quantised_learning_rate", "cut", "calibration_clips")


@dataclass(frozen=True, kw_only=True)
class SpeechRecipe(Teaching):
    """How the networks are trained; all variants alike, but that sparse ones have a dense one as their teacher, and
    that what concerns k-WTAs concerns only the one that has them.

    The learning rate rises, then falls to 0 along a cosine.
    """

    float_epochs: int = 14
    quantised_epochs: int = 10
    learning_rate: float = 2.8e-3
    quantised_learning_rate: float = 1e-3
    batch_size: int = 64
    weight_decay: float = 1e-2
    boost_strength: float = 1.5
    #: Epochs in float of the network with k-WTAs: it learns slower, and begins where the dense one ended.
    winners_epochs: int = 28
    #: Share of the gradient that reaches what a k-WTA set to 0.
    gradient_leak: float = 0.3
    #: Epochs in float in which the k-WTAs are narrowed from all of their units to k.
    narrowing_epochs: int = 4
    #: The most that features are moved, in frames and in mel bands, and made louder or quieter (0..255).
    shift_frames: int = 3
    shift_bands: int = 1
    gain: float = 15.0
    #: Share of values beyond which a requantisation may cut off.
    cut: float = 1e-3
    calibration_clips: int = 512

    def told(self, variant: Variant, *, only_float: bool = False) -> dict[str, Any]:
        """What of the recipe the results of ``variant`` (in float, if ``only_float``) depend on, by name."""
        told = asdict(self)
        if only_float:
            for name in _OF_QUANTISING:
                del told[name]
        if variant != "sparse-sparse":
            for name in ("narrowing_epochs", "winners_epochs", "gradient_leak"):
                del told[name]
        if variant == "dense":
            del told["temperature"], told["distillation"]
        return told


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

"""The training loop, calibration of the scales, and accuracy; everything random comes from one generator."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cs_hdl.errors import InputError
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale, covering_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Recipe", "Teaching", "calibrate", "fold_batch_norm", "predict", "taught_loss", "to_tensor", "train"]


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """Of a recipe: softening of the teacher's scores, and the share of the loss that follows the teacher."""

    temperature: float = 2.0
    distillation: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Recipe(Teaching):
    """How long and how hard to train; the learning rate falls to 0 along a cosine."""

    epochs: int
    learning_rate: float
    batch_size: int = 64
    weight_decay: float = 1e-4
    #: The most that an image is turned (radians), stretched or sheared (share) and moved (pixels).
    #: More than this hurts: the digits fill their 8x8 pixels, and a whole pixel's shift cuts strokes off.
    rotation: float = 0.12
    stretch: float = 0.06
    shift: float = 0.5


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 ``[n, height, width, channels]`` to float ``[n, channels, height, width]`` of the same values."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()


def _distorted(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each image turned, stretched, sheared and moved a little at random; zeros come in at the edges."""
    count, _, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle, shear = uniform(recipe.rotation), uniform(recipe.stretch)
    wide, high = 1 + uniform(recipe.stretch), 1 + uniform(recipe.stretch)
    # affine_grid counts from -1 to 1 across the image: a pixel is 2 / width.
    across, down = uniform(recipe.shift * 2 / width), uniform(recipe.shift * 2 / height)
    rows = [
        torch.stack([angle.cos() * wide, shear - angle.sin() * high, across], dim=1),
        torch.stack([angle.sin() * wide, angle.cos() * high, down], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def taught_loss(scores: Tensor, target: Tensor, recipe: Teaching, teacher_scores: Tensor | None) -> Tensor:
    """Cross-entropy with the labels; with a teacher, mostly with its scores at the recipe's temperature."""
    own = functional.cross_entropy(scores, target)
    if teacher_scores is None:
        return own
    softened = functional.softmax(teacher_scores / recipe.temperature, dim=1)
    # Softened gradients are smaller by the square of the temperature.
    taught = functional.cross_entropy(scores / recipe.temperature, softened) * recipe.temperature**2
    return recipe.distillation * taught + (1 - recipe.distillation) * own


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    *,
    teacher: nn.Module | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train ``model`` in place on images ``[n, 1, height, width]`` that are distorted anew in each epoch.

    With a ``teacher``, whose scores have the shape of the model's, most of the loss is the distance
    to the teacher's softened scores. ``progress`` is called with the epoch (from 1) and its mean loss.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = -(-len(images) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * steps)
    model.train()
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(images), generator=generator)
        seen, targets = _distorted(images[order], recipe, generator), labels[order]
        total = 0.0
        for batch, target in zip(seen.split(recipe.batch_size), targets.split(recipe.batch_size), strict=True):
            loss = taught_loss(model(batch), target, recipe, None if teacher is None else predict(teacher, batch))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(target)
        if progress is not None:
            progress(epoch, total / len(images))
    model.eval()


@torch.no_grad()
def fold_batch_norm(model: nn.Sequential) -> nn.Sequential:
    """``model`` without its batch normalisations, which its weights and biases take in (inference statistics).

    Each must follow a weight layer, or a max-pooling behind one (the largest stays the largest where it is
    multiplied by positive factors only). The layers keep their names, the weight layers are the same objects,
    changed in place. Raises InputError, naming the layer, where a normalisation cannot be folded.
    """
    kept: list[tuple[str, nn.Module]] = []
    for name, module in model.named_children():
        if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            kept.append((name, module))
            continue
        if module.running_mean is None or module.running_var is None:
            raise InputError(f"{name}: keeps no running statistics; make it with track_running_stats=True")
        pooled = bool(kept) and isinstance(kept[-1][1], nn.MaxPool2d)
        layer = kept[-2 if pooled else -1][1] if len(kept) > pooled else None
        if not isinstance(layer, ComplementaryConv2d | ComplementaryLinear) or layer.bias is None:
            raise InputError(f"{name}: batch normalisation must follow a complementary layer that has a bias")
        factor = torch.rsqrt(module.running_var + module.eps)
        offset = torch.zeros_like(factor)
        if module.affine:
            factor, offset = factor * module.weight, module.bias
        if pooled and bool((factor <= 0).any()):
            raise InputError(f"{name}: a factor that is not positive cannot move before the max-pooling {kept[-1][0]}")
        layer.weight.mul_(factor.reshape(-1, *(1,) * (layer.weight.ndim - 1)))
        layer.bias.copy_((layer.bias - module.running_mean) * factor + offset)
    return nn.Sequential(OrderedDict(kept))


@torch.no_grad()
def calibrate(
    model: nn.Sequential,
    images: Tensor,
    *,
    input_scale: float = 1.0,
    quantile: float = 0.9999,
    power_of_two: bool = True,
) -> None:
    """Fix all scales of ``model`` in place and switch its quantisation on, layer after layer.

    Weights: the finest scale that covers the largest. Activations: the finest that covers ``quantile`` of what
    ``images`` cause. ``power_of_two``: only such scales, which cost the hardware a shift each, and at which it
    computes what PyTorch does in every bit; with others the nearest M / 2**S of 16 bits multiplies instead. The
    input's integers stand for ``input_scale`` each.
    """
    model.eval()
    value, scale = images, input_scale
    for module in model:
        match module:
            case PowerOfTwoScale():
                scale *= 2.0**module.exponent
            case ComplementaryConv2d() | ComplementaryLinear():
                module.enable_quantisation(scale, power_of_two=power_of_two)
            case FakeQuantise():
                largest = float(np.quantile(value.clamp(min=0).cpu().numpy(), quantile))
                module.enable(covering_scale(largest, module.dtype, power_of_two=power_of_two))
                scale = module.number
        value = module(value)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Scores ``[n, classes]`` in inference mode."""
    model.eval()
    return model(images)

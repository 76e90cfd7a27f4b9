"""What imposed masks save against found ones: packing efficiency of both against the lower bound, and accuracy.

A network of one hidden layer is trained on the handwritten digits of scikit-learn, in NumPy: dense and then pruned by
magnitude (and trained on with that mask), with a complementary mask from the start, and with a random one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.combine.masks import complementary_masks, lower_bound
from cs_hdl.combine.pack import pack_kernels
from cs_hdl.combine.span import span_kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["SPARSITIES", "largest_of_each", "packing", "random_mask", "study_masks"]

SPARSITIES = (0.5, 0.75, 0.875, 0.9375)
_HIDDEN, _CLASSES = 128, 10
_EPOCHS, _BATCH, _RATE, _MOMENTUM = 20, 32, 0.05, 0.9
#: Shapes of real layers whose random masks are packed as well: kernels, positions.
_SHAPES = {"conv 3x3, 64->64": (64, 576), "conv 5x5, 64->64": (64, 1600), "linear 1600->1500": (1500, 1600)}
#: Multipliers a lane that kernels may span (see combine/span.py); what gives the fewest sets counts.
_COLUMNS = (1, 3, 7)


def study_masks(
    split: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    *,
    seeds: Sequence[int] = (1, 2, 3),
    progress: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """``split`` is training images, their labels, test images, their labels; images are flat."""
    train_x, train_y, test_x, test_y = split
    scale = float(train_x.max())
    data = (train_x / scale, train_y, test_x / scale, test_y)
    trained: dict[str, list[dict[str, Any]]] = {"dense": [], "imposed": [], "random": [], "pruned": []}
    positions = train_x.shape[1]
    for seed in seeds:
        progress(f"training, seed {seed}")
        whole = np.ones((_HIDDEN, positions), np.bool_)
        weights, share = _train(data, whole, seed)
        trained["dense"].append({"sparsity": 0.0, "seed": seed, "accuracy": share})
        for sparsity in SPARSITIES:
            count = max(1, round((1 - sparsity) * positions))
            masks = {
                "imposed": complementary_masks(kernels=_HIDDEN, positions=positions, nonzeros=count, seed=seed),
                "random": random_mask(_HIDDEN, positions, count, seed),
                "pruned": _largest(np.abs(weights[0]), count * _HIDDEN),
            }
            for kind, mask in masks.items():
                start = weights if kind == "pruned" else None
                _, share = _train(data, mask, seed, start=start)
                entry = {"sparsity": sparsity, "seed": seed, "accuracy": share, **packing(mask)}
                trained[kind].append(entry)
    packed = []
    for name, (kernels, size) in _SHAPES.items():
        for sparsity in SPARSITIES:
            progress(f"packing {name}, {sparsity:.2%}")
            count = max(1, round((1 - sparsity) * size))
            for kind, mask in (
                ("imposed", complementary_masks(kernels=kernels, positions=size, nonzeros=count, seed=1)),
                ("random", random_mask(kernels, size, count, 1)),
            ):
                packed.append({"layer": name, "kind": kind, "sparsity": sparsity, **packing(mask)})
    return {
        "network": f"{positions} -> {_HIDDEN} -> {_CLASSES}, masks on the hidden layer", "seeds": list(seeds),
        "trained": trained, "packed": packed,
    }  # fmt: skip


def packing(mask: Mask) -> dict[str, Any]:
    """Sets for whole kernels, for kernels that may span sets, and the fewest that any packing needs.

    Efficiency is the share of places that hold a weight.
    """
    sets, bound = pack_kernels(mask)
    assert bound == lower_bound(mask)
    spanned = [columns * turns for columns in _COLUMNS if (turns := _turns(mask, columns, bound)) is not None]
    least = min([len(sets), *spanned])
    full = int(mask.sum()) / mask.shape[1]
    return {
        "sets": len(sets), "spanning_sets": least, "bound": bound, "efficiency": round(full / len(sets), 4),
        "spanning_efficiency": round(full / least, 4), "bound_efficiency": round(full / bound, 4),
    }  # fmt: skip


def _turns(mask: Mask, columns: int, bound: int) -> int | None:
    """The fewest turns in which ``columns`` multipliers hold ``mask``, or None where three more than needed fail."""
    first = -(-bound // columns)
    return next((turns for turns in range(first, first + 4) if span_kernels(mask, columns=columns, turns=turns)), None)


def random_mask(kernels: int, positions: int, count: int, seed: int) -> Mask:
    """``count`` places for each kernel, any."""
    return largest_of_each(-np.random.default_rng([seed, 7]).random((kernels, positions)), count)


def largest_of_each(values: Floats, count: int) -> Mask:
    """The ``count`` largest of each kernel, of equal ones the first."""
    mask = np.zeros(values.shape, np.bool_)
    np.put_along_axis(mask, np.argsort(-values, axis=1, kind="stable")[:, :count], True, axis=1)
    return mask


def _largest(values: Floats, count: int) -> Mask:
    """The ``count`` largest of the whole layer."""
    mask = np.zeros(values.size, np.bool_)
    mask[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    return mask.reshape(values.shape)


def _train(
    data: tuple[NDArray[Any], ...], mask: Mask, seed: int, *, start: list[Floats] | None = None
) -> tuple[list[Floats], float]:
    """Stochastic gradient descent with momentum; absent weights stay 0. Gives the weights and the test accuracy."""
    images, labels, test_images, test_labels = data
    rng = np.random.default_rng([seed, 3])
    if start is None:
        fan = np.maximum(1, mask.sum(axis=1, keepdims=True))
        weights = [
            rng.standard_normal(mask.shape) * np.sqrt(2 / fan), np.zeros(_HIDDEN),
            rng.standard_normal((_CLASSES, _HIDDEN)) * np.sqrt(2 / _HIDDEN), np.zeros(_CLASSES),
        ]  # fmt: skip
    else:
        weights = [array.copy() for array in start]
    weights[0] *= mask
    speed = [np.zeros_like(array) for array in weights]
    wanted = np.eye(_CLASSES)[labels]
    for epoch in range(_EPOCHS):
        rate = _RATE * 0.9**epoch
        order = rng.permutation(len(images))
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            gradients = _gradients(weights, images[batch], wanted[batch])
            gradients[0] *= mask
            for array, velocity, gradient in zip(weights, speed, gradients, strict=True):
                velocity *= _MOMENTUM
                velocity -= rate * gradient
                array += velocity
    hidden = np.maximum(0, test_images @ weights[0].T + weights[1])
    found = (hidden @ weights[2].T + weights[3]).argmax(axis=1)
    return weights, round(float(np.mean(found == test_labels)), 4)


def _gradients(weights: list[Floats], images: Floats, wanted: Floats) -> list[Floats]:
    hidden = np.maximum(0, images @ weights[0].T + weights[1])
    scores = hidden @ weights[2].T + weights[3]
    share = np.exp(scores - scores.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    error = (share - wanted) / len(images)
    back = (error @ weights[2]) * (hidden > 0)
    return [back.T @ images, back.sum(axis=0), error.T @ hidden, error.sum(axis=0)]

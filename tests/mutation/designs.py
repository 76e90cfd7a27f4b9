"""The small designs that faults are planted in: each engine, selection and border is in one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from networks import LIMITS, random_bias, random_words, sparse_weights
from numpy.typing import NDArray

from cs_hdl.network import (
    ArgMax,
    Conv2d,
    GlobalKWTA,
    Layer,
    Linear,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Tensor,
)
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.planner import make_plan

__all__ = ["DESIGNS", "Design", "design_words"]

_FEW_VALUES = 12


@dataclass(frozen=True, kw_only=True)
class Design:
    """A network and how it is planned: in at most ``cycles`` a word, or in the fewest."""

    name: str
    network: Network
    mode: str | None = None
    cycles: int | None = None

    def plan(self) -> Plan:
        """The plan for an LFE5U-85F."""
        return make_plan(self.network, limits=LIMITS, cycles=self.cycles, mode=self.mode)


def design_words(network: Network, seed: int = 1) -> NDArray[Any]:
    """All of the largest, all of the smallest, few distinct values (ties), few non-zeros, and any.

    96 words, or 384 where a word is a few values.
    """
    many = 4 if network.input.size <= _FEW_VALUES else 1
    rng = np.random.default_rng(seed)
    low, high = (0, 255) if network.input.dtype == "uint8" else (-128, 127)
    shape = network.input.shape
    ends = np.stack([np.full(shape, high), np.full(shape, low)])
    ties = rng.integers(high - 2, high + 1, (8 * many, *shape)), rng.integers(0, 3, (8 * many, *shape))
    few = random_words(network, 18 * many, seed + 1) * (rng.random((18 * many, *shape)) < 0.2)
    words = random_words(network, 2 + 59 * many, seed)
    amplitudes = rng.integers(0, 6, (59 * many, *[1] * len(shape)))  # small values give results that are not clipped
    mixed = np.concatenate([*ties, few, words[2:] >> amplitudes])
    return np.concatenate([ends, words[:2], rng.permutation(mixed)])


def _scale(rng: np.random.Generator, channels: int, kind: str) -> Requantise | None:
    """Multipliers with zeros below: sums half-way between two results are not rare; the first is for large sums."""
    if kind == "none":
        return None
    count = channels if kind == "channel" else 1
    shift = rng.integers(17, 21, count)
    shift[0] += 2
    return Requantise(multiplier=rng.integers(1, 16, count) << 12, shift=shift)


def _weights(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> NDArray[np.int8]:
    """The first kernel's in the whole range, the others small: one more in a sum is then seen in a result."""
    weights = sparse_weights(rng, shape, density)
    weights[1:] //= 14
    return weights


def _conv(rng: np.random.Generator, shape: tuple[int, int, int, int], density: float, **options: Any) -> Conv2d:
    scale = _scale(rng, shape[0], options.pop("scale", "channel"))
    weights, bias = _weights(rng, shape, density), random_bias(rng, shape[0]) // 14
    return Conv2d(name="conv", weights=weights, bias=bias, requantise=scale, **options)


def _linear(rng: np.random.Generator, outputs: int, inputs: int, density: float, scale: str, name: str) -> Linear:
    weights, bias = _weights(rng, (outputs, inputs), density), random_bias(rng, outputs) // 14
    return Linear(name=name, weights=weights, bias=bias, requantise=_scale(rng, outputs, scale))


def _scores(rng: np.random.Generator, outputs: int, inputs: int) -> Linear:
    """Classes that are often equal: the last one is the first again, the second one nearly so."""
    weights = rng.integers(-3, 4, (outputs, inputs)).astype(np.int8)
    weights[-1] = weights[0]
    weights[1] = np.minimum(weights[0], 2)
    return Linear(name="scores", weights=weights, bias=np.zeros(outputs, dtype=np.int32))


def _network(name: str, shape: tuple[int, int, int], dtype: str, *layers: Layer) -> Network:
    return Network(name=name, input=Tensor(shape, dtype), layers=layers)


def _sparse_sparse() -> Design:
    """Two engines of lanes that select activations, several kernels a set and sets in turn, and a pool."""
    rng = np.random.default_rng(11)
    layers = (
        LocalKWTA(name="front", winners=2),
        _conv(rng, (7, 4, 2, 1), 0.3),
        MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)),
        LocalKWTA(name="kwta", winners=3),
    )
    return Design(name="sparse-sparse", network=_network("sparse", (3, 4, 4), "uint8", *layers), cycles=24)


def _constants() -> Design:
    """Adder graphs over a padded, strided window; signed input, several multipliers of scales."""
    rng = np.random.default_rng(12)
    conv = _conv(rng, (4, 2, 3, 2), 0.5, padding=(1, 0, 1, 1), stride=(1, 2))
    return Design(name="constants", network=_network("constants", (4, 5, 2), "int8", conv), mode="sparse-dense")


def _linear_chain() -> Design:
    """Histograms, winners only between two lanes of a linear layer, and scores."""
    rng = np.random.default_rng(13)
    layers = (
        GlobalKWTA(name="front", winners=4),
        _linear(rng, 20, 12, 0.4, "channel", "linear"),
        GlobalKWTA(name="kwta", winners=4),
        _scores(rng, 5, 20),
    )
    return Design(name="linear", network=_network("linear", (1, 1, 12), "uint8", *layers), cycles=24)


def _class() -> Design:
    """The place of the largest value, alone: behind layers it would hide most of what is wrong with them."""
    return Design(name="class", network=_network("class", (1, 1, 9), "int8", ArgMax(name="class")), cycles=3)


def _dense() -> Design:
    """Lanes without any selection, several kernels on one multiplier in turn, exact sums at the output."""
    rng = np.random.default_rng(14)
    conv = _conv(rng, (5, 3, 2, 2), 1, scale="none", padding=(0, 1, 0, 0))
    return Design(name="dense", network=_network("dense", (4, 4, 3), "uint8", conv), mode="dense", cycles=96)


def _winners() -> Design:
    """A global k-WTA whose winners are put back into their places at the output."""
    rng = np.random.default_rng(15)
    layers = (_linear(rng, 11, 6, 0.6, "layer", "linear"), GlobalKWTA(name="kwta", winners=7))
    return Design(name="winners", network=_network("winners", (1, 1, 6), "uint8", *layers), mode="sparse-dense")


DESIGNS: dict[str, Callable[[], Design]] = {
    "sparse-sparse": _sparse_sparse,
    "constants": _constants,
    "linear": _linear_chain,
    "class": _class,
    "dense": _dense,
    "winners": _winners,
}

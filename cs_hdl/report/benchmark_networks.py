"""Networks of the benchmark that the command line has no kernel for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.network import (
    ArgMax,
    AveragePool,
    Conv2d,
    GlobalKWTA,
    Layer,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Residual,
    ScaledSum,
    Tensor,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OWN_NETWORKS"]

_SIDE = 14


def _selection(layer: Layer, options: dict[str, Any]) -> Network:
    shape = (_SIDE, _SIDE, options["channels"]) if "channels" in options else (1, 1, options["features"])
    return Network(name=layer.name, input=Tensor(shape, "uint8"), layers=(layer,))


def _local(options: dict[str, Any]) -> Network:
    return _selection(LocalKWTA(name="winners", winners=options["winners"]), options)


def _global(options: dict[str, Any]) -> Network:
    return _selection(GlobalKWTA(name="winners", winners=options["winners"]), options)


def _argmax(options: dict[str, Any]) -> Network:
    return _selection(ArgMax(name="argmax"), options)


def _max_pool(options: dict[str, Any]) -> Network:
    """Windows that overlap, as ResNet's first pooling has them."""
    return _selection(MaxPool(name="pool", kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)), options)


def _random_weights(rng: np.random.Generator, shape: tuple[int, ...], sparsity: float) -> NDArray[np.int8]:
    """Weights where each is absent by itself with the probability ``sparsity``: no mask complements another."""
    values = rng.integers(1, 128, shape) * rng.choice((-1, 1), shape)
    return np.where(rng.random(shape) < sparsity, 0, values).astype(np.int8)


def _convolution(name: str, weights: NDArray[np.int8], *, stride: int = 1, dtype: str = "uint8") -> Conv2d:
    outs, kernel = weights.shape[0], weights.shape[2]
    return Conv2d(
        name=name,
        weights=weights,
        bias=np.zeros(outs, np.int32),
        stride=(stride, stride),
        padding=(kernel // 2,) * 4,
        requantise=Requantise(multiplier=np.array([1]), shift=np.array([9]), dtype=dtype),
    )


def _random_masks(options: dict[str, Any]) -> Network:
    """[k-WTA ->] a convolution whose masks are random, as pruning by magnitude leaves them."""
    channels, side = options["channels"], int(options["kernel"].split("x")[0])
    rng = np.random.default_rng(options.get("seed", 1))
    weights = _random_weights(rng, (channels, channels, side, side), options["weight_sparsity"])
    layers = (LocalKWTA(name="active_inputs", winners=options["winners"]), _convolution("conv", weights))
    return Network(name="random_masks", input=Tensor((_SIDE, _SIDE, channels), "uint8"), layers=layers)


def _residual(options: dict[str, Any]) -> Network:
    """Two blocks as ResNet has them, the second one with a stride, and a global average."""
    channels, size = options["channels"], options["size"]
    rng = np.random.default_rng(options.get("seed", 1))

    def weights(ins: int, outs: int, kernel: int) -> NDArray[np.int8]:
        return _random_weights(rng, (outs, ins, kernel, kernel), 0.9)

    def block(name: str, ins: int, outs: int, stride: int) -> Residual:
        body = (
            _convolution(f"{name}_1", weights(ins, outs, 3), stride=stride),
            _convolution(f"{name}_2", weights(outs, outs, 3), dtype="int8"),
        )
        change = (_convolution(f"{name}_s", weights(ins, outs, 1), stride=stride),) if stride > 1 else ()
        scale = ScaledSum(multipliers=(3, 2), shift=2, dtype="uint8", low=0, high=255)
        return Residual(name=name, body=body, shortcut=change, scale=scale)

    end = (size + 1) // 2
    average = AveragePool(
        name="average",
        kernel=(end, end),
        stride=(1, 1),
        scale=ScaledSum(multipliers=(round(2**16 / end**2),), shift=16, dtype="uint8", low=0, high=255),
    )
    pool = AveragePool(
        name="pool",
        kernel=(2, 2),
        stride=(1, 1),
        padding=(1, 0, 0, 1),
        scale=ScaledSum(multipliers=(1,), shift=2, dtype="uint8", low=0, high=255),
    )
    layers = (pool, block("first", channels, channels, 1), block("second", channels, 2 * channels, 2), average)
    return Network(name="residual", input=Tensor((size, size, channels), "uint8"), layers=layers)


#: By the name that an entry of the table gives as its model.
OWN_NETWORKS: dict[str, Callable[[dict[str, Any]], Network]] = {
    "local-kwta": _local,
    "global-kwta": _global,
    "argmax": _argmax,
    "max-pool": _max_pool,
    "random-masks": _random_masks,
    "residual": _residual,
}

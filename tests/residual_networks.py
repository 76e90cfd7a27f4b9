"""Small random networks with residual blocks, average pools and rescaled tensors."""

from __future__ import annotations

import numpy as np
from networks import random_bias, random_scale, sparse_weights

from cs_hdl.network import (
    AveragePool,
    Conv2d,
    Layer,
    Linear,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Rescale,
    Residual,
    ScaledSum,
    Tensor,
)


def random_sum(rng: np.random.Generator, operands: int, *, gain: float = 1.0) -> ScaledSum:
    """A scaled sum of any type, with powers of two or any multipliers, and now and then with limits."""
    dtype = str(rng.choice(["uint8", "int8"]))
    low, high = (0, 255) if dtype == "uint8" else (-128, 127)
    if rng.random() < 0.3:
        low, high = max(low, int(rng.integers(-100, 1))), int(rng.integers(20, high))
    if rng.random() < 0.5:
        multipliers = tuple(int(2 ** rng.integers(0, 3)) for _ in range(operands))
        shift = int(rng.integers(0, 4)) + max(0, round(-np.log2(gain)))
    else:
        multipliers = tuple(int(m) for m in rng.integers(1, 65536, operands))
        shift = 16 + max(0, round(-np.log2(gain)))
    return ScaledSum(multipliers=multipliers, shift=shift, dtype=dtype, low=low, high=high)


def signed_scale(rng: np.random.Generator, channels: int) -> Requantise:
    """A requantisation to either type."""
    scale = random_scale(rng, channels, str(rng.choice(["shift", "layer", "channel"])))
    assert scale is not None
    return Requantise(multiplier=scale.multiplier, shift=scale.shift, dtype=str(rng.choice(["uint8", "int8"])))


def conv(
    rng: np.random.Generator, name: str, ins: int, outs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> Conv2d:
    return Conv2d(
        name=name,
        weights=sparse_weights(rng, (outs, ins // groups, kernel, kernel), 0.4),
        bias=random_bias(rng, outs),
        stride=(stride, stride),
        padding=(kernel // 2,) * 4,
        groups=groups,
        requantise=signed_scale(rng, outs),
    )


def block(rng: np.random.Generator, name: str, tensor: Tensor, *, nested: bool = False) -> Residual:
    """A residual block over ``tensor``: of one or two convolutions, with or without a stride."""
    channels = tensor.shape[2]
    outs = int(rng.choice([2, 4, 6])) if rng.random() < 0.5 else channels
    stride = 2 if rng.random() < 0.4 and min(tensor.shape[:2]) > 1 else 1
    middle = int(rng.choice([2, 3, 8]))
    body: list[Layer] = [conv(rng, f"{name}_1", channels, middle, int(rng.choice([1, 3])), stride=stride)]
    if body[0].requantise.dtype == "uint8" and rng.random() < 0.4:
        body.append(LocalKWTA(name=f"{name}_k", winners=int(rng.integers(1, middle + 1))))
    elif rng.random() < 0.4:
        body.append(conv(rng, f"{name}_depthwise", middle, middle, 3, groups=middle))
    elif rng.random() < 0.3:
        body.append(Rescale(name=f"{name}_r", scale=random_sum(rng, 1)))
    if nested:
        inner = Tensor((0, 0, 0), "uint8")
        for layer in body:
            inner = layer.output(tensor if inner.shape == (0, 0, 0) else inner)
        body.append(block(rng, f"{name}_inner", inner))
        return Residual(
            name=name,
            body=tuple(body),
            shortcut=_matching(rng, name, tensor, body),
            scale=random_sum(rng, 2),
        )
    body.append(conv(rng, f"{name}_2", middle, outs, int(rng.choice([1, 3]))))
    shortcut: tuple[Layer, ...] = ()
    if outs != channels or stride > 1:
        shortcut = (conv(rng, f"{name}_s", channels, outs, 1, stride=stride),)
    elif rng.random() < 0.3:
        shortcut = (MaxPool(name=f"{name}_p", kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1)),)
    return Residual(name=name, body=tuple(body), shortcut=shortcut, scale=random_sum(rng, 2))


def _matching(rng: np.random.Generator, name: str, tensor: Tensor, body: list[Layer]) -> tuple[Layer, ...]:
    """A shortcut of one convolution whose result has the shape of the body's."""
    end = tensor
    for layer in body:
        end = layer.output(end.dense)
    if end.shape == tensor.shape:
        return ()
    stride = (-(-tensor.shape[0] // end.shape[0]), -(-tensor.shape[1] // end.shape[1]))
    layer = conv(rng, f"{name}_s", tensor.shape[2], end.shape[2], 1)
    return (Conv2d(
        name=layer.name, weights=layer.weights, bias=layer.bias, requantise=layer.requantise, stride=stride,
    ),)  # fmt: skip


def random_residual(seed: int) -> Network:
    """[k-WTA or convolution ->] one to two residual blocks [-> pool] [-> k-WTA or linear layer]."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 9, 2))
    channels = int(rng.choice([1, 2, 3, 4, 8]))
    tensor = Tensor((height, width, channels), "uint8" if rng.random() < 0.6 else "int8")
    layers: list[Layer] = []
    if tensor.dtype == "uint8" and rng.random() < 0.3:
        layers.append(LocalKWTA(name="front", winners=int(rng.integers(1, channels + 1))))
    elif rng.random() < 0.5:
        layers.append(conv(rng, "front", channels, int(rng.choice([2, 4, 8])), 3))

    def end() -> Tensor:
        return Network(name="n", input=tensor, layers=tuple(layers)).output if layers else tensor

    layers.append(block(rng, "block", end().dense, nested=bool(rng.random() < 0.2)))
    if rng.random() < 0.4:
        layers.append(block(rng, "second", end()))
    out = end()
    choice = rng.random()
    if choice < 0.4:
        layers.append(AveragePool(
            name="average", kernel=out.shape[:2], stride=(1, 1),
            scale=random_sum(rng, 1, gain=1 / (out.shape[0] * out.shape[1])),
        ))  # fmt: skip
    elif choice < 0.6:
        layers.append(AveragePool(
            name="average", kernel=(2, 2), stride=(1, 1), padding=(1, 0, 0, 1), scale=random_sum(rng, 1, gain=0.25)
        ))  # fmt: skip
    if end().dtype == "uint8" and rng.random() < 0.3:
        layers.append(LocalKWTA(name="kwta", winners=int(rng.integers(1, end().shape[2] + 1))))
    if rng.random() < 0.4:
        features = end().size
        weights = sparse_weights(rng, (5, features), 0.6)
        layers.append(Linear(name="scores", weights=weights, bias=random_bias(rng, 5)))
    return Network(name=f"residual {seed}", input=tensor, layers=tuple(layers))

"""The integer network that training ends in: NumPy only, evaluated exactly, ready for the ONNX export.

Tensors are ``[batch, channels, height, width]`` or ``[batch, features]``, as in ONNX. Each stands
for its integers times its scale, a number that float32 holds; scales matter to the requantisation
and to the exported file, not to the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.fixedpoint import requantise, scale_to_multiplier

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Flatten",
    "IntegerConv2d",
    "IntegerLayer",
    "IntegerLinear",
    "IntegerNetwork",
    "MaxPool",
    "ToUint8",
    "Winners",
    "evaluate",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerConv2d:
    """Convolution: ``weights`` int8 ``[out, in, height, width]``, ``bias`` int32 ``[out]`` (accumulator units)."""

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scale: float
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLinear:
    """Linear layer: ``weights`` int8 ``[out, in]``, ``bias`` int32 ``[out]`` (accumulator units)."""

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scale: float


@dataclass(frozen=True, kw_only=True)
class MaxPool:
    """Largest of each ``size`` x ``size`` window, which is also the stride; rests at the edge are dropped."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ToUint8:
    """Requantisation to uint8 with the given scale: the nearest M / 2**S, as the hardware multiplies."""

    name: str
    scale: float


@dataclass(frozen=True, kw_only=True)
class Winners:
    """k-WTA along axis 1: local on a map, global on features."""

    name: str
    k: int


@dataclass(frozen=True, kw_only=True)
class Flatten:
    """``[batch, channels, height, width]`` to ``[batch, features]`` in C order."""

    name: str


IntegerLayer = IntegerConv2d | IntegerLinear | MaxPool | ToUint8 | Winners | Flatten


@dataclass(frozen=True, kw_only=True)
class IntegerNetwork:
    """``layers`` over a uint8 input of ``input_shape`` (channels, height, width) with ``input_scale``."""

    name: str
    input_shape: tuple[int, int, int]
    input_scale: float
    layers: tuple[IntegerLayer, ...]


def evaluate(network: IntegerNetwork, images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], float]:
    """The accumulators that ``network`` ends with, and their scale (real value = integer * scale).

    ``images``: uint8 ``[batch, channels, height, width]``. Raises ValueError, naming the layer, for scales whose
    ratio no multiplier and shift can hold.
    """
    value, scale = images.astype(np.int64), network.input_scale
    for layer in network.layers:
        match layer:
            case IntegerConv2d():
                value, scale = _convolve(layer, value), scale * layer.weight_scale
            case IntegerLinear():
                value = value @ layer.weights.astype(np.int64).T + layer.bias
                scale *= layer.weight_scale
            case MaxPool():
                value = _pool(layer.size, value)
            case ToUint8():
                value, scale = _to_uint8(value, scale, layer), layer.scale
            case Winners():
                value = _keep_winners(layer.k, value)
            case Flatten():
                value = value.reshape(value.shape[0], -1)
    return value, scale


def _convolve(layer: IntegerConv2d, value: NDArray[np.int64]) -> NDArray[np.int64]:
    vertical, horizontal = layer.padding
    padded = np.pad(value, ((0, 0), (0, 0), (vertical, vertical), (horizontal, horizontal)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weights.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: layer.stride[0], :: layer.stride[1]]
    ins, outs = windows.shape[1] // layer.groups, layer.weights.shape[0] // layer.groups
    sums = [
        np.einsum(
            "bcyxhw,ochw->boyx",
            windows[:, group * ins : (group + 1) * ins],
            layer.weights[group * outs : (group + 1) * outs].astype(np.int64),
            optimize=True,
        )
        for group in range(layer.groups)
    ]
    return np.asarray(np.concatenate(sums, axis=1) + layer.bias[:, np.newaxis, np.newaxis])


def _pool(size: int, value: NDArray[np.int64]) -> NDArray[np.int64]:
    batch, channels, height, width = value.shape
    rows, columns = height // size, width // size
    blocks = value[:, :, : rows * size, : columns * size].reshape(batch, channels, rows, size, columns, size)
    return np.asarray(blocks.max(axis=(3, 5)))


def _to_uint8(value: NDArray[np.int64], scale: float, layer: ToUint8) -> NDArray[np.int64]:
    try:
        multiplier, shift = scale_to_multiplier(scale / layer.scale)
    except ValueError as error:
        raise ValueError(f"{layer.name}: its scale {layer.scale:g} for sums of {scale:g}: {error}") from None
    return requantise(value, multiplier, shift, "uint8")


def _keep_winners(k: int, value: NDArray[np.int64]) -> NDArray[np.int64]:
    # Sorting the negated values is stable, so of equal values the lower index comes first.
    order = np.argsort(-value, axis=1, kind="stable")
    winners = np.take(order, np.arange(k), axis=1)
    result = np.zeros_like(value)
    np.put_along_axis(result, winners, np.take_along_axis(value, winners, axis=1), axis=1)
    return result

"""The integer network that training ends in: NumPy only, evaluated exactly, ready for the ONNX export.

Tensors are ``[batch, channels, height, width]`` or ``[batch, features]``, as in ONNX. Each stands
for its integers times 2**exponent; the exponents matter to the requantisation and to the exported
scales, not to the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.fixedpoint import requantise

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
    weight_exponent: int
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLinear:
    """Linear layer: ``weights`` int8 ``[out, in]``, ``bias`` int32 ``[out]`` (accumulator units)."""

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_exponent: int


@dataclass(frozen=True, kw_only=True)
class MaxPool:
    """Largest of each ``size`` x ``size`` window, which is also the stride; rests at the edge are dropped."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ToUint8:
    """Requantisation to uint8 with the scale 2**exponent."""

    name: str
    exponent: int


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
    """``layers`` over a uint8 input of ``input_shape`` (channels, height, width) with the scale 2**input_exponent."""

    name: str
    input_shape: tuple[int, int, int]
    input_exponent: int
    layers: tuple[IntegerLayer, ...]


def evaluate(network: IntegerNetwork, images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """The accumulators that ``network`` ends with, and their exponent (real value = integer * 2**exponent).

    ``images``: uint8 ``[batch, channels, height, width]``.
    """
    value, exponent = images.astype(np.int64), network.input_exponent
    for layer in network.layers:
        match layer:
            case IntegerConv2d():
                value, exponent = _convolve(layer, value), exponent + layer.weight_exponent
            case IntegerLinear():
                value = value @ layer.weights.astype(np.int64).T + layer.bias
                exponent += layer.weight_exponent
            case MaxPool():
                value = _pool(layer.size, value)
            case ToUint8():
                value, exponent = _to_uint8(value, exponent, layer), layer.exponent
            case Winners():
                value = _keep_winners(layer.k, value)
            case Flatten():
                value = value.reshape(value.shape[0], -1)
    return value, exponent


def _convolve(layer: IntegerConv2d, value: NDArray[np.int64]) -> NDArray[np.int64]:
    vertical, horizontal = layer.padding
    padded = np.pad(value, ((0, 0), (0, 0), (vertical, vertical), (horizontal, horizontal)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weights.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: layer.stride[0], :: layer.stride[1]]
    sums = np.einsum("bcyxhw,ochw->boyx", windows, layer.weights.astype(np.int64), optimize=True)
    return np.asarray(sums + layer.bias[:, np.newaxis, np.newaxis])


def _pool(size: int, value: NDArray[np.int64]) -> NDArray[np.int64]:
    batch, channels, height, width = value.shape
    rows, columns = height // size, width // size
    blocks = value[:, :, : rows * size, : columns * size].reshape(batch, channels, rows, size, columns, size)
    return np.asarray(blocks.max(axis=(3, 5)))


def _to_uint8(value: NDArray[np.int64], exponent: int, layer: ToUint8) -> NDArray[np.int64]:
    shift = layer.exponent - exponent
    if shift < 0:
        raise ValueError(f"{layer.name}: its scale 2**{layer.exponent} is finer than the accumulators' 2**{exponent}")
    return requantise(value, 1, shift, "uint8")


def _keep_winners(k: int, value: NDArray[np.int64]) -> NDArray[np.int64]:
    # Sorting the negated values is stable, so of equal values the lower index comes first.
    order = np.argsort(-value, axis=1, kind="stable")
    winners = np.take(order, np.arange(k), axis=1)
    result = np.zeros_like(value)
    np.put_along_axis(result, winners, np.take_along_axis(value, winners, axis=1), axis=1)
    return result

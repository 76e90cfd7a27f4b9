"""The network without rounding and without the ends of the 8-bit types: what quantised activations are measured by.

Values are real numbers in steps of each tensor's scale, so that they compare with the integers of
:mod:`cs_hdl.golden.dense` as they are. Limits that mean something stay: 0 for uint8 (the ReLU in front of it) and
those of a Clip. Weights are the quantised ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import check_input, tap, weighted_sums
from cs_hdl.network import ArgMax, AveragePool, Conv2d, GlobalKWTA, Linear, LocalKWTA, MaxPool, Rescale, Residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import Layer, Network, Pool, ScaledSum, Tensor, WeightLayer

__all__ = ["run_real", "run_real_layer"]


def run_real(network: Network, words: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Each layer's result, float64 ``[n, *network.tensors[i + 1].shape]``, for ``words`` as run_dense takes them."""
    data = check_input(network, words).astype(np.float64)
    results = []
    for layer, tensor, result in zip(network.layers, network.tensors[:-1], network.tensors[1:], strict=True):
        data = run_real_layer(layer, tensor, result, data)
        results.append(data)
    return results


def run_real_layer(layer: Layer, tensor: Tensor, result: Tensor, data: NDArray[Any]) -> NDArray[np.float64]:
    """``data`` is ``[n, *tensor.shape]``, integers or real numbers; gives float64 ``[n, *result.shape]``."""
    match layer:
        case Conv2d() | Linear():
            return _weight_layer(layer, result, data)
        case MaxPool():
            return np.asarray(_windows(layer, result, data, padded_with=-np.inf).max(axis=0))
        case AveragePool():
            return _scaled(layer.scale, _windows(layer, result, data, padded_with=0.0).sum(axis=0))
        case Rescale():
            return _scaled(layer.scale, data)
        case Residual():
            ends = []
            for layers, tensors in zip((layer.body, layer.shortcut), layer.branch_tensors(tensor), strict=True):
                end = data
                for inner, before, after in zip(layers, tensors[:-1], tensors[1:], strict=True):
                    end = run_real_layer(inner, before, after, end)
                ends.append(end)
            return _scaled(layer.scale, *ends)
        case LocalKWTA() | GlobalKWTA():
            return _winners(data.reshape(len(data), *result.shape), layer.winners)
        case ArgMax():
            flat = data.reshape(len(data), 1, 1, tensor.size)
            return np.asarray(np.argmax(flat, axis=3, keepdims=True), dtype=np.float64)
        case _:
            raise NotImplementedError(f"{layer.name}: there is no {layer.kind} of real numbers")


def _weight_layer(layer: WeightLayer, result: Tensor, data: NDArray[Any]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = weighted_sums(layer, result, data) + layer.bias
    if layer.requantise is None:
        return sums
    scale = layer.requantise
    scaled: NDArray[np.float64] = np.asarray(sums * (scale.multiplier / np.exp2(scale.shift)))
    return np.asarray(np.maximum(scaled, 0.0)) if scale.dtype == "uint8" else scaled


def _scaled(scale: ScaledSum, *operands: NDArray[Any]) -> NDArray[np.float64]:
    total = sum(operand * float(multiplier) for operand, multiplier in zip(operands, scale.multipliers, strict=True))
    low, high = scale.limits
    least, most = dtype_range(scale.dtype)
    # An end of the type is no wish of the network's, but for 0, and but for a Clip inside of it.
    return np.clip(
        np.asarray(total, dtype=np.float64) / 2.0**scale.shift,
        low if low > least or scale.dtype == "uint8" else -np.inf,
        high if high < most else np.inf,
    )


def _windows(layer: Pool, result: Tensor, data: NDArray[Any], *, padded_with: float) -> NDArray[np.float64]:
    """``[taps, n, *result.shape]``: what each tap of the window sees."""
    top, left, bottom, right = layer.padding
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(data.astype(np.float64), around, constant_values=padded_with)
    taps = [(row, column) for row in range(layer.kernel[0]) for column in range(layer.kernel[1])]
    return np.stack([tap(padded, row, column, layer.stride, result.shape[:2]) for row, column in taps])


def _winners(data: NDArray[Any], winners: int) -> NDArray[np.float64]:
    data = data.astype(np.float64)  # integers would wrap when negated
    order = np.argsort(-data, axis=-1, kind="stable")[..., :winners]
    result = np.zeros(data.shape)
    np.put_along_axis(result, order, np.take_along_axis(data, order, axis=-1), axis=-1)
    return result

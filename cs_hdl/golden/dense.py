"""The plain oracle: runs a network layer by layer, exactly, and never sees the packing.

Convolutions are summed tap by tap with float64 matrix products. Every factor is an integer of at
most 9 bits and a sum has far fewer than 2**36 terms, so that no partial sum reaches 2**53: float64
holds each of them exactly, whatever the order of the additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import dtype_range, requantise, round_half_even
from cs_hdl.network import (
    ArgMax,
    AveragePool,
    Conv2d,
    GlobalKWTA,
    Linear,
    LocalKWTA,
    MaxPool,
    Rescale,
    Residual,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cs_hdl.network import Layer, Network, Pool, ScaledSum, Tensor, WeightLayer

__all__ = ["check_input", "run_dense", "run_layer", "run_layers", "scaled_sum", "tap", "weighted_sums"]

#: Accumulators that are held as float64 at once (64 MB), unless a single word has more.
_CHUNK_VALUES = 2**23


def run_dense(network: Network, words: NDArray[Any]) -> NDArray[Any]:
    """The network's output for ``words``.

    ``words`` are integers ``[n, height, width, channels]``; the result is ``[n, *output shape]``:
    uint8 or int8 where it was requantised, int32 for exact accumulators, uint8 or uint16 for
    ArgMax. Raises InputError as :func:`check_input` does.
    """
    return _run_chain(network.layers, network.tensors, check_input(network, words))


def run_layers(network: Network, words: NDArray[Any]) -> list[NDArray[Any]]:
    """Each layer's result, ``[n, *network.tensors[i + 1].shape]``; the last is :func:`run_dense`'s."""
    data, results = check_input(network, words), []
    for layer, tensor, result in zip(network.layers, network.tensors[:-1], network.tensors[1:], strict=True):
        data = run_layer(layer, tensor, result, data)
        results.append(data)
    return results


def check_input(network: Network, words: NDArray[Any]) -> NDArray[Any]:
    """``words`` in the dtype of the network's input, once they are known to be a valid input.

    Raises InputError for a dtype that is not an integer, a shape that is not
    ``[n, *input shape]``, and values outside the input's range (the first one is named).
    """
    words = np.asarray(words)
    shape, dtype = network.input.shape, network.input.dtype
    if not np.issubdtype(words.dtype, np.integer):
        raise InputError(f"the input must be integers ({dtype}), not {words.dtype}")
    if words.ndim != 4 or words.shape[1:] != shape:
        wanted = ", ".join(str(size) for size in shape)
        raise InputError(f"the input has the shape {list(words.shape)}; {network.name} takes [words, {wanted}]")
    low, high = dtype_range(dtype)
    bad = np.argwhere((words < low) | (words > high))
    if bad.size:
        where = tuple(int(i) for i in bad[0])
        raise InputError(f"the input's value {words[where]} at {list(where)} is outside {low}..{high} ({dtype})")
    return words.astype(dtype)


def run_layer(layer: Layer, tensor: Tensor, result: Tensor, data: NDArray[Any]) -> NDArray[Any]:
    """``data`` is ``[n, *tensor.shape]``; gives ``[n, *result.shape]`` in the dtype of ``result``."""
    # int16 and int24 are what the stream carries; here exact accumulators are int32.
    dtype = "int32" if result.dtype in ("int16", "int24", "int32") else result.dtype
    match layer:
        case Conv2d() | Linear():
            return _weight_layer(layer, tensor, result, data).astype(dtype)
        case MaxPool():
            return _max_pool(layer, result, data)
        case AveragePool():
            return scaled_sum(layer.scale, _window_sums(layer, result, data))
        case Rescale():
            return scaled_sum(layer.scale, data)
        case Residual():
            branches = zip((layer.body, layer.shortcut), layer.branch_tensors(tensor), strict=True)
            ends = [_run_chain(layers, tensors, data) for layers, tensors in branches]
            return scaled_sum(layer.scale, *ends)
        case LocalKWTA():
            return _winners(data, layer.winners)
        case GlobalKWTA():
            return _winners(data.reshape(len(data), 1, 1, tensor.size), layer.winners)
        case ArgMax():
            flat = data.reshape(len(data), 1, 1, tensor.size)
            return np.asarray(np.argmax(flat, axis=3, keepdims=True), dtype=dtype)
        case _:
            raise NotImplementedError(f"{layer.name}: the golden model has no {layer.kind}")


def _run_chain(layers: tuple[Layer, ...], tensors: Sequence[Tensor], data: NDArray[Any]) -> NDArray[Any]:
    """``tensors[i]`` is what layer i reads, the last is the result."""
    for layer, tensor, result in zip(layers, tensors[:-1], tensors[1:], strict=True):
        data = run_layer(layer, tensor, result, data)
    return data


def scaled_sum(scale: ScaledSum, *operands: NDArray[Any]) -> NDArray[Any]:
    """``clamp(round_half_even(sum of operand * multiplier / 2**shift))``, in the scale's dtype."""
    total = sum(
        operand.astype(np.int64) * multiplier for operand, multiplier in zip(operands, scale.multipliers, strict=True)
    )
    rounded = round_half_even(np.asarray(total, dtype=np.int64), scale.shift)
    return np.clip(rounded, *scale.limits).astype(scale.dtype)


def _weight_layer(layer: WeightLayer, tensor: Tensor, result: Tensor, data: NDArray[Any]) -> NDArray[np.int64]:
    output = np.empty((len(data), *result.shape), dtype=np.int64)
    chunk = max(1, _CHUNK_VALUES // max(result.size, tensor.size))
    for start in range(0, len(data), chunk):
        words = data[start : start + chunk]
        output[start : start + chunk] = _requantised(layer, weighted_sums(layer, result, words).astype(np.int64))
    return output


def _requantised(layer: WeightLayer, sums: NDArray[np.int64]) -> NDArray[np.int64]:
    accumulators = sums + layer.bias.astype(np.int64)
    if layer.requantise is None:
        return accumulators
    scale = layer.requantise
    return requantise(accumulators, scale.multiplier, scale.shift, scale.dtype)


def weighted_sums(layer: WeightLayer, result: Tensor, words: NDArray[Any]) -> NDArray[np.float64]:
    """Sums without bias, float64 ``[n, *result.shape]``, exact where ``words`` are integers."""
    if isinstance(layer, Conv2d):
        return _convolve(layer, result, words)
    sums = words.reshape(len(words), -1).astype(np.float64) @ layer.weights.astype(np.float64).T
    return np.asarray(sums.reshape(len(words), 1, 1, -1))


def _convolve(layer: Conv2d, result: Tensor, words: NDArray[Any]) -> NDArray[np.float64]:
    top, left, bottom, right = layer.padding
    padded = np.pad(words.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    weights = layer.weights.astype(np.float64)
    out_channels, in_channels, kernel_height, kernel_width = weights.shape
    group_outputs = out_channels // layer.groups
    sums = np.zeros((len(words), *result.shape))
    for row in range(kernel_height):
        for column in range(kernel_width):
            seen = tap(padded, row, column, layer.stride, result.shape[:2])
            for group in range(layer.groups):
                ins = slice(group * in_channels, (group + 1) * in_channels)
                outs = slice(group * group_outputs, (group + 1) * group_outputs)
                sums[..., outs] += seen[..., ins] @ weights[outs, :, row, column].T
    return sums


def tap(padded: NDArray[Any], row: int, column: int, stride: tuple[int, int], size: tuple[int, int]) -> NDArray[Any]:
    """What tap (row, column) of the kernel sees at each of ``size`` output positions."""
    rows = slice(row, row + (size[0] - 1) * stride[0] + 1, stride[0])
    columns = slice(column, column + (size[1] - 1) * stride[1] + 1, stride[1])
    seen: NDArray[Any] = padded[:, rows, columns]
    return seen


def _max_pool(layer: MaxPool, result: Tensor, data: NDArray[Any]) -> NDArray[Any]:
    top, left, bottom, right = layer.padding
    # The smallest value of the dtype never beats a value of the data, and no window is all padding.
    lowest = dtype_range(result.dtype)[0]
    padded = np.pad(data, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=lowest)
    largest = np.full((len(data), *result.shape), lowest, dtype=data.dtype)
    for row in range(layer.kernel[0]):
        for column in range(layer.kernel[1]):
            np.maximum(largest, tap(padded, row, column, layer.stride, result.shape[:2]), out=largest)
    return largest


def _window_sums(layer: Pool, result: Tensor, data: NDArray[Any]) -> NDArray[np.int64]:
    top, left, bottom, right = layer.padding
    padded = np.pad(data.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    sums = np.zeros((len(data), *result.shape), dtype=np.int64)
    for row in range(layer.kernel[0]):
        for column in range(layer.kernel[1]):
            sums += tap(padded, row, column, layer.stride, result.shape[:2])
    return sums


def _winners(data: NDArray[Any], winners: int) -> NDArray[Any]:
    """Keeps the ``winners`` largest along the last axis, of equal values those with the lower index."""
    order = np.argsort(-data.astype(np.int64), axis=-1, kind="stable")[..., :winners]
    result = np.zeros_like(data)
    np.put_along_axis(result, order, np.take_along_axis(data, order, axis=-1), axis=-1)
    return result

"""The pipeline step by step, as the hardware does it: select, multiply, route by kernel id, sum.

Bit-exact with :mod:`cs_hdl.golden.dense`, which never sees the packing; written for clarity, not speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.fixedpoint import requantise
from cs_hdl.golden.dense import check_input, run_layer, scaled_sum
from cs_hdl.network import Residual, WeightLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cs_hdl.combine.packed import Packed, PackedLayer
    from cs_hdl.network import Layer, Tensor

__all__ = ["multiply_route_sum", "run_packed"]


def run_packed(packed: Packed, words: NDArray[np.integer]) -> NDArray[np.integer]:
    """The network's output for ``words`` ``[n, height, width, channels]``, every weight taken from its set."""
    network = packed.network
    values = _run_chain(packed, network.layers, network.tensors, check_input(network, words))
    # The oracle's dtypes: what the last layer with weights gave is still int64 here.
    output = network.output
    dtype = output.dtype if output.dtype in ("uint8", "int8", "uint16") else "int32"
    return values.reshape(-1, *output.shape).astype(dtype)


def _run_chain(
    packed: Packed, layers: tuple[Layer, ...], tensors: Sequence[Tensor], values: NDArray[np.integer]
) -> NDArray[np.integer]:
    for layer, tensor, result in zip(layers, tensors[:-1], tensors[1:], strict=True):
        values = _run_layer(packed, layer, tensor, result, values)
    return values


def _run_layer(
    packed: Packed, layer: Layer, tensor: Tensor, result: Tensor, values: NDArray[np.integer]
) -> NDArray[np.integer]:
    if isinstance(layer, Residual):
        branches = zip((layer.body, layer.shortcut), layer.branch_tensors(tensor), strict=True)
        return scaled_sum(layer.scale, *(_run_chain(packed, layers, tensors, values) for layers, tensors in branches))
    if not isinstance(layer, WeightLayer):  # selecting and pooling know no packing: the oracle's own step serves
        return run_layer(layer, tensor, result, values)
    sums = np.stack([multiply_route_sum(layer, packed.layers[layer.name], tensor, word) for word in values])
    sums += layer.bias
    scale = layer.requantise
    return sums if scale is None else requantise(sums, scale.multiplier, scale.shift, scale.dtype)


def multiply_route_sum(
    layer: WeightLayer, packed: PackedLayer, tensor: Tensor, word: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Accumulators ``[height, width, out_channels]`` of one word, without bias.

    For every output position and every non-zero value under the kernel: its place fetches one weight
    and one kernel id from each set, and the product goes to the accumulator of that set and kernel id.
    """
    stride, padding = layer.geometry(tensor)
    top, left, bottom, right = padding
    sets, kernel_height, kernel_width, _ = packed.weights.shape
    image = np.pad(np.asarray(word, dtype=np.int64).reshape(tensor.shape), ((top, bottom), (left, right), (0, 0)))
    height = (image.shape[0] - kernel_height) // stride[0] + 1
    width = (image.shape[1] - kernel_width) // stride[1] + 1
    kernel_of = np.full((sets, packed.kernels_per_set), -1)
    for number, members in enumerate(packed.sets):
        kernel_of[number, : len(members)] = members
    result = np.zeros((height, width, layer.out_channels), dtype=np.int64)
    set_numbers = np.arange(sets)[:, None]
    for y in range(height):
        for x in range(width):
            window = image[y * stride[0] :, x * stride[1] :][:kernel_height, :kernel_width]
            rows, columns, channels = np.nonzero(window)  # select
            weights = packed.weights[:, rows, columns, channels].astype(np.int64)  # [sets, selected]
            kernel_ids = packed.kernel_ids[:, rows, columns, channels]
            products = weights * window[rows, columns, channels]  # multiply
            sums = np.zeros((sets, packed.kernels_per_set), dtype=np.int64)
            present = kernel_ids >= 0
            np.add.at(  # route and sum
                sums, (np.broadcast_to(set_numbers, kernel_ids.shape)[present], kernel_ids[present]), products[present]
            )
            used = kernel_of >= 0
            # A kernel that spans sets has a partial sum in each (sets in turn share an accumulator, which is the same).
            np.add.at(result[y, x], kernel_of[used], sums[used])
    return result

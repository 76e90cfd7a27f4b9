"""TopK and ScatterElements, which together are a k-WTA, and ArgMax."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.pending import settle
from cs_hdl.frontend.values import Accumulators, Activation, ClassIndex, Constant, Value, Winners
from cs_hdl.network import ArgMax, GlobalKWTA, LocalKWTA

if TYPE_CHECKING:
    from cs_hdl.frontend.values import Data

__all__ = ["OPERATORS"]

_KWTA = "the values and indices of one TopK, scattered along its axis into zeros (k-WTA)"


def _axis(operation: Operation, value: Data, axis: int) -> int:
    """``axis`` counted from the front; it must be that of the channels or features."""
    rank = len(value.onnx_shape)
    if axis % rank != 1 or not -rank <= axis < rank:
        raise operation.refusal(f"axis = {axis} of {list(value.onnx_shape)}", "axis 1: the channels, or all features")
    return 1


def _top_k(operation: Operation) -> tuple[Value, ...]:
    value = settle(operation.input(0))
    if not isinstance(value, Activation):
        raise operation.wrong_input(0, "an activation that comes from a DequantizeLinear (k-WTA selects 8-bit values)")
    axis = _axis(operation, value, operation.attribute("axis", -1))
    if operation.attribute("largest", 1) != 1:
        raise operation.refusal("largest = 0", "largest = 1")
    if value.features_reordered:
        height, width, channels = value.map_shape
        raise operation.refusal(
            f"selects among the flattened features of {channels} channels x {height} x {width}; of equal values "
            "the lower index wins, and the hardware counts them by height, width, channel",
            "k-WTA along the channels before the Flatten, or over a linear layer's features",
        )
    winners = operation.integers(1, "k")
    count = value.onnx_shape[1]
    if len(winners) != 1 or not 1 <= winners[0] <= count:
        found = f"k = {winners[0] if len(winners) == 1 else winners}"
        raise operation.refusal(found, f"1..{count} (the number of {'features' if value.flat else 'channels'})")
    if value.chain.tensor.dtype != "uint8":
        raise operation.refusal("selects among signed values (int8)", "uint8 with zero point 0")
    result = [
        Winners(node=operation.label, what=what, source=value, axis=axis, winners=winners[0])
        for what in ("values", "indices")
    ]
    return tuple(result)


def _scatter(operation: Operation) -> Value:
    zeros = operation.input(0)
    indices, values = operation.input(1), operation.input(2)
    if not isinstance(indices, Winners) or indices.what != "indices":
        raise operation.wrong_input(1, _KWTA)
    if not isinstance(values, Winners) or values.what != "values":
        raise operation.wrong_input(2, _KWTA)
    source = indices.source
    same = (indices.node, indices.winners) == (values.node, values.winners) and source is values.source
    if not same or _axis(operation, source, operation.attribute("axis", 0)) != indices.axis:
        raise operation.refusal(f"scatters {values} by {indices}", _KWTA)
    if operation.attribute("reduction", "none") != "none":
        raise operation.refusal(f"reduction = {operation.attributes['reduction']}", "reduction = none")
    if not isinstance(zeros, Constant):
        raise operation.wrong_input(0, "zeros")
    if zeros.array.shape != source.onnx_shape or np.any(zeros.array != 0):
        kind = "holds other values than 0" if np.any(zeros.array != 0) else f"has the shape {list(zeros.array.shape)}"
        raise operation.refusal(f"its data {operation.input_name(0)!r} {kind}", f"zeros of {list(source.onnx_shape)}")
    name, winners = _layer_name(operation, indices), indices.winners
    layer = GlobalKWTA(name=name, winners=winners) if source.flat else LocalKWTA(name=name, winners=winners)
    return dataclasses.replace(source, chain=source.chain.then(layer))


def _layer_name(operation: Operation, winners: Winners) -> str:
    """The layer carries the name of the TopK, which is what people name."""
    return dataclasses.replace(operation, label=winners.node).layer_name


def _arg_max(operation: Operation) -> Value:
    value = operation.input(0)
    if not isinstance(value, Activation | Accumulators):
        raise operation.wrong_input(0, "a layer's result or an activation")
    _axis(operation, value, operation.attribute("axis", 0))
    if operation.attribute("select_last_index", 0):
        raise operation.refusal("select_last_index = 1", "select_last_index = 0")
    height, width, channels = value.map_shape
    if height * width > 1:
        raise operation.refusal(f"over a map of {channels} channels x {height} x {width}", "over features alone")
    layer = ArgMax(name=operation.layer_name)
    if isinstance(value, Activation):
        return ClassIndex(chain=value.chain.then(layer))
    if not value.untouched:
        raise operation.refusal("a MaxPool, Relu or Clip lies between it and its layer", "the layer's own result")
    if np.unique(value.scale).size > 1:
        raise operation.refusal(
            f"compares the sums of {value.layer.name}, whose channels differ in their scale",
            "one weight scale for the whole of that layer",
        )
    return ClassIndex(chain=value.chain.then(value.layer).then(layer))


OPERATORS = {
    "ArgMax": Operator(_arg_max, ("axis", "keepdims", "select_last_index")),
    "ScatterElements": Operator(_scatter, ("axis", "reduction")),
    "TopK": Operator(_top_k, ("axis", "largest", "sorted")),
}

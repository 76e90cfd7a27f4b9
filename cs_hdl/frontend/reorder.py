"""Operators that only look at a tensor in another way: Identity, Cast, Flatten, Reshape, Squeeze, Transpose."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.frontend.folding import fold_constant, fold_shape, resolve_shape
from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.values import Accumulators, Activation, ClassIndex, Codes, Pending, QuantisedConstant, Value

if TYPE_CHECKING:
    from cs_hdl.frontend.values import Data

__all__ = ["OPERATORS"]

_VIEWS = "[batch, features], [batch, channels, height, width] as before, or without a height of 1"


def _identity(operation: Operation) -> Value:
    value = operation.input(0)
    if value is None:
        raise operation.wrong_input(0, "a tensor")
    return value


def _flatten(operation: Operation) -> Value:
    value = _data(operation)
    axis = operation.attribute("axis", 1)
    rank = len(value.onnx_shape)
    if axis not in (1, 1 - rank):
        raise operation.refusal(f"axis = {axis}", "axis = 1 (all but the batch)")
    return dataclasses.replace(value, flat=True)


def _reshape(operation: Operation) -> Value:
    value = operation.input(0)
    if isinstance(value, ClassIndex):
        return value
    source = _data(operation)
    target = operation.integers(1, "shape")
    return _view(operation, source, resolve_shape(operation, source.onnx_shape, target))


def _squeeze(operation: Operation) -> Value:
    value = operation.input(0)
    if isinstance(value, ClassIndex):
        return value
    source = _data(operation)
    shape = source.onnx_shape
    axes = operation.integers(1, "axes") if operation.input(1) is not None else []
    gone = {axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape) and shape[axis] == 1}
    if not axes or len(gone) != len(axes):
        raise operation.refusal(f"axes {axes} of {list(shape)}", "axes of size 1, named")
    return _view(operation, source, tuple(size for axis, size in enumerate(shape) if axis not in gone))


def _unsqueeze(operation: Operation) -> Value:
    source = _data(operation)
    axes, rank = operation.integers(1, "axes"), len(source.onnx_shape)
    shape = list(source.onnx_shape)
    for axis in sorted(axis % (rank + len(axes)) for axis in axes):
        shape.insert(axis, 1)
    return _view(operation, source, tuple(shape))


def _data(operation: Operation) -> Data:
    value = operation.input(0)
    if not isinstance(value, Activation | Codes | Accumulators | Pending):
        raise operation.wrong_input(0, "a tensor between layers")
    return value


def _view(operation: Operation, source: Data, shape: tuple[int, ...]) -> Value:
    """``source`` as a tensor of ``shape``, where that is one of the two views a layer can have."""
    height, width, channels = source.map_shape
    if shape == (1, height * width * channels):
        return dataclasses.replace(source, flat=True)
    if shape == (1, channels, height, width):
        return dataclasses.replace(source, flat=False, line=False)
    if height == 1 and shape == (1, channels, width):
        return dataclasses.replace(source, flat=False, line=True)
    raise operation.refusal(f"from {list(source.onnx_shape)} to {list(shape)}", _VIEWS)


def _transpose(operation: Operation) -> Value:
    """Transposed weights; of activations only an order that changes nothing."""
    value = operation.input(0)
    if isinstance(value, QuantisedConstant):
        rank = value.integers.ndim
        order = operation.attribute("perm", list(range(rank))[::-1])
        if sorted(order) != list(range(rank)):
            raise operation.refusal(f"perm = {order}", f"an order of {rank} axes")
        axis = order.index(value.axis) if value.scale.size > 1 else 0
        return dataclasses.replace(value, integers=np.transpose(value.integers, order), axis=axis)
    source = _data(operation)
    shape = source.onnx_shape
    order = operation.attribute("perm", list(range(len(shape)))[::-1])
    # Axes of size 1 may go anywhere; the others must keep their order.
    moved = [axis for axis in order if 0 <= axis < len(shape) and shape[axis] > 1]
    if sorted(order) != list(range(len(shape))) or order[0] != 0 or moved != sorted(moved):
        raise operation.refusal(f"perm = {order} of {list(shape)}", "an order that moves nothing but axes of size 1")
    return _view(operation, source, tuple(shape[axis] for axis in order))


def _cast(operation: Operation) -> Value:
    value = operation.input(0)
    if not isinstance(value, ClassIndex):
        raise operation.wrong_input(0, "a constant, or the index that an ArgMax gives")
    return value


OPERATORS = {
    "Cast": Operator(_cast, ("to", "saturate", "round_mode")),
    "Constant": Operator(fold_constant, ("value", "value_float", "value_floats", "value_int", "value_ints")),
    "Flatten": Operator(_flatten, ("axis",)),
    "Identity": Operator(_identity),
    "Reshape": Operator(_reshape, ("allowzero",)),
    "Shape": Operator(fold_shape, ("end", "start")),
    "Squeeze": Operator(_squeeze),
    "Transpose": Operator(_transpose, ("perm",)),
    "Unsqueeze": Operator(_unsqueeze),
}

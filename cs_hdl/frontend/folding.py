"""Operators over constants, folded when the model is read: shapes, zeros, weights.

A batch counts as 1, so that the shape arithmetic of a dynamic batch folds away too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.values import Accumulators, Activation, Codes, Constant, FloatInput, IntegerInput, Pending, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOLDERS", "fold_constant", "fold_shape", "resolve_shape"]

#: More elements than any layer of a network that fits an FPGA: a larger constant is a mistake.
_MAX_ELEMENTS = 2**27


def fold_constant(operation: Operation) -> Value:
    """Constant: its tensor."""
    for name in ("value", "value_int", "value_float", "value_ints", "value_floats"):
        if name in operation.attributes:
            dtype = {"value_int": "int64", "value_ints": "int64", "value_float": "float32", "value_floats": "float32"}
            return Constant(array=np.asarray(operation.attributes[name], dtype=dtype.get(name)))
    raise operation.refusal(f"attributes {sorted(operation.attributes)}", "a tensor, numbers or a number")


def fold_shape(operation: Operation) -> Value:
    """Shape: the shape of its input, whose batch counts as 1."""
    value = operation.input(0)
    shape: tuple[int, ...]
    match value:
        case Constant():
            shape = value.array.shape
        case Activation() | Accumulators() | Codes() | Pending():
            shape = value.onnx_shape
        case FloatInput() | IntegerInput():
            shape = (1, *value.shape)
        case _:
            raise operation.wrong_input(0, "the shape of a tensor between layers")
    start, end = operation.attribute("start", 0), operation.attribute("end", len(shape))
    return Constant(array=np.array(shape[start:end], dtype=np.int64))


def resolve_shape(operation: Operation, source: tuple[int, ...], target: list[int]) -> tuple[int, ...]:
    """The shape that Reshape gives for ``target`` (0 keeps a dimension, -1 takes the rest)."""
    keep = not operation.attribute("allowzero", 0)
    sizes = [source[i] if size == 0 and keep and i < len(source) else size for i, size in enumerate(target)]
    count = math.prod(source)
    if sizes.count(-1) == 1:
        known = math.prod(size for size in sizes if size != -1)
        if known > 0 and count % known == 0:
            sizes[sizes.index(-1)] = count // known
    if any(size < 0 for size in sizes) or math.prod(sizes) != count:
        raise operation.refusal(f"shape {target} for an input of {list(source)}", "a shape of as many values")
    return tuple(sizes)


def _constant_of_shape(operation: Operation) -> NDArray[Any]:
    value = np.asarray(operation.attributes.get("value", np.zeros(1, dtype=np.float32))).reshape(-1)
    return np.full(_size(operation, operation.integers(0, "shape")), value[0])


def _expand(operation: Operation) -> NDArray[Any]:
    array, shape = operation.constant(0, "tensor"), _size(operation, operation.integers(1, "shape"))
    return np.broadcast_to(array, np.broadcast_shapes(array.shape, shape))


def _size(operation: Operation, shape: list[int]) -> list[int]:
    if any(size < 0 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
        raise operation.refusal(f"shape {shape}", f"sizes of at least 0 and at most {_MAX_ELEMENTS} values in all")
    return shape


def _cast(operation: Operation) -> NDArray[Any]:
    to = onnx.helper.tensor_dtype_to_np_dtype(operation.attribute("to", 1))
    return operation.constant(0, "tensor").astype(to)


def _clip(operation: Operation) -> NDArray[Any]:
    """Limits of quantised weights, which brevitas writes down even where they are within them anyway."""
    array = operation.constant(0, "tensor")
    for index, cut in ((1, np.maximum), (2, np.minimum)):
        if operation.input(index) is not None:
            array = cut(array, operation.constant(index, "limit").reshape(())).astype(array.dtype)
    return np.asarray(array)


def _concat(operation: Operation) -> NDArray[Any]:
    arrays = [operation.constant(i, "tensor") for i in range(len(operation.inputs))]
    return np.concatenate(arrays, axis=operation.attribute("axis", 0))


def _gather(operation: Operation) -> NDArray[Any]:
    array, indices = operation.constant(0, "tensor"), operation.constant(1, "indices")
    return np.take(array, indices, axis=operation.attribute("axis", 0))


def _slice(operation: Operation) -> NDArray[Any]:
    array = operation.constant(0, "tensor")
    starts, ends = operation.integers(1, "starts"), operation.integers(2, "ends")
    axes = operation.integers(3, "axes") if operation.input(3) is not None else list(range(len(starts)))
    steps = operation.integers(4, "steps") if operation.input(4) is not None else [1] * len(starts)
    index = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # ONNX writes "to the very beginning" as a large negative end, which a Python slice takes as well.
        index[axis] = slice(start, end, step)
    return array[tuple(index)]


def _unsqueeze(operation: Operation) -> NDArray[Any]:
    return np.expand_dims(operation.constant(0, "tensor"), tuple(operation.integers(1, "axes")))


def _squeeze(operation: Operation) -> NDArray[Any]:
    axes = tuple(operation.integers(1, "axes")) if operation.input(1) is not None else None
    return np.squeeze(operation.constant(0, "tensor"), axis=axes)


def _reshape(operation: Operation) -> NDArray[Any]:
    array = operation.constant(0, "tensor")
    return array.reshape(resolve_shape(operation, array.shape, operation.integers(1, "shape")))


def _transpose(operation: Operation) -> NDArray[Any]:
    array = operation.constant(0, "tensor")
    return array.transpose(operation.attribute("perm", list(range(array.ndim))[::-1]))


def _folder(fold: Callable[[Operation], NDArray[Any]]) -> Callable[[Operation], Value]:
    def run(operation: Operation) -> Value:
        try:
            return Constant(array=fold(operation))
        except (ValueError, IndexError, TypeError, KeyError) as error:  # NumPy's word on axes and shapes
            raise operation.refusal(f"cannot be computed ({error})", "shapes and axes that fit") from None

    return run


#: Operators that are folded where all their inputs are constants.
FOLDERS = {
    "Cast": Operator(_folder(_cast), ("to", "saturate", "round_mode")),
    "Clip": Operator(_folder(_clip)),
    "Concat": Operator(_folder(_concat), ("axis",)),
    "ConstantOfShape": Operator(_folder(_constant_of_shape), ("value",)),
    "Expand": Operator(_folder(_expand)),
    "Gather": Operator(_folder(_gather), ("axis",)),
    "Reshape": Operator(_folder(_reshape), ("allowzero",)),
    "Slice": Operator(_folder(_slice)),
    "Squeeze": Operator(_folder(_squeeze)),
    "Transpose": Operator(_folder(_transpose), ("perm",)),
    "Unsqueeze": Operator(_folder(_unsqueeze)),
}

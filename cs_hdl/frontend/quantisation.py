"""QuantizeLinear and DequantizeLinear: scales, zero points, and the requantisation of a layer."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.fixedpoint import dtype_range, scale_to_multiplier
from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.pending import clip_limits, quantise_pending, rescaled
from cs_hdl.frontend.values import (
    Accumulators,
    Activation,
    Chain,
    Codes,
    Constant,
    FloatInput,
    IntegerInput,
    Pending,
    QuantisedConstant,
    Value,
)
from cs_hdl.network import Requantise, ScaledSum, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import Shape

__all__ = ["OPERATORS"]

_BOTH = "uint8 with zero point 0 or 128, int8 with zero point 0 or -128"
_REAL_DATA = "the graph's input, a convolution, a linear layer or a dequantised activation"
#: The integer types that are read, and the zero points of their accepted rewrites.
_CANONICAL = {("uint8", 0): "uint8", ("uint8", 128): "int8", ("int8", 0): "int8", ("int8", -128): "uint8"}


def _scale(operation: Operation) -> NDArray[np.float64]:
    scale = operation.constant(1, "scale")
    values = scale.astype(np.float64).reshape(-1)
    bad = values[~(np.isfinite(values) & (values > 0))]
    if bad.size or not values.size:
        found = bad[0] if values.size else "nothing"
        raise operation.refusal(f"scale {operation.input_name(1)!r} is {found}", "a finite number above 0")
    if scale.ndim > 1 or operation.attribute("block_size", 0):
        raise operation.refusal(f"scales of the shape {list(scale.shape)}, in blocks", "one scale, or one a channel")
    return values


def _activation_scale(operation: Operation) -> float:
    scale = _scale(operation)
    if scale.size > 1:
        raise operation.refusal(f"{scale.size} scales for an activation", "one scale for the whole tensor")
    return float(scale[0])


def _zero_point(operation: Operation, dtype: str) -> int:
    """The zero point of an activation of ``dtype``, one of those in the table above."""
    value = operation.constant(2, "zero point") if operation.input(2) is not None else np.zeros(1, dtype=dtype)
    different = np.unique(value)
    if different.size != 1 or (str(value.dtype), int(different[0])) not in _CANONICAL:
        found = f"zero point {operation.input_name(2)!r} is {value.dtype} {different.tolist()}"
        raise operation.refusal(found, _BOTH)
    return int(different[0])


def _quantised_dtype(operation: Operation) -> str:
    """The integer type that a QuantizeLinear gives: its zero point's, else its attribute's, else uint8."""
    if operation.input(2) is not None:
        return str(operation.constant(2, "zero point").dtype)
    named = operation.attribute("output_dtype", 0)
    if named not in (0, 2, 3):  # TensorProto: undefined, UINT8, INT8
        raise operation.refusal(f"output_dtype = {named}", _BOTH)
    return "int8" if named == 3 else "uint8"


def _quantize(operation: Operation) -> Value:
    value = operation.input(0)
    if isinstance(value, Constant):
        return _quantize_constant(operation, value.array)
    scale, stored = _activation_scale(operation), _quantised_dtype(operation)
    zero_point = _zero_point(operation, stored)
    dtype = _CANONICAL[stored, zero_point]
    match value:
        case FloatInput():
            chain = _input_chain(value.shape, dtype, scale)
            flat, line = len(value.shape) == 1, len(value.shape) == 2
        case Accumulators():
            chain, flat, line = _requantised(operation, value, scale, dtype), value.flat, value.line
        case Pending():
            chain, flat, line = quantise_pending(operation, value, scale, dtype), value.flat, value.line
        case Activation():
            again = Pending(
                name=operation.layer_name, what="an activation", operands=(value,), shape=value.map_shape,
                chain=value.chain, flat=value.flat,
            )  # fmt: skip
            chain, flat, line = quantise_pending(operation, again, scale, dtype), value.flat, value.line
        case _:
            raise operation.wrong_input(0, _REAL_DATA)
    return Codes(chain=chain, flat=flat, line=line, scale=scale, zero_point=zero_point)


def _input_chain(shape: tuple[int, ...], dtype: str, scale: float) -> Chain:
    tensor = Tensor(_network_shape(shape), dtype)
    return Chain(input=tensor, input_scale=scale, tensor=tensor)


def _network_shape(shape: tuple[int, ...]) -> Shape:
    if len(shape) == 1:
        return (1, 1, shape[0])
    channels, *places = shape
    return (places[0] if len(places) > 1 else 1, places[-1], channels)


def _requantised(operation: Operation, value: Accumulators, scale: float, dtype: str) -> Chain:
    low, high = clip_limits(operation, value.clip, scale, dtype)
    pairs = []
    for channel, ratio in enumerate((value.scale / scale).tolist()):
        try:
            pairs.append(scale_to_multiplier(ratio))
        except ValueError as error:
            where = f"channel {channel}: " if value.scale.size > 1 else ""
            raise operation.refusal(
                f"{where}{error}", "input scale * weight scale / this scale in that range"
            ) from None
    requantise = Requantise(
        multiplier=np.array([multiplier for multiplier, _ in pairs]),
        shift=np.array([shift for _, shift in pairs]),
        dtype=dtype,
    )
    chain = value.chain.then(dataclasses.replace(value.layer, requantise=requantise))
    for pool in value.pools:
        chain = chain.then(pool)
    # Limits within the type's own (ReLU6): a step of its own behind the pools, which they commute with.
    limits = ScaledSum(multipliers=(1,), shift=0, dtype=dtype, low=low, high=high)
    return rescaled(chain, f"{value.layer.name}_clip", limits)


def _quantize_constant(operation: Operation, array: NDArray[Any]) -> Value:
    """Float weights that the graph quantises itself, as quantisation-aware training exports them."""
    dtype = _quantised_dtype(operation)
    if dtype not in ("int8", "uint8"):
        raise operation.refusal(f"quantises a constant to {dtype}", "int8")
    scale, axis = _scale(operation), operation.attribute("axis", 1)
    zero_point = operation.constant(2, "zero point") if operation.input(2) is not None else np.zeros(1, dtype)
    if not np.isfinite(array).all():
        raise operation.refusal(f"constant {operation.input_name(0)!r} holds a value that is not finite", "numbers")
    # float32, as ONNX computes it: another rounding could give another weight.
    divided = array.astype(np.float32) / _along(operation, scale.astype(np.float32), axis, array.ndim)
    low, high = dtype_range(dtype)
    codes = np.rint(divided) + _along(operation, zero_point.reshape(-1).astype(np.float32), axis, array.ndim)
    return Constant(array=np.clip(codes, low, high).astype(dtype))


def _along(operation: Operation, values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """``values`` shaped so that they count along ``axis`` of a tensor of ``rank`` dimensions."""
    if values.size == 1:
        return values.reshape([1] * rank)
    if not -rank <= axis < rank:
        raise operation.refusal(f"axis = {axis} for {rank} dimensions", "the axis of the output channels")
    shape = [1] * rank
    shape[axis] = values.size
    return values.reshape(shape)


def _dequantize(operation: Operation) -> Value:
    value = operation.input(0)
    match value:
        case Constant():
            return _dequantize_constant(operation, value.array)
        case Codes():
            scale, stored = _activation_scale(operation), _stored_dtype(value)
            zero_point = _zero_point(operation, stored)
            if zero_point != value.zero_point:
                raise operation.refusal(
                    f"zero point {zero_point} for a tensor that was quantised with {value.zero_point}",
                    "the zero point of its QuantizeLinear",
                )
            return Activation(chain=value.chain, flat=value.flat, line=value.line, scale=scale)
        case IntegerInput():
            scale, zero_point = _activation_scale(operation), _zero_point(operation, value.dtype)
            chain = _input_chain(value.shape, _CANONICAL[value.dtype, zero_point], scale)
            return Activation(chain=chain, flat=len(value.shape) == 1, line=len(value.shape) == 2, scale=scale)
        case _:
            raise operation.wrong_input(0, "a QuantizeLinear's result, an integer input, or integer weights")


def _stored_dtype(value: Codes) -> str:
    for (stored, zero_point), dtype in _CANONICAL.items():
        if zero_point == value.zero_point and dtype == value.chain.tensor.dtype:
            return stored
    raise AssertionError(f"no rewrite has zero point {value.zero_point}")


def _dequantize_constant(operation: Operation, array: NDArray[Any]) -> Value:
    """Weights (int8, or uint8 around 128 or 0) and biases (int32)."""
    dtype = str(array.dtype)
    if dtype not in ("int8", "uint8", "int32"):
        raise operation.refusal(f"constant {operation.input_name(0)!r} is {dtype}", "int8 weights, int32 biases")
    scale, axis = _scale(operation), operation.attribute("axis", 1)
    zero_point = operation.constant(2, "zero point") if operation.input(2) is not None else np.zeros(1, dtype)
    zeros = zero_point.reshape(-1).astype(np.int64)
    allowed = {"int8": (0, -128), "uint8": (0, 128), "int32": (0,)}[dtype]
    bad = zeros[~np.isin(zeros, allowed)]
    if bad.size:
        found = f"zero point {operation.input_name(2)!r} of {operation.input_name(0)!r} is {bad[0]}"
        raise operation.refusal(found, f"{' or '.join(map(str, allowed))} for {dtype}")
    for what, values in (("scales", scale), ("zero points", zeros)):
        if values.size > 1 and (not -array.ndim <= axis < array.ndim or array.shape[axis] != values.size):
            found = f"{values.size} {what} along axis {axis} of {operation.input_name(0)!r} {list(array.shape)}"
            raise operation.refusal(found, "one, or one for each output channel (axis 0 of a convolution's weights)")
    integers = array.astype(np.int64) - _along(operation, zeros, axis, array.ndim)
    return QuantisedConstant(
        name=operation.input_name(0), integers=integers, scale=scale, axis=axis % max(1, array.ndim)
    )


OPERATORS = {
    "DequantizeLinear": Operator(_dequantize, ("axis", "block_size", "output_dtype")),
    "QuantizeLinear": Operator(_quantize, ("axis", "block_size", "output_dtype", "precision", "saturate")),
}

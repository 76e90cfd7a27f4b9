"""Sums, averages and cut tensors: what their QuantizeLinear makes of them, and Add, AveragePool, Relu, Clip."""

from __future__ import annotations

import dataclasses

import numpy as np

from cs_hdl.fixedpoint import dtype_range, scales_to_multipliers
from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.values import Accumulators, Activation, Chain, Codes, Pending, Value
from cs_hdl.frontend.windows import WINDOW_ATTRIBUTES, window_of
from cs_hdl.network import AveragePool, MaxPool, Rescale, Residual, ScaledSum

__all__ = ["OPERATORS", "clip_limits", "quantise_pending", "rescaled", "settle"]

_SUMMANDS = "two dequantised activations of one shape, and a QuantizeLinear behind the sum"


def quantise_pending(operation: Operation, value: Pending, scale: float, dtype: str) -> Chain:
    """The chain with the layer that ``value`` is when it is quantised to ``scale`` and ``dtype``."""
    taps = value.window[0][0] * value.window[0][1] if value.window else 1
    ratios = [operand.scale / taps / scale for operand in value.operands]
    try:
        multipliers, shift = scales_to_multipliers(ratios)
    except ValueError as error:
        raise operation.refusal(str(error), "scales of inputs / this scale in that range") from None
    low, high = clip_limits(operation, value.clip, scale, dtype)
    total = ScaledSum(multipliers=tuple(multipliers), shift=shift, dtype=dtype, low=low, high=high)
    if len(value.operands) == 2:
        return _residual(operation, value, total)
    chain = value.operands[0].chain
    if value.window:
        kernel, stride, padding = value.window
        return chain.then(AveragePool(name=value.name, kernel=kernel, stride=stride, padding=padding, scale=total))
    return rescaled(chain, value.name, total)


def rescaled(chain: Chain, name: str, scale: ScaledSum) -> Chain:
    """``chain`` with a Rescale behind it, unless that would change nothing."""
    dtype = chain.tensor.dtype
    if (scale.multipliers, scale.shift, scale.dtype) == ((1,), 0, dtype) and scale.limits == dtype_range(dtype):
        return chain
    return chain.then(Rescale(name=name, scale=scale))


def clip_limits(operation: Operation, clip: tuple[float, float], scale: float, dtype: str) -> tuple[int, int]:
    """What Relu and Clip leave of ``dtype``, in steps of ``scale`` (as onnxruntime rounds them)."""
    low, high = dtype_range(dtype)
    # float32, as onnxruntime divides; infinite limits stay what they are.
    steps = [float(np.rint(np.float32(limit) / np.float32(scale))) for limit in clip]
    low, high = int(max(low, steps[0])), int(min(high, steps[1]))
    if not low <= 0 <= high:
        raise operation.refusal(
            f"a Clip before it leaves {low}..{high} steps of its scale", "limits of Clip on both sides of 0"
        )
    return low, high


def settle(value: Value | None) -> Value | None:
    """A cut activation as an activation of the same scale, where it can be one."""
    if not isinstance(value, Pending) or value.settled is None:
        return value
    return dataclasses.replace(value.settled, flat=value.flat, line=value.line)


def _settled(operand: Activation, name: str, clip: tuple[float, float]) -> Activation | None:
    """``operand`` cut to ``clip`` in its own steps; None where the limits are no whole steps.

    It is made once, so that both branches of a residual which read it begin behind one and the same layer.
    """
    least, most = dtype_range(operand.chain.tensor.dtype)
    limits = [float(min(max(limit / operand.scale, least), most)) for limit in clip]
    if not all(limit.is_integer() for limit in limits) or not limits[0] <= 0 <= limits[1]:
        return None
    dtype = "uint8" if limits[0] >= 0 else operand.chain.tensor.dtype
    scale = ScaledSum(multipliers=(1,), shift=0, dtype=dtype, low=int(limits[0]), high=int(limits[1]))
    return dataclasses.replace(operand, chain=rescaled(operand.chain, name, scale))


def _residual(operation: Operation, value: Pending, scale: ScaledSum) -> Chain:
    """The common beginning of both operands' chains, and a residual block of what differs."""
    first, second = (operand.chain for operand in value.operands)
    common = 0
    for one, other in zip(first.layers, second.layers, strict=False):
        if one is not other:
            break
        common += 1
    body, shortcut = first.layers[common:], second.layers[common:]
    if not body:
        body, shortcut = shortcut, body
        scale = dataclasses.replace(scale, multipliers=scale.multipliers[::-1])
    if not body:
        # One and the same tensor twice.
        multiplier = sum(scale.multipliers)
        if multiplier % 2 == 0 and scale.shift:
            scale = dataclasses.replace(scale, multipliers=(multiplier // 2,), shift=scale.shift - 1)
        else:
            scale = dataclasses.replace(scale, multipliers=(multiplier,))
        return rescaled(first, value.name, scale)
    begin = Chain(input=first.input, input_scale=first.input_scale, tensor=first.input)
    for layer in first.layers[:common]:
        begin = begin.then(layer)
    return begin.then(Residual(name=value.name, body=body, shortcut=shortcut, scale=scale))


def _add(operation: Operation) -> Value:
    first, second = settle(operation.input(0)), settle(operation.input(1))
    for index, operand in enumerate((first, second)):
        if isinstance(operand, Accumulators | Pending):
            raise operation.refusal(
                f"input {index} is {operand}",
                f"{_SUMMANDS}: put a QuantizeLinear and DequantizeLinear in front of it",
            )
    if not isinstance(first, Activation):
        raise operation.wrong_input(0, _SUMMANDS)
    if not isinstance(second, Activation):
        raise operation.wrong_input(1, _SUMMANDS)
    if first.onnx_shape != second.onnx_shape or first.map_shape != second.map_shape:
        raise operation.refusal(f"adds {list(first.onnx_shape)} and {list(second.onnx_shape)}", _SUMMANDS)
    one, other = first.chain, second.chain
    if (one.input, one.input_scale) != (other.input, other.input_scale):
        raise operation.refusal("its inputs come from two quantisations of the graph's input", "one and the same")
    return Pending(
        name=operation.layer_name,
        what="a sum",
        operands=(first, second),
        shape=first.map_shape,
        chain=one,
        flat=first.flat,
        line=first.line,
    )


def add(operation: Operation) -> Value | None:
    """The sum of two activations; None where an input is a constant, which makes it a bias."""
    kinds = Activation | Accumulators | Pending | Codes
    if all(isinstance(operation.input(index), kinds) for index in (0, 1)):
        return _add(operation)
    return None


def _average_pool(operation: Operation) -> Value:
    value = _average_input(operation)
    if operation.attribute("ceil_mode", 0):
        raise operation.refusal("ceil_mode = 1", "ceil_mode = 0, with explicit pads where they are needed")
    window = window_of(operation, value)
    if any(window[2]) and operation.attribute("count_include_pad", 0) != 1:
        raise operation.refusal(
            f"count_include_pad = 0 with padding {list(window[2])}: windows at the edge would be divided by less",
            "count_include_pad = 1, or no padding",
        )
    return _averaged(operation, value, window)


def _global_average_pool(operation: Operation) -> Value:
    value = _average_input(operation)
    return _averaged(operation, value, (value.map_shape[:2], (1, 1), (0, 0, 0, 0)))


def _average_input(operation: Operation) -> Activation:
    value = settle(operation.input(0))
    if not isinstance(value, Activation):
        raise operation.wrong_input(0, "an activation that comes from a DequantizeLinear")
    if value.flat:
        raise operation.refusal("its input is flattened", "a tensor of [batch, channels, height, width]")
    return value


def _averaged(
    operation: Operation,
    value: Activation,
    window: tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]],
) -> Pending:
    kernel, stride, padding = window
    shape = MaxPool(name=operation.layer_name, kernel=kernel, stride=stride, padding=padding).output_shape(
        value.chain.tensor
    )
    return Pending(
        name=operation.layer_name,
        what="an average",
        operands=(value,),
        shape=shape,
        window=window,
        chain=value.chain,
        flat=False,
        line=value.line,
    )


def _relu(operation: Operation) -> Value:
    return _cut(operation, 0.0, np.inf)


def _clip(operation: Operation) -> Value:
    limits = []
    for index, (what, default) in enumerate((("minimum", -np.inf), ("maximum", np.inf)), start=1):
        array = operation.constant(index, what) if operation.input(index) is not None else np.array(default)
        if array.size != 1 or np.isnan(array).any():
            raise operation.refusal(f"{what} {array.tolist()}", "one number")
        limits.append(float(array.reshape(-1)[0]))
    return _cut(operation, limits[0], limits[1])


def _cut(operation: Operation, low: float, high: float) -> Value:
    """Limits that the quantiser behind swallows or that become limits of a layer, or that are kept anyway."""
    if low > high:
        raise operation.refusal(f"limits {low:g}..{high:g}", "a minimum below the maximum")
    value = operation.input(0)
    match value:
        case Accumulators() | Pending():
            # Whether the QuantizeLinear behind it gives these limits anyway is known there.
            least, most = (min(max(limit, low), high) for limit in value.clip)
            if isinstance(value, Accumulators):
                return dataclasses.replace(value, clip=(least, most))
            alone = len(value.operands) == 1 and value.window is None
            settled = _settled(value.operands[0], value.name, (least, most)) if alone else None
            return dataclasses.replace(value, clip=(least, most), settled=settled)
        case Activation():
            least, most = (limit * value.scale for limit in dtype_range(value.chain.tensor.dtype))
            if low <= least and high >= most:
                return value
            return Pending(
                name=operation.layer_name,
                what="a cut activation",
                operands=(value,),
                shape=value.map_shape,
                clip=(low, high),
                settled=_settled(value, operation.layer_name, (low, high)),
                chain=value.chain,
                flat=value.flat,
                line=value.line,
            )
        case Codes():
            return _cut_codes(operation, value, low, high)
        case _:
            raise operation.wrong_input(0, "a layer's result or an activation, before its QuantizeLinear")


def _cut_codes(operation: Operation, value: Codes, low: float, high: float) -> Codes:
    """Limits of the integers themselves: what a quantiser to fewer than 8 bits leaves."""
    dtype = value.chain.tensor.dtype
    # In the network zero points are 0; a rewrite's 128 or -128 is taken out.
    least, most = dtype_range(dtype)
    limits = [min(max(limit - value.zero_point, least), most) for limit in (low, high)]
    if not limits[0] <= 0 <= limits[1]:
        raise operation.refusal(f"leaves the integers {low:g}..{high:g}", "limits on both sides of the zero point")
    scale = ScaledSum(multipliers=(1,), shift=0, dtype=dtype, low=int(limits[0]), high=int(limits[1]))
    return dataclasses.replace(value, chain=rescaled(value.chain, operation.layer_name, scale))


OPERATORS = {
    "AveragePool": Operator(_average_pool, (*WINDOW_ATTRIBUTES, "count_include_pad")),
    "Clip": Operator(_clip),
    "GlobalAveragePool": Operator(_global_average_pool),
    "Relu": Operator(_relu),
}

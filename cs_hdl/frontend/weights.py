"""Conv, Gemm, MatMul and a bias added after them: layers whose sums nothing has quantised yet."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.pending import add, settle
from cs_hdl.frontend.values import Accumulators, Activation, Constant, QuantisedConstant, Value
from cs_hdl.frontend.windows import window_padding
from cs_hdl.network import Conv2d, Linear, Requantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import WeightLayer

__all__ = ["OPERATORS"]

_DATA = "an activation that comes from a DequantizeLinear"
_WEIGHTS = "int8 weights that come from a DequantizeLinear"
_INT32 = np.iinfo(np.int32)


def _sums(source: Activation, layer: WeightLayer, scale: NDArray[np.float64], *, flat: bool) -> Accumulators:
    """The layer's result; its sums need not fit 32 bits where a requantisation follows."""
    narrow = Requantise(multiplier=np.ones(1, dtype=np.int64), shift=np.zeros(1, dtype=np.int64))
    shape = dataclasses.replace(layer, requantise=narrow).output(source.chain.tensor).shape
    line = source.line and not flat
    return Accumulators(chain=source.chain, flat=flat, line=line, layer=layer, scale=scale, shape=shape)


def _activation(operation: Operation, index: int = 0) -> Activation:
    value = settle(operation.input(index))
    if not isinstance(value, Activation):
        raise operation.wrong_input(index, _DATA)
    return value


def _weights(operation: Operation, axis: int, rank: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Input 1 as integers and their scale: one, or one for each index along ``axis`` (the output channels)."""
    value = operation.input(1)
    if not isinstance(value, QuantisedConstant):
        raise operation.wrong_input(1, _WEIGHTS)
    integers = value.integers
    if integers.ndim != rank or not integers.size:
        raise operation.refusal(f"weights of the shape {list(integers.shape)}", f"{rank} dimensions, none of them 0")
    bad = np.argwhere(np.abs(integers) > 127)
    if bad.size:
        where = [int(i) for i in bad[0]]
        found = f"weight {integers[tuple(where)]} at {where} of {value.name!r}"
        raise operation.refusal(found, "-127..127 (quantise symmetrically)")
    if value.scale.size > 1 and value.axis != axis:
        raise operation.refusal(
            f"weights with a scale for each index of axis {value.axis}", f"axis {axis} (the outputs)"
        )
    return integers.astype(np.int8), value.scale


def _bias(operation: Operation, index: int, scale: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Input ``index`` in steps of ``scale``, one value a channel; ``shape`` is what it is added to, channels second."""
    channels, value = shape[1], operation.input(index)
    if value is None:
        return np.zeros(channels, dtype=np.int64)
    if not isinstance(value, Constant | QuantisedConstant):
        raise operation.wrong_input(index, "a constant bias: float, or int32 through a DequantizeLinear")
    values = value.integers if isinstance(value, QuantisedConstant) else value.array
    padded = (1,) * (len(shape) - values.ndim) + values.shape
    if values.size not in (1, channels) or len(padded) != len(shape) or padded[1] != values.size:
        found = f"bias {operation.input_name(index)!r} of the shape {list(values.shape)}"
        raise operation.refusal(found, f"one value for each of {channels} outputs")
    flat = values.reshape(-1).astype(np.float64)
    if isinstance(value, QuantisedConstant):
        # The product of two float32 scales is rounded once more when it is written down as a third.
        same = np.allclose(value.scale, scale, rtol=1e-6, atol=0) if value.scale.size in (1, scale.size) else False
        steps = flat if same else np.rint(flat * value.scale / scale)
    else:
        steps = np.rint(flat / scale)
    bad = np.flatnonzero(~((steps >= _INT32.min) & (steps <= _INT32.max)))
    if bad.size:
        source = flat[bad[0] if flat.size > 1 else 0]
        found = f"bias {operation.input_name(index)!r} holds {source:g}, {steps[bad[0]]:g} steps of the sum's scale"
        raise operation.refusal(found, "values that fit 32 bits")
    return np.broadcast_to(steps, (channels,)).astype(np.int64)


def _conv(operation: Operation) -> Value:
    source = _activation(operation)
    if source.flat:
        raise operation.refusal("its input is flattened", "a tensor of [batch, channels, height, width]")
    weights, scale = _weights(operation, axis=0, rank=3 if source.line else 4)
    if source.line:
        weights = weights[:, :, None, :]
    kernel = (int(weights.shape[2]), int(weights.shape[3]))
    if operation.pair("kernel_shape", kernel, line=source.line) != kernel:
        raise operation.refusal(
            f"kernel_shape = {operation.attributes['kernel_shape']}", f"{list(kernel)}, its weights'"
        )
    stride = operation.pair("strides", (1, 1), line=source.line)
    sums = source.scale * scale
    layer = Conv2d(
        name=operation.layer_name,
        weights=weights,
        bias=_bias_vector(operation, sums, weights.shape[0]),
        stride=stride,
        padding=window_padding(operation, source.map_shape, kernel, stride, line=source.line),
        groups=operation.attribute("group", 1),
    )
    return _sums(source, layer, sums, flat=False)


def _bias_vector(operation: Operation, scale: NDArray[np.float64], channels: int) -> NDArray[np.int32]:
    """The bias that is input 2 of the node itself."""
    return _bias(operation, 2, scale, (1, channels)).astype(np.int32)


def _gemm(operation: Operation) -> Value:
    for name, wanted in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if operation.attribute(name, wanted) != wanted:
            raise operation.refusal(f"{name} = {operation.attributes[name]}", f"{name} = {wanted}")
    return _linear(operation, transposed=bool(operation.attribute("transB", 0)))


def _matmul(operation: Operation) -> Value:
    return _linear(operation, transposed=False)


def _linear(operation: Operation, *, transposed: bool) -> Value:
    """A linear layer; weights are ``[out, in]`` where ``transposed``, otherwise ``[in, out]``."""
    source = _activation(operation)
    weights, scale = _weights(operation, axis=0 if transposed else 1, rank=2)
    if not transposed:
        weights = weights.T
    if not source.flat:
        found = f"its input has the shape {list(source.onnx_shape)}"
        raise operation.refusal(found, "[batch, features]: put a Flatten before it")
    height, width, channels = source.map_shape
    if weights.shape[1] != height * width * channels:
        found = f"weights for {weights.shape[1]} input features, but its input has {height * width * channels}"
        raise operation.refusal(found, "as many as its input has")
    # The graph counts features by channel, height, width; the network by height, width, channel.
    maps = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    sums = source.scale * scale
    layer = Linear(
        name=operation.layer_name,
        weights=maps.reshape(len(maps), -1),
        bias=_bias_vector(operation, sums, len(maps)),
    )
    return _sums(source, layer, sums, flat=True)


def _add(operation: Operation) -> Value:
    """A constant added to a layer's sums is a bias; two activations make a residual sum."""
    total_of_two = add(operation)
    if total_of_two is not None:
        return total_of_two
    first, second = operation.input(0), operation.input(1)
    if isinstance(second, Accumulators) and isinstance(first, Constant | QuantisedConstant):
        swapped = dataclasses.replace(
            operation, inputs=(second, first), input_names=(operation.input_name(1), operation.input_name(0))
        )
        return _add(swapped)
    if not isinstance(first, Accumulators) or not first.untouched or first.features_reordered:
        raise operation.wrong_input(0, "a constant bias straight after a Conv, Gemm or MatMul")
    total = first.layer.bias.astype(np.int64) + _bias(operation, 1, first.scale, first.onnx_shape)
    if total.min() < _INT32.min or total.max() > _INT32.max:
        raise operation.refusal("the sum of two biases does not fit 32 bits", "a smaller bias")
    return dataclasses.replace(first, layer=dataclasses.replace(first.layer, bias=total.astype(np.int32)))


def _batch_normalization(operation: Operation) -> Value:
    """Folded into the layer before it: each channel's factor into its scale, what is added into its bias."""
    value = operation.input(0)
    if not isinstance(value, Accumulators) or not value.untouched or value.features_reordered:
        raise operation.wrong_input(0, "the result of a Conv, Gemm or MatMul, straight behind it")
    if operation.attribute("training_mode", 0):
        raise operation.refusal("training_mode = 1", "training_mode = 0")
    channels, layer = value.shape[2], value.layer
    constants = []
    for index, what in enumerate(("scale", "B", "mean", "variance"), start=1):
        array = operation.constant(index, what).astype(np.float64).reshape(-1)
        if array.size != channels or not np.isfinite(array).all():
            found = f"{what} {operation.input_name(index)!r} of {array.size} values"
            raise operation.refusal(found, f"{channels} finite numbers, one a channel")
        constants.append(array)
    gamma, beta, mean, variance = constants
    spread = variance + operation.attribute("epsilon", 1e-5)
    if spread.min() <= 0:
        raise operation.refusal(f"a variance of {variance.min():g}", "variances of at least 0")
    factor = gamma / np.sqrt(spread)
    # A factor of 0 leaves nothing of the weights; the scale may then be any.
    sign, size = np.sign(factor).astype(np.int64), np.where(factor == 0, 1.0, np.abs(factor))
    scale = np.broadcast_to(value.scale, (channels,)) * size
    bias = sign * layer.bias.astype(np.int64) + np.rint((beta - mean * factor) / scale)
    if bias.min() < _INT32.min or bias.max() > _INT32.max:
        raise operation.refusal("its offset does not fit the 32-bit bias of the layer before it", "a smaller offset")
    weights = layer.weights * sign.reshape(-1, *(1,) * (layer.weights.ndim - 1))
    folded = dataclasses.replace(layer, weights=weights.astype(np.int8), bias=bias.astype(np.int32))
    return dataclasses.replace(value, layer=folded, scale=scale)


OPERATORS = {
    "Add": Operator(_add),
    "BatchNormalization": Operator(_batch_normalization, ("epsilon", "momentum", "training_mode")),
    "Conv": Operator(_conv, ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")),
    "Gemm": Operator(_gemm, ("alpha", "beta", "transA", "transB")),
    "MatMul": Operator(_matmul),
}

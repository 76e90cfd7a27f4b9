"""What slides over a map and what cuts values: MaxPool, Relu, Clip, and the padding of windows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.values import Accumulators, Activation, Codes, Value
from cs_hdl.network import MaxPool, Tensor

if TYPE_CHECKING:
    from cs_hdl.network import Shape

__all__ = ["OPERATORS", "window_padding"]


def window_padding(
    operation: Operation, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int, int, int]:
    """``(top, left, bottom, right)`` of a window over ``shape``, from pads or auto_pad; refuses dilations."""
    if operation.pair("dilations", (1, 1)) != (1, 1):
        raise operation.refusal(f"dilations = {operation.attributes['dilations']}", "dilations = [1, 1]")
    auto_pad = operation.attribute("auto_pad", "NOTSET")
    pads = operation.attribute("pads", [0, 0, 0, 0])
    if auto_pad == "NOTSET":
        if len(pads) != 4 or min(pads) < 0:
            raise operation.refusal(f"pads = {pads}", "four integers of at least 0: top, left, bottom, right")
        return int(pads[0]), int(pads[1]), int(pads[2]), int(pads[3])
    if any(pads):
        raise operation.refusal(f"pads = {pads} together with auto_pad = {auto_pad}", "one of the two")
    if auto_pad == "VALID":
        return 0, 0, 0, 0
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise operation.refusal(f"auto_pad = {auto_pad}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    before, after = [], []
    for size, taps, step in zip(shape[:2], kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + taps - size, 0)
        small, large = total // 2, total - total // 2
        before.append(small if auto_pad == "SAME_UPPER" else large)
        after.append(large if auto_pad == "SAME_UPPER" else small)
    return before[0], before[1], after[0], after[1]


def _max_pool(operation: Operation) -> Value:
    value = operation.input(0)
    if not isinstance(value, Activation | Codes | Accumulators):
        raise operation.wrong_input(0, "a quantised activation, or a layer's result before its QuantizeLinear")
    if value.flat:
        raise operation.refusal("its input is flattened", "a tensor of [batch, channels, height, width]")
    if operation.attribute("ceil_mode", 0):
        raise operation.refusal("ceil_mode = 1", "ceil_mode = 0, with explicit pads where they are needed")
    if operation.outputs > 1:
        raise operation.refusal("it gives indices too", "one output")
    if "kernel_shape" not in operation.attributes:
        raise operation.refusal("no kernel_shape", "two integers (2-D only)")
    kernel, stride = operation.pair("kernel_shape", (1, 1)), operation.pair("strides", (1, 1))
    pool = MaxPool(
        name=operation.layer_name,
        kernel=kernel,
        stride=stride,
        padding=window_padding(operation, value.map_shape, kernel, stride),
    )
    if isinstance(value, Accumulators):
        # Behind the QuantizeLinear there will be a tensor of 8 bits; which of the two types makes no difference.
        shape = pool.output(Tensor(value.shape, "int8")).shape
        return dataclasses.replace(value, pools=(*value.pools, pool), shape=shape)
    return dataclasses.replace(value, chain=value.chain.then(pool))


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
    """Limits that the quantiser behind a layer swallows, or that an activation keeps anyway."""
    if low > high:
        raise operation.refusal(f"limits {low:g}..{high:g}", "a minimum below the maximum")
    value = operation.input(0)
    match value:
        case Accumulators():
            # Whether the QuantizeLinear behind it gives these limits anyway is known there.
            limits = tuple(min(max(limit, low), high) for limit in value.clip)
            return dataclasses.replace(value, clip=(limits[0], limits[1]))
        case Activation():
            least, most = (limit * value.scale for limit in dtype_range(value.chain.tensor.dtype))
            if low > least or high < most:
                raise operation.refusal(
                    f"cuts an activation of {least:g}..{most:g} to {low:g}..{high:g}",
                    "a Relu or Clip between a layer and its QuantizeLinear",
                )
            return value
        case _:
            raise operation.wrong_input(0, "a layer's result, before its QuantizeLinear")


OPERATORS = {
    "Clip": Operator(_clip),
    "MaxPool": Operator(
        _max_pool, ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
    ),
    "Relu": Operator(_relu),
}

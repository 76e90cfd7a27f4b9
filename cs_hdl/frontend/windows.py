"""What slides over a map: MaxPool, and kernel, stride and padding of every window."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cs_hdl.frontend.operation import Operation, Operator
from cs_hdl.frontend.values import Accumulators, Activation, Codes, Value
from cs_hdl.network import MaxPool, Tensor

if TYPE_CHECKING:
    from cs_hdl.frontend.values import Data
    from cs_hdl.network import Shape

__all__ = ["OPERATORS", "WINDOW_ATTRIBUTES", "window_of", "window_padding"]

WINDOW_ATTRIBUTES = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


def window_of(operation: Operation, value: Data) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Kernel, stride and padding of the node's window over ``value``."""
    if "kernel_shape" not in operation.attributes:
        raise operation.refusal("no kernel_shape", "its size, one integer for each dimension")
    kernel = operation.pair("kernel_shape", (1, 1), line=value.line)
    stride = operation.pair("strides", (1, 1), line=value.line)
    return kernel, stride, window_padding(operation, value.map_shape, kernel, stride, line=value.line)


def window_padding(
    operation: Operation, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], *, line: bool = False
) -> tuple[int, int, int, int]:
    """``(top, left, bottom, right)`` of a window over ``shape``, from pads or auto_pad; refuses dilations.

    A window over a ``line`` has a height of 1 and pads of (left, right).
    """
    ones = (1, 1)
    if operation.pair("dilations", ones, line=line) != ones:
        accepted = f"dilations = {list(ones[line:])}"
        raise operation.refusal(f"dilations = {operation.attributes['dilations']}", accepted)
    auto_pad = operation.attribute("auto_pad", "NOTSET")
    pads = operation.attribute("pads", [0, 0] if line else [0, 0, 0, 0])
    if line and len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
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
    kernel, stride, padding = window_of(operation, value)
    pool = MaxPool(name=operation.layer_name, kernel=kernel, stride=stride, padding=padding)
    if isinstance(value, Accumulators):
        # Behind the QuantizeLinear there will be a tensor of 8 bits; which of the two types makes no difference.
        shape = pool.output(Tensor(value.shape, "int8")).shape
        return dataclasses.replace(value, pools=(*value.pools, pool), shape=shape)
    return dataclasses.replace(value, chain=value.chain.then(pool))


OPERATORS = {"MaxPool": Operator(_max_pool, (*WINDOW_ATTRIBUTES, "storage_order"))}

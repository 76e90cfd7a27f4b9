"""A trained, quantised :class:`torch.nn.Sequential` to the integer network that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cs_hdl.errors import InputError
from cs_hdl.torch import integer
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale
from cs_hdl.torch.winners import KWinners, KWinners2d

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["integer_network"]


def integer_network(
    model: nn.Sequential, *, name: str, input_shape: tuple[int, int, int], input_exponent: int = 0
) -> integer.IntegerNetwork:
    """The integers of ``model``, whose layers must be named, of this package's kinds and quantised.

    ``input_shape`` is (channels, height, width); a :class:`PowerOfTwoScale` in front is taken into
    the next weights' scale. Raises InputError, naming the layer, for anything else.
    """
    layers: list[integer.IntegerLayer] = []
    pending = 0  # exponent of scalings that the next weights take in
    for layer_name, module in model.named_children():
        match module:
            case PowerOfTwoScale():
                pending += module.exponent
            case ComplementaryConv2d() | ComplementaryLinear():
                layers.append(_weights(layer_name, module, pending))
                pending = 0
            case FakeQuantise():
                if not module.enabled:
                    raise InputError(f"{layer_name}: quantisation is off; calibrate the model first")
                layers.append(integer.ToUint8(name=layer_name, exponent=int(module.exponent)))
            case nn.MaxPool2d():
                layers.append(integer.MaxPool(name=layer_name, size=_pool_size(layer_name, module)))
            case KWinners() | KWinners2d():
                layers.append(integer.Winners(name=layer_name, k=module.k))
            case nn.Dropout():
                pass  # acts in training only
            case nn.Flatten():
                layers.append(integer.Flatten(name=layer_name))
            case _:
                raise InputError(f"{layer_name}: {type(module).__name__} has no integer form here")
    return integer.IntegerNetwork(
        name=name, input_shape=input_shape, input_exponent=input_exponent, layers=tuple(layers)
    )


@torch.no_grad()
def _weights(
    name: str, module: ComplementaryConv2d | ComplementaryLinear, pending: int
) -> integer.IntegerConv2d | integer.IntegerLinear:
    if not module.weight_quantiser.enabled:
        raise InputError(f"{name}: its weights are not quantised; calibrate the model first")
    weights: NDArray[np.int8] = module.weight_quantiser.to_integer(module.weight * module.mask).numpy().astype(np.int8)
    bias = np.zeros(weights.shape[0], dtype=np.int32)
    if module.bias is not None:
        bias = module.bias_quantiser.to_integer(module.bias).numpy().astype(np.int32)
    exponent = int(module.weight_quantiser.exponent) + pending
    if isinstance(module, ComplementaryLinear):
        return integer.IntegerLinear(name=name, weights=weights, bias=bias, weight_exponent=exponent)
    return integer.IntegerConv2d(
        name=name,
        weights=weights,
        bias=bias,
        weight_exponent=exponent,
        stride=module.stride,
        padding=module.padding,
    )


def _pool_size(name: str, module: nn.MaxPool2d) -> int:
    square = isinstance(module.kernel_size, int) and module.stride == module.kernel_size
    if not square or module.padding or module.dilation != 1 or module.ceil_mode:
        raise InputError(f"{name}: only square max-pooling with stride = size and without padding is converted")
    return int(module.kernel_size)

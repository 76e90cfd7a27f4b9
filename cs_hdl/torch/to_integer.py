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
    model: nn.Sequential, *, name: str, input_shape: tuple[int, int, int], input_scale: float = 1.0
) -> integer.IntegerNetwork:
    """The integers of ``model``, whose layers must be named, of this package's kinds and quantised.

    ``input_shape`` is (channels, height, width); a :class:`PowerOfTwoScale` in front is taken into
    the next weights' scale. Raises InputError, naming the layer, for anything else, and for weights
    that are not 0 where their mask is.
    """
    layers: list[integer.IntegerLayer] = []
    pending = 1.0  # scalings that the next weights take in
    for layer_name, module in model.named_children():
        match module:
            case PowerOfTwoScale():
                pending *= 2.0**module.exponent
            case ComplementaryConv2d() | ComplementaryLinear():
                layers.append(_weights(layer_name, module, pending))
                pending = 1.0
            case FakeQuantise():
                if not module.enabled:
                    raise InputError(f"{layer_name}: quantisation is off; calibrate the model first")
                if module.dtype != "uint8":
                    raise InputError(f"{layer_name}: activations are quantised to uint8 here, not {module.dtype}")
                layers.append(integer.ToUint8(name=layer_name, scale=module.number))
            case nn.MaxPool2d():
                layers.append(integer.MaxPool(name=layer_name, size=_pool_size(layer_name, module)))
            case KWinners() | KWinners2d():
                layers.append(integer.Winners(name=layer_name, k=module.k))
            case nn.Dropout() | nn.Identity():
                pass  # acts in training only, or not at all
            case nn.Flatten():
                layers.append(integer.Flatten(name=layer_name))
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                raise InputError(f"{layer_name}: batch normalisation has no integer form; fold_batch_norm(model) first")
            case _:
                raise InputError(
                    f"{layer_name}: {type(module).__name__} has no integer form here; accepted: complementary layers, "
                    "FakeQuantise, KWinners, MaxPool2d, Flatten, Dropout (prepare replaces dense layers and ReLU)"
                )
    return integer.IntegerNetwork(name=name, input_shape=input_shape, input_scale=input_scale, layers=tuple(layers))


@torch.no_grad()
def _weights(
    name: str, module: ComplementaryConv2d | ComplementaryLinear, pending: float
) -> integer.IntegerConv2d | integer.IntegerLinear:
    if not module.weight_quantiser.enabled:
        raise InputError(f"{name}: its weights are not quantised; calibrate the model first")
    if not bool(torch.isfinite(module.weight).all()):
        raise InputError(f"{name}: a weight is not finite; train with a lower learning rate")
    stray = int(torch.count_nonzero(module.weight * (module.mask == 0)))
    if stray:
        raise InputError(f"{name}: {stray} weights are not 0 where the mask is; give the mask that belongs to them")
    quantised = module.weight_quantiser.to_integer(module.weight * module.mask)
    weights: NDArray[np.int8] = quantised.cpu().numpy().astype(np.int8)
    bias = np.zeros(weights.shape[0], dtype=np.int32)
    if module.bias is not None:
        bias = module.bias_quantiser.to_integer(module.bias).cpu().numpy().astype(np.int32)
    scale = module.weight_quantiser.number * pending
    if isinstance(module, ComplementaryLinear):
        return integer.IntegerLinear(name=name, weights=weights, bias=bias, weight_scale=scale)
    if isinstance(module.padding, str):
        raise InputError(f"{name}: padding {module.padding!r} has no integer form here; give numbers")
    return integer.IntegerConv2d(
        name=name,
        weights=weights,
        bias=bias,
        weight_scale=scale,
        stride=(module.stride[0], module.stride[1]),
        padding=(module.padding[0], module.padding[1]),
        groups=module.groups,
    )


def _pool_size(name: str, module: nn.MaxPool2d) -> int:
    square = isinstance(module.kernel_size, int) and module.stride == module.kernel_size
    if not square or module.padding or module.dilation != 1 or module.ceil_mode:
        raise InputError(f"{name}: only square max-pooling with stride = size and without padding is converted")
    return int(module.kernel_size)

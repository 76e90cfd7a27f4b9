"""Layers with weights: convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import dtype_range, smallest_dtype
from cs_hdl.network.tensor import Layer, Tensor, frozen_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network.requantise import Requantise
    from cs_hdl.network.tensor import Shape

__all__ = ["Conv2d", "Linear", "WeightLayer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightLayer(Layer):
    """What convolutions and linear layers share.

    ``weights`` is int8 in -127..127, ``[out_channels, ...]``, 0 where a weight is absent;
    ``bias`` is int32 ``[out_channels]``; without ``requantise`` the layer gives its exact
    accumulators.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantise: Requantise | None = None

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights)
        if weights.dtype != np.int8:
            raise InputError(f"{self.name}: weights must be int8, not {weights.dtype}")
        if weights.size == 0:
            raise InputError(f"{self.name}: weights of the shape {list(weights.shape)} are empty")
        if weights.min() < -127:
            where = [int(i) for i in np.argwhere(weights < -127)[0]]
            raise InputError(f"{self.name}: weight -128 at {where}; weights must be -127..127")
        object.__setattr__(self, "weights", frozen_array(weights, "int8"))
        bias = np.asarray(self.bias)
        if bias.dtype != np.int32:
            raise InputError(f"{self.name}: bias must be int32, not {bias.dtype}")
        if bias.shape != (weights.shape[0],):
            raise InputError(f"{self.name}: bias has the shape {list(bias.shape)}, not [{weights.shape[0]}]")
        object.__setattr__(self, "bias", frozen_array(bias, "int32"))
        if self.requantise is not None and self.requantise.multiplier.size not in (1, weights.shape[0]):
            raise InputError(
                f"{self.name}: {self.requantise.multiplier.size} scales for {weights.shape[0]} output channels"
            )

    @property
    def out_channels(self) -> int:
        """Number of kernels."""
        return int(self.weights.shape[0])

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        """The weights as ``[out_channels, kernel_height, kernel_width, in_channels]`` over ``tensor``."""
        raise NotImplementedError

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Stride ``(vertical, horizontal)`` and padding ``(top, left, bottom, right)`` over ``tensor``."""
        raise NotImplementedError

    def accumulator_range(self, tensor: Tensor) -> tuple[int, int]:
        """Smallest and largest accumulator that any input can give with these very weights."""
        flat = self.weights.reshape(self.out_channels, -1).astype(np.int64)
        positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        low, high = dtype_range(tensor.dtype)
        lows = positive * low + negative * high + self.bias
        highs = positive * high + negative * low + self.bias
        return int(lows.min()), int(highs.max())

    def _result(self, tensor: Tensor, shape: Shape) -> Tensor:
        if tensor.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: its input must be uint8 or int8, not {tensor.dtype}")
        if self.requantise is not None:
            return Tensor(shape, self.requantise.dtype)
        low, high = self.accumulator_range(tensor)
        try:
            return Tensor(shape, smallest_dtype(low, high))
        except ValueError:
            raise InputError(f"{self.name}: accumulators of {low}..{high} do not fit 32 bits") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(WeightLayer):
    """2-D convolution (cross-correlation, as in ONNX).

    ``weights``: ``[out_channels, in_channels / groups, kernel_height, kernel_width]``;
    ``padding``: ``(top, left, bottom, right)``, with zeros.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights.ndim != 4:
            raise InputError(
                f"{self.name}: weights of the shape {list(self.weights.shape)}; a convolution takes "
                "[out_channels, in_channels / groups, kernel_height, kernel_width]"
            )
        if min(self.stride) < 1:
            raise InputError(f"{self.name}: stride {self.stride} must be at least 1")
        if min(self.padding) < 0:
            raise InputError(f"{self.name}: padding {self.padding} must not be negative")
        if self.groups < 1 or self.out_channels % self.groups:
            raise InputError(
                f"{self.name}: {self.out_channels} output channels do not divide into {self.groups} groups"
            )

    def output(self, tensor: Tensor) -> Tensor:
        height, width, channels = tensor.shape
        _, group_channels, kernel_height, kernel_width = self.weights.shape
        if group_channels * self.groups != channels:
            raise InputError(
                f"{self.name}: weights for {group_channels * self.groups} input channels "
                f"({group_channels} in each of {self.groups} groups), but the input has {channels}"
            )
        top, left, bottom, right = self.padding
        if height + top + bottom < kernel_height or width + left + right < kernel_width:
            raise InputError(
                f"{self.name}: kernel {kernel_height}x{kernel_width} is larger than the input "
                f"{height}x{width} with padding {self.padding}"
            )
        out_height = (height + top + bottom - kernel_height) // self.stride[0] + 1
        out_width = (width + left + right - kernel_width) // self.stride[1] + 1
        return self._result(tensor, (out_height, out_width, self.out_channels))

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        out_channels, group_channels, kernel_height, kernel_width = self.weights.shape
        full = np.zeros((out_channels, kernel_height, kernel_width, tensor.shape[2]), dtype=np.int8)
        for group in range(self.groups):
            outs = slice(group * out_channels // self.groups, (group + 1) * out_channels // self.groups)
            ins = slice(group * group_channels, (group + 1) * group_channels)
            full[outs, :, :, ins] = self.weights[outs].transpose(0, 2, 3, 1)
        return full

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        return self.stride, self.padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(WeightLayer):
    """Fully connected layer; ``weights``: ``[out_features, in_features]``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights.ndim != 2:
            raise InputError(
                f"{self.name}: weights of the shape {list(self.weights.shape)}; "
                "a linear layer takes [out_features, in_features]"
            )

    def output(self, tensor: Tensor) -> Tensor:
        if self.weights.shape[1] != tensor.size:
            raise InputError(
                f"{self.name}: weights for {self.weights.shape[1]} input features, but the input "
                f"{list(tensor.shape)} has {tensor.size}"
            )
        return self._result(tensor, (1, 1, self.out_channels))

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        return self.weights.reshape(self.out_channels, *tensor.shape)

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        return (1, 1), (0, 0, 0, 0)

"""Pooling layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.errors import InputError
from cs_hdl.network.tensor import Layer, Tensor

if TYPE_CHECKING:
    from cs_hdl.network.elementwise import ScaledSum
    from cs_hdl.network.tensor import Shape

__all__ = ["AveragePool", "MaxPool", "Pool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Layer):
    """What poolings share: a window over each channel; padding ``(top, left, bottom, right)``."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def output_shape(self, tensor: Tensor) -> Shape:
        """``(height, width, channels)`` of the result; InputError where the window does not fit ``tensor``."""
        if tensor.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: pooling takes uint8 or int8, not {tensor.dtype}")
        if min(self.kernel) < 1 or min(self.stride) < 1:
            raise InputError(f"{self.name}: kernel {self.kernel} and stride {self.stride} must be at least 1")
        top, left, bottom, right = self.padding
        if min(self.padding) < 0 or max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise InputError(f"{self.name}: padding {self.padding} must be 0..kernel-1 of the kernel {self.kernel}")
        height, width, channels = tensor.shape
        out_height = (height + top + bottom - self.kernel[0]) // self.stride[0] + 1
        out_width = (width + left + right - self.kernel[1]) // self.stride[1] + 1
        if out_height < 1 or out_width < 1:
            raise InputError(f"{self.name}: kernel {self.kernel} is larger than its input {height}x{width}")
        # The last window may start in the padding behind the data: it would see nothing at all.
        if (out_height - 1) * self.stride[0] - top >= height or (out_width - 1) * self.stride[1] - left >= width:
            raise InputError(f"{self.name}: with padding {self.padding} the last window holds nothing but padding")
        return out_height, out_width, channels


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Max-pooling; padding never wins; comparison has the tensor's sign."""

    def output(self, tensor: Tensor) -> Tensor:
        return Tensor(self.output_shape(tensor), tensor.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """The exact sum of each window, scaled: ``scale`` holds 1 / (taps of the kernel) too.

    Padding counts as zeros (ONNX ``count_include_pad`` = 1). Global pooling is a kernel as large as the tensor.
    """

    scale: ScaledSum

    def output(self, tensor: Tensor) -> Tensor:
        self.scale.check(self.name, 1)
        return Tensor(self.output_shape(tensor), self.scale.dtype)

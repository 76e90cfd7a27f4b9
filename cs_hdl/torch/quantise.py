"""Fake quantisation: what integer hardware will do, in floating point, with gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cs_hdl.fixedpoint import dtype_range

__all__ = ["FakeQuantise", "PowerOfTwoScale", "covering_exponent", "covering_scale"]

# Weights are symmetric (-127..127); a bias stays below 2**23, so that float32 holds it exactly.
_RANGES = {"uint8": dtype_range("uint8"), "int8": (-127, 127), "int24": dtype_range("int24")}


class _Round(torch.autograd.Function):
    """Round half to even; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return torch.round(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def covering_exponent(largest: float, dtype: str) -> int:
    """The smallest exponent e for which ``largest`` (not negative) is at most the dtype's maximum times 2**e."""
    if not math.isfinite(largest) or largest < 0:
        raise ValueError(f"the largest magnitude must be finite and not negative, not {largest!r}")
    return math.ceil(math.log2(largest / _RANGES[dtype][1])) if largest else 0


def covering_scale(largest: float, dtype: str, *, power_of_two: bool = True) -> float:
    """The finest scale, as float32, at which ``largest`` is at most the dtype's maximum: a power of two, or any."""
    exponent = covering_exponent(largest, dtype)
    if power_of_two or not largest:
        return 2.0**exponent
    return float(np.float32(largest / _RANGES[dtype][1]))


class FakeQuantise(nn.Module):
    """Rounds (half to even) to a multiple of a scale and clamps to the range of ``dtype``.

    Off until :meth:`enable` gives the scale; until then an unsigned dtype only clips at 0 (a ReLU) and
    others pass unchanged. The gradient passes the rounding unchanged and is 0 where the value is
    clamped. Scale and switch are in the state_dict.

    Parameters
    ----------
    dtype : str
        "uint8" for activations, "int8" for weights (-127..127), "int24" for biases.

    Shape: any; the output has the input's.
    """

    scale: Tensor

    def __init__(self, dtype: str = "uint8") -> None:
        super().__init__()
        if dtype not in _RANGES:
            raise ValueError(f"dtype must be one of {', '.join(_RANGES)}, not {dtype!r}")
        self.dtype = dtype
        # 0 while it is off. The same as a Python number, so that torch.compile sees a constant and no branch on data.
        self.register_buffer("scale", torch.zeros(()))
        self._number = 0.0

    @property
    def enabled(self) -> bool:
        """True from :meth:`enable` on."""
        return self._number > 0

    @property
    def number(self) -> float:
        """The scale, 0 while it is off."""
        return self._number

    def enable(self, scale: float) -> None:
        """From now on quantise with ``scale``, rounded to float32. ValueError unless it is finite and positive."""
        if not math.isfinite(scale) or scale <= 0:
            raise ValueError(f"scale must be a finite number above 0, not {scale!r}")
        self._number = float(np.float32(scale))
        self.scale.fill_(self._number)

    def to_integer(self, value: Tensor) -> Tensor:
        """The integers (as floats) that stand for ``value``."""
        low, high = _RANGES[self.dtype]
        return _Round.apply((value / self._number).clamp(low, high))

    def forward(self, input: Tensor) -> Tensor:
        if self._number > 0:
            return self.to_integer(input) * self._number
        return input.clamp(min=0) if _RANGES[self.dtype][0] == 0 else input

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._number = float(self.scale)

    def extra_repr(self) -> str:
        return f"{self.dtype}, scale={self._number if self.enabled else None}"


class PowerOfTwoScale(nn.Module):
    """Multiplies by 2**exponent; brings integer inputs to about 1. Costs nothing: exported into the scales."""

    def __init__(self, exponent: int) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, input: Tensor) -> Tensor:
        return input * 2.0**self.exponent

    def extra_repr(self) -> str:
        return f"exponent={self.exponent}"

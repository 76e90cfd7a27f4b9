"""Fake quantisation: what integer hardware will do, in floating point, with gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from cs_hdl.fixedpoint import dtype_range

__all__ = ["FakeQuantise", "PowerOfTwoScale", "covering_exponent"]

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


class FakeQuantise(nn.Module):
    """Rounds (half to even) to a multiple of 2**exponent and clamps to the range of ``dtype``.

    Off until :meth:`enable` gives the exponent; until then an unsigned dtype only clips at 0 and
    others pass unchanged. The gradient passes the rounding unchanged and is 0 where the value is
    clamped.

    Parameters
    ----------
    dtype : str
        "uint8" for activations, "int8" for weights (-127..127), "int24" for biases.

    Shape: any; the output has the input's.
    """

    exponent: Tensor
    enabled: Tensor

    def __init__(self, dtype: str) -> None:
        super().__init__()
        if dtype not in _RANGES:
            raise ValueError(f"dtype must be one of {', '.join(_RANGES)}, not {dtype!r}")
        self.dtype = dtype
        self.register_buffer("exponent", torch.zeros((), dtype=torch.int64))
        self.register_buffer("enabled", torch.zeros((), dtype=torch.bool))

    def enable(self, exponent: int) -> None:
        """From now on quantise with the scale 2**exponent."""
        self.exponent.fill_(exponent)
        self.enabled.fill_(True)

    def to_integer(self, value: Tensor) -> Tensor:
        """The integers (as floats) that stand for ``value``."""
        low, high = _RANGES[self.dtype]
        return _Round.apply((value * 2.0 ** -int(self.exponent)).clamp(low, high))

    def forward(self, value: Tensor) -> Tensor:
        if self.enabled:
            return self.to_integer(value) * 2.0 ** int(self.exponent)
        return value.clamp(min=0) if _RANGES[self.dtype][0] == 0 else value

    def extra_repr(self) -> str:
        return f"{self.dtype}, exponent={int(self.exponent) if self.enabled else None}"


class PowerOfTwoScale(nn.Module):
    """Multiplies by 2**exponent; brings integer inputs to about 1. Costs nothing: exported into the scales."""

    def __init__(self, exponent: int) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, value: Tensor) -> Tensor:
        return value * 2.0**self.exponent

    def extra_repr(self) -> str:
        return f"exponent={self.exponent}"

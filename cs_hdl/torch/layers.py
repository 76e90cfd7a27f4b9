"""Convolution and linear layer whose kernels are sparse and overlay in sets without collision."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.torch.quantise import FakeQuantise, covering_exponent

__all__ = ["ComplementaryConv2d", "ComplementaryLinear"]


class _Complementary(nn.Module):
    """What both layers share: the mask, a starting point that fits it, and quantised parameters."""

    weight: Tensor
    bias: Tensor | None
    mask: Tensor

    def _add_mask(self, nonzeros: int, seed: int) -> None:
        kernels, positions = self.weight.shape[0], self.weight[0].numel()
        mask = complementary_masks(kernels=kernels, positions=positions, nonzeros=nonzeros, seed=seed)
        self.nonzeros = nonzeros
        self.register_buffer("mask", torch.from_numpy(mask).reshape(self.weight.shape).to(self.weight.dtype))
        with torch.no_grad():
            # Fewer weights have to carry the same variance.
            self.weight.mul_(self.mask * math.sqrt(positions / nonzeros))
        self.weight_quantiser = FakeQuantise("int8")
        self.bias_quantiser = FakeQuantise("int24")

    def enable_quantisation(self, input_exponent: int) -> None:
        """Quantise from now on: weights to int8 with the finest power of two that covers them,
        the bias to integers of the accumulators' scale. ``input_exponent``: the input's scale is 2**it."""
        largest = float((self.weight.detach() * self.mask).abs().max())
        self.weight_quantiser.enable(covering_exponent(largest, "int8"))
        self.bias_quantiser.enable(int(self.weight_quantiser.exponent) + input_exponent)

    def parameters_in_use(self) -> tuple[Tensor, Tensor | None]:
        """Weights (masked, quantised where that is on) and bias as the forward pass uses them."""
        bias = None if self.bias is None else self.bias_quantiser(self.bias)
        return self.weight_quantiser(self.weight * self.mask), bias


class ComplementaryConv2d(_Complementary, nn.Conv2d):
    """:class:`torch.nn.Conv2d` whose kernels have ``nonzeros`` weights at complementary positions.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, bias
        As in :class:`torch.nn.Conv2d`; ``padding`` in numbers.
    nonzeros : int
        Weights of a kernel, of in_channels * kernel_height * kernel_width. So many kernels as fit
        without two weights at one position form a set: kernels 0 .. n - 1, n .. 2n - 1, and so on.
    seed : int
        Of the masks; equal seeds give equal masks.

    Shape: ``[batch, in_channels, height, width]`` to ``[batch, out_channels, ...]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
        *,
        nonzeros: int,
        seed: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self._add_mask(nonzeros, seed)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.parameters_in_use()
        return functional.conv2d(input, weight, bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonzeros={self.nonzeros}"


class ComplementaryLinear(_Complementary, nn.Linear):
    """:class:`torch.nn.Linear` whose kernels have ``nonzeros`` weights at complementary positions.

    Parameters
    ----------
    in_features, out_features, bias
        As in :class:`torch.nn.Linear`.
    nonzeros, seed
        As in :class:`ComplementaryConv2d`; ``nonzeros=in_features`` makes a dense layer.

    Shape: ``[batch, in_features]`` to ``[batch, out_features]``.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, nonzeros: int, seed: int = 0) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self._add_mask(nonzeros, seed)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.parameters_in_use()
        return functional.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonzeros={self.nonzeros}"

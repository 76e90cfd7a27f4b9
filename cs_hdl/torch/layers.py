"""Convolution and linear layer whose kernels are sparse and overlay in sets without collision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.torch.quantise import FakeQuantise, covering_scale

__all__ = ["ComplementaryConv2d", "ComplementaryLinear", "kernel_nonzeros"]


def kernel_nonzeros(positions: int, nonzeros: int | None, sparsity: float | None) -> int:
    """Weights of a kernel of ``positions``: ``nonzeros``, or what ``sparsity`` (share of zeros) leaves, at least 1.

    ValueError unless exactly one of the two is given and possible.
    """
    if (nonzeros is None) == (sparsity is None):
        raise ValueError("give either nonzeros or sparsity")
    if sparsity is not None:
        if not 0 <= sparsity < 1:
            raise ValueError(f"sparsity must be at least 0 and below 1, not {sparsity!r}")
        return max(1, round((1 - sparsity) * positions))
    if isinstance(nonzeros, bool) or not isinstance(nonzeros, int) or not 1 <= nonzeros <= positions:
        raise ValueError(f"nonzeros must be 1..{positions}, not {nonzeros!r}")
    return nonzeros


class _Complementary(nn.Module):
    """What both layers share: the mask, a starting point that fits it, and quantised parameters."""

    weight: Tensor
    bias: Tensor | None
    mask: Tensor

    def _add_mask(
        self, nonzeros: int | None, sparsity: float | None, seed: int, mask: Tensor | None, *, groups: int = 1
    ) -> None:
        kernels, positions = self.weight.shape[0], self.weight[0].numel()
        if mask is None:
            count = kernel_nonzeros(positions, nonzeros, sparsity)
            # Kernels of different groups see different channels and never collide.
            chosen: Any = np.concatenate(
                [
                    complementary_masks(
                        kernels=kernels // groups, positions=positions, nonzeros=count, seed=seed + group
                    )
                    for group in range(groups)
                ]
            )
            mask = torch.from_numpy(chosen).reshape(self.weight.shape)
        elif nonzeros is not None or sparsity is not None:
            raise ValueError("give a mask, or nonzeros or sparsity, not both")
        elif mask.shape != self.weight.shape:
            raise ValueError(f"mask has the shape {list(mask.shape)}, the weights {list(self.weight.shape)}")
        self.register_buffer("mask", (mask != 0).to(device=self.weight.device, dtype=self.weight.dtype))
        with torch.no_grad():
            # Fewer weights have to carry the same variance.
            self.weight.mul_(self.mask * math.sqrt(positions / max(1, self.nonzeros)))
        self.weight_quantiser = FakeQuantise("int8").to(self.weight.device)
        self.bias_quantiser = FakeQuantise("int24").to(self.weight.device)

    @property
    def nonzeros(self) -> int:
        """The most weights that the mask leaves a kernel."""
        return int(self.mask.flatten(1).sum(dim=1).max())

    def enable_quantisation(self, input_scale: float, *, power_of_two: bool = True) -> None:
        """Quantise from now on: weights to int8 with the finest scale that covers them, the bias to
        integers of the accumulators' scale. ``input_scale``: the input's integers stand for so much each."""
        largest = float((self.weight.detach() * self.mask).abs().max())
        self.weight_quantiser.enable(covering_scale(largest, "int8", power_of_two=power_of_two))
        self.bias_quantiser.enable(self.weight_quantiser.number * input_scale)

    def parameters_in_use(self) -> tuple[Tensor, Tensor | None]:
        """Weights (masked, quantised where that is on) and bias as the forward pass uses them."""
        bias = None if self.bias is None else self.bias_quantiser(self.bias)
        return self.weight_quantiser(self.weight * self.mask), bias


class ComplementaryConv2d(_Complementary, nn.Conv2d):
    """:class:`torch.nn.Conv2d` whose kernels have few weights, at positions that complement each other.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        As in :class:`torch.nn.Conv2d`; ``padding`` in numbers, ``dilation`` 1, ``padding_mode`` "zeros".
    nonzeros : int, optional
        Weights of a kernel, of in_channels / groups * kernel_height * kernel_width. So many kernels as fit
        without two weights at one position form a set: of s sets, set i has kernels i, i + s, i + 2 s, ...
    sparsity : float, optional
        The share of zeros, in place of ``nonzeros``: ``max(1, round((1 - sparsity) * n))`` weights a kernel.
    seed : int
        Of the masks; equal seeds give equal masks.
    mask : Tensor, optional
        The weights that are there (not 0), in place of all three.

    Shape: ``[batch, in_channels, height, width]`` to ``[batch, out_channels, ...]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        nonzeros: int | None = None,
        sparsity: float | None = None,
        seed: int = 0,
        mask: Tensor | None = None,
    ) -> None:
        if isinstance(padding, str):
            raise ValueError(f"padding must be one number or two, not {padding!r}")
        if dilation not in (1, (1, 1), [1, 1]):
            raise ValueError(f"dilation must be 1, not {dilation!r}: the hardware has no gaps between taps")
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', not {padding_mode!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 1, groups, bias, "zeros", device, dtype
        )
        self._add_mask(nonzeros, sparsity, seed, mask, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.parameters_in_use()
        return functional.conv2d(input, weight, bias, self.stride, self.padding, 1, self.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonzeros={self.nonzeros}"


class ComplementaryLinear(_Complementary, nn.Linear):
    """:class:`torch.nn.Linear` whose kernels have few weights, at positions that complement each other.

    Parameters
    ----------
    in_features, out_features, bias, device, dtype
        As in :class:`torch.nn.Linear`.
    nonzeros, sparsity, seed, mask
        As in :class:`ComplementaryConv2d`; ``nonzeros=in_features`` makes a dense layer.

    Shape: ``[..., in_features]`` to ``[..., out_features]``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        nonzeros: int | None = None,
        sparsity: float | None = None,
        seed: int = 0,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self._add_mask(nonzeros, sparsity, seed, mask)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.parameters_in_use()
        return functional.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonzeros={self.nonzeros}"

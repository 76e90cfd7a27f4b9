"""What a layer is given and what another one makes of it: means and covariances over data, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Moments", "measure_moments"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Means and covariances of a kernel's inputs and of the outputs that are wanted of it; all float64.

    ``inputs`` ``[positions, positions]`` and ``cross`` ``[positions, kernels]`` are covariances, ``variance``
    ``[kernels]`` is that of the outputs; ``input_mean`` ``[positions]``, ``output_mean`` ``[kernels]``.
    """

    inputs: Tensor
    cross: Tensor
    variance: Tensor
    input_mean: Tensor
    output_mean: Tensor


class _Sums:
    """Sums over rows of inputs and of outputs."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[Tensor] = []

    def add(self, given: Tensor, wanted: Tensor) -> None:
        """Rows ``[n, positions]`` and ``[n, kernels]``."""
        # The products in single precision: a batch is short enough, and it takes half the time.
        new = [given.T @ given, given.T @ wanted, (wanted * wanted).sum(0), given.sum(0), wanted.sum(0)]
        self._sums = [each.double() for each in new] if not self._sums else [
            total + each.double() for total, each in zip(self._sums, new, strict=True)
        ]  # fmt: skip
        self._count += len(given)

    def moments(self) -> Moments:
        square, cross, squares, given, wanted = [total / self._count for total in self._sums]
        return Moments(
            inputs=square - torch.outer(given, given),
            cross=cross - torch.outer(given, wanted),
            variance=squares - wanted * wanted,
            input_mean=given,
            output_mean=wanted,
        )


@torch.no_grad()
def measure_moments(
    model: nn.Module,
    other: nn.Module,
    layer: str,
    batches: Callable[[], Iterable[Tensor]],
    *,
    images: int,
    rows: int,
) -> Moments:
    """Of what ``layer`` of ``model`` is given, and what the layer of the same name in ``other`` makes of its own input.

    Both models see the same images of ``batches()``, of which there are ``images``, as they are (in inference mode,
    say). A convolution gives a row for each place of its output: of the images, evenly spread, only so many are looked
    at that there are about ``rows`` rows.
    """
    module, sums = model.get_submodule(layer), _Sums()
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.update(given=inputs[0])),
        other.get_submodule(layer).register_forward_hook(lambda _, inputs, output: seen.update(wanted=output)),
    ]
    try:
        other(next(iter(batches()))[:1])
        every = max(1, images * _places(seen["wanted"]) // rows)
        number = 0
        for batch in batches():
            # The first of each ``every`` images, counted over all batches.
            some = batch[-number % every :: every]
            number += len(batch)
            if len(some):
                model(some)
                other(some)
                sums.add(*_rows(module, seen["given"], seen["wanted"]))
    finally:
        for hook in hooks:
            hook.remove()
    return sums.moments()


def _places(output: Tensor) -> int:
    """Rows that an image gives."""
    return output[0, 0].numel() if output.ndim == 4 else output[0, ..., 0].numel()


def _rows(module: nn.Module, given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs of a kernel and outputs, a row for each place of each image."""
    if isinstance(module, nn.Conv2d):
        assert not isinstance(module.padding, str)
        given = functional.unfold(given, module.kernel_size, module.dilation, module.padding, module.stride)
        return given.transpose(1, 2).flatten(0, 1), wanted.flatten(2).transpose(1, 2).flatten(0, 1)
    return given.flatten(0, -2), wanted.flatten(0, -2)

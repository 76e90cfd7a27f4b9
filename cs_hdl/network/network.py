"""The network: layers in the order of the data, which fit each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cs_hdl.errors import InputError
from cs_hdl.network.elementwise import Residual
from cs_hdl.network.select import ArgMax
from cs_hdl.network.tensor import Layer, Tensor
from cs_hdl.network.weights import WeightLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Network"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A chain of layers over ``input``; ``tensors[i]`` is what layer i reads, the last is the output.

    Where the data part and meet again, the layer is a :class:`Residual`, which holds chains itself.

    Raises InputError, naming the layer, where two neighbours do not fit.
    """

    name: str
    input: Tensor
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError(f"{self.name}: a network needs at least one layer")
        if self.input.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: the input must be uint8 or int8, not {self.input.dtype}")
        if min(self.input.shape) < 1:
            raise InputError(f"{self.name}: input shape {list(self.input.shape)} must be at least 1 everywhere")
        names = [layer.name for layer in _names(self.layers)]
        if len(set(names)) != len(names):
            raise InputError(f"{self.name}: two layers have the same name: {', '.join(names)}")
        tensors = [self.input]
        for layer in self.layers:
            tensors.append(layer.output(tensors[-1]))
        for layer, tensor in zip(self.layers[:-1], tensors[1:-1], strict=True):
            if tensor.dtype not in ("uint8", "int8") and not isinstance(self.layers[-1], ArgMax):
                raise InputError(f"{layer.name}: only the last layer may give accumulators; it needs a scale")
        object.__setattr__(self, "tensors", tuple(tensors))

    @property
    def flat(self) -> tuple[tuple[Layer, Tensor], ...]:
        """Every layer and what it reads, those of the branches before the residual that they belong to."""
        return tuple(_flat(self.layers, list(self.tensors)))

    @property
    def weighted(self) -> tuple[tuple[WeightLayer, Tensor], ...]:
        """The layers with weights among them."""
        return tuple((layer, tensor) for layer, tensor in self.flat if isinstance(layer, WeightLayer))

    @property
    def output(self) -> Tensor:
        """What the network gives."""
        return self.tensors[-1]


def _names(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _names(layer.body)
            yield from _names(layer.shortcut)
        yield layer


def _flat(layers: tuple[Layer, ...], tensors: list[Tensor]) -> Iterator[tuple[Layer, Tensor]]:
    for layer, tensor in zip(layers, tensors, strict=False):
        if isinstance(layer, Residual):
            body, shortcut = layer.branch_tensors(tensor)
            yield from _flat(layer.body, body)
            yield from _flat(layer.shortcut, shortcut)
        yield layer, tensor

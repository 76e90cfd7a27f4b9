"""Layers that select: k-WTA, and the index of the largest value."""

from __future__ import annotations

from dataclasses import dataclass

from cs_hdl.errors import InputError
from cs_hdl.network.tensor import Layer, Tensor

__all__ = ["ArgMax", "GlobalKWTA", "LocalKWTA"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalKWTA(Layer):
    """k-WTA among the channels of each position: the ``winners`` largest stay, the others become 0.

    Exactly ``winners`` win; of equal values those with the lower channel.
    """

    winners: int

    def output(self, tensor: Tensor) -> Tensor:
        _check_winners(self.name, self.winners, tensor, tensor.shape[2], "channels")
        return Tensor(tensor.shape, tensor.dtype, self.winners)


@dataclass(frozen=True, kw_only=True, eq=False)
class GlobalKWTA(Layer):
    """k-WTA over the whole tensor, in C order of (height, width, channel); ties to the lower index."""

    winners: int

    def output(self, tensor: Tensor) -> Tensor:
        _check_winners(self.name, self.winners, tensor, tensor.size, "features")
        return Tensor((1, 1, tensor.size), tensor.dtype, self.winners)


def _check_winners(name: str, winners: int, tensor: Tensor, count: int, what: str) -> None:
    if tensor.dtype != "uint8":
        raise InputError(f"{name}: k-WTA takes uint8, not {tensor.dtype}")
    if not 1 <= winners <= count:
        raise InputError(f"{name}: k = {winners} must be 1..{count} (the number of {what})")


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMax(Layer):
    """Index of the largest of all values; the lowest index on ties. The result is ``(1, 1, 1)``."""

    def output(self, tensor: Tensor) -> Tensor:
        if tensor.size > 65536:
            raise InputError(f"{self.name}: ArgMax over {tensor.size} values; at most 65536")
        return Tensor((1, 1, 1), "uint8" if tensor.size <= 256 else "uint16")

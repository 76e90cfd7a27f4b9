"""Layers that work value by value: rescaling and clipping one tensor, adding two (a residual block)."""

from __future__ import annotations

from dataclasses import dataclass

from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import MAX_MULTIPLIER, MAX_SHIFT, dtype_range
from cs_hdl.network.select import ArgMax
from cs_hdl.network.tensor import Layer, Tensor

__all__ = ["Rescale", "Residual", "ScaledSum"]


@dataclass(frozen=True, kw_only=True)
class ScaledSum:
    """``clamp(round_half_even(sum of operand * multiplier / 2**shift))`` to ``low..high`` of ``dtype``.

    One multiplier (1..65535) for each operand, one ``shift`` (0..47) for all. The sum is exact and is rounded
    once, ties to even. ``low`` and ``high`` are what ReLU and Clip leave; by default ``dtype`` gives them.
    """

    multipliers: tuple[int, ...]
    shift: int
    dtype: str = "uint8"
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ("uint8", "int8"):
            raise InputError(f"a sum is scaled to uint8 or int8, not {self.dtype}")
        least, most = dtype_range(self.dtype)
        object.__setattr__(self, "low", least if self.low is None else self.low)
        object.__setattr__(self, "high", most if self.high is None else self.high)
        for multiplier in self.multipliers:
            if not 1 <= multiplier <= MAX_MULTIPLIER:
                raise InputError(f"multiplier {multiplier} must be 1..{MAX_MULTIPLIER}")
        if not 0 <= self.shift <= MAX_SHIFT:
            raise InputError(f"shift {self.shift} must be 0..{MAX_SHIFT}")
        if not least <= self.limits[0] <= self.limits[1] <= most:
            raise InputError(f"limits {self.low}..{self.high} must rise and lie within {self.dtype}'s {least}..{most}")
        if not self.limits[0] <= 0 <= self.limits[1]:
            raise InputError(f"limits {self.low}..{self.high} must include 0, which unused places of a beat hold")

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest result."""
        assert self.low is not None and self.high is not None
        return self.low, self.high

    def check(self, name: str, operands: int) -> None:
        """InputError unless there is a multiplier for each of the layer's ``operands``."""
        if len(self.multipliers) != operands:
            raise InputError(f"{name}: {len(self.multipliers)} multipliers for {operands} operand(s)")


def check_byte(name: str, what: str, tensor: Tensor) -> None:
    """InputError unless ``tensor`` holds 8-bit values."""
    if tensor.dtype not in ("uint8", "int8"):
        raise InputError(f"{name}: {what} must be uint8 or int8, not {tensor.dtype}; give that layer a scale")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescale(Layer):
    """Each value scaled anew: another scale or type for the same numbers, ReLU, ReLU6, Clip."""

    scale: ScaledSum

    def output(self, tensor: Tensor) -> Tensor:
        self.scale.check(self.name, 1)
        check_byte(self.name, "its input", tensor)
        return Tensor(tensor.shape, self.scale.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Residual(Layer):
    """Two branches over the same tensor, and their sum, scaled: ``scale`` of ``(body, shortcut)``.

    ``body`` and ``shortcut`` are layers in the order of the data; an empty shortcut is the tensor itself.
    Branches may hold residuals themselves. Both give 8-bit tensors of one shape, signed or not. What a
    k-WTA left is read as a dense tensor, and so is what it leaves at a branch's end.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    scale: ScaledSum

    def output(self, tensor: Tensor) -> Tensor:
        self.scale.check(self.name, 2)
        if not self.body:
            raise InputError(f"{self.name}: its body needs at least one layer")
        check_byte(self.name, "its input", tensor)
        body, shortcut = self.branch_tensors(tensor)
        if body[-1].shape != shortcut[-1].shape:
            raise InputError(
                f"{self.name}: its branches give {list(body[-1].shape)} and {list(shortcut[-1].shape)}; "
                "a sum takes two tensors of one shape"
            )
        return Tensor(body[-1].shape, self.scale.dtype)

    def branch_tensors(self, tensor: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What each layer of body and shortcut reads, and last what the branch gives."""
        return self._tensors(self.body, tensor), self._tensors(self.shortcut, tensor)

    def _tensors(self, layers: tuple[Layer, ...], tensor: Tensor) -> list[Tensor]:
        tensors = [tensor.dense]
        for layer in layers:
            if isinstance(layer, ArgMax):
                raise InputError(f"{layer.name}: an ArgMax must be the last layer; it is in a branch of {self.name}")
            tensors.append(layer.output(tensors[-1]))
            check_byte(self.name, f"what {layer.name} gives", tensors[-1])
        return tensors

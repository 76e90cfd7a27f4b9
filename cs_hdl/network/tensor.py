"""What flows between layers, and what every layer has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layer", "Shape", "Tensor", "frozen_array"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Tensor:
    """Shape ``(height, width, channels)`` and dtype of what flows between two layers.

    ``winners`` is the number of non-zero values at most in each group of ``group`` values
    (channels of one position, or the whole tensor): what a k-WTA left; None where any value
    may be non-zero.
    """

    shape: Shape
    dtype: str
    winners: int | None = None

    @property
    def size(self) -> int:
        """Values of the whole tensor."""
        return math.prod(self.shape)

    @property
    def dense(self) -> Tensor:
        """The same tensor where every value may be non-zero, as a branch reads it."""
        return Tensor(self.shape, self.dtype)


def frozen_array(array: Any, dtype: str) -> NDArray[Any]:
    """A read-only copy of ``array``."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One step of the network; ``output(tensor)`` gives its result's shape and dtype."""

    name: str

    def output(self, tensor: Tensor) -> Tensor:
        """Shape and dtype of the result; raises InputError where ``tensor`` does not fit."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """The layer's kind as the manifest writes it."""
        return type(self).__name__

"""What a convolution, a linear layer or a pooling does to positions: numbers only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs_hdl.network import Pool, Shape, Tensor, WeightLayer

__all__ = ["Geometry", "pool_geometry", "weight_geometry"]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A kernel that slides over a tensor.

    ``shape`` is the input's ``(height, width, channels)``, ``kernel`` and ``stride`` are
    ``(vertical, horizontal)``, ``padding`` is ``(top, left, bottom, right)``, ``out`` the output's
    ``(height, width)``. A linear layer is a kernel as large as its input.
    """

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    @property
    def out(self) -> tuple[int, int]:
        """Output positions, ``(height, width)``."""
        top, left, bottom, right = self.padding
        return (
            (self.shape[0] + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (self.shape[1] + left + right - self.kernel[1]) // self.stride[1] + 1,
        )

    @property
    def positions(self) -> int:
        """Output positions of a word."""
        return self.out[0] * self.out[1]

    @property
    def raster(self) -> tuple[int, int]:
        """Height and width that a window walks over: the input, or as far as its last anchor reaches."""
        return (
            max(self.shape[0], (self.out[0] - 1) * self.stride[0] + 1),
            max(self.shape[1], (self.out[1] - 1) * self.stride[1] + 1),
        )

    def anchor_delay(self, beats: int) -> int:
        """Steps of a raster of ``beats`` a position until a value has come to the anchor of its window."""
        rows = self.kernel[0] - 1 - self.padding[0]
        columns = self.kernel[1] - 1 - self.padding[1]
        return (rows * self.raster[1] + columns) * beats

    def side_by_side(self, windows: int) -> Geometry:
        """The same kernel at ``windows`` neighbouring places at once: one that is wider, and moves on further."""
        if windows == 1:
            return self
        assert self.stride[1] == 1 and not any(self.padding)
        kernel, stride = (self.kernel[0], self.kernel[1] + windows - 1), (self.stride[0], windows)
        return dataclasses.replace(self, kernel=kernel, stride=stride)

    def wide_cycles(self, columns: int) -> int:
        """Cycles of a window whose beats hold ``columns`` positions: see ``rtl.primitives.wide_window``."""
        return self.positions + (self.shape[0] - self.out[0]) * (self.shape[1] // columns)

    def allows_columns(self, columns: int) -> bool:
        """Whether a window can take ``columns`` at once: they divide a row, without padding, and hold the kernel's,
        whose windows end in the beat that brings their last column and begin the same way in each."""
        if any(self.padding) or self.shape[1] % columns or columns < self.kernel[1]:
            return False
        whole = columns == self.shape[1] or columns % self.stride[1] == 0
        return whole and (columns - self.kernel[1]) % self.stride[1] == 0

    def wide_columns(self) -> list[int]:
        """All numbers of columns, of more than one, that a window can take at once, rising."""
        return [columns for columns in range(2, self.shape[1] + 1) if self.allows_columns(columns)]

    def window_columns(self, cycles: int) -> int | None:
        """The fewest columns that a window must take at once to keep within ``cycles``; None where none are enough."""
        height, width = self.raster
        if height * width <= cycles:
            return 1
        return next((columns for columns in self.wide_columns() if self.wide_cycles(columns) <= cycles), None)

    @property
    def blocks(self) -> bool:
        """Whether windows lie side by side, without padding: no value belongs to two."""
        return self.stride == self.kernel and not any(self.padding)

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def last_rows(self) -> list[int]:
        """Without padding: the input row that completes each output row."""
        return [self.kernel[0] - 1 + row * self.stride[0] for row in range(self.out[0])]

    def first_row(self, row: int) -> int:
        """First input row (clamped to the input) that the output row ``row`` looks at."""
        return min(max(row * self.stride[0] - self.padding[0], 0), self.shape[0])

    def end_row(self, row: int) -> int:
        """One past the last input row (clamped to the input) that the output row ``row`` looks at."""
        return min(max(row * self.stride[0] - self.padding[0] + self.kernel[0], 0), self.shape[0])


def weight_geometry(layer: WeightLayer, tensor: Tensor) -> Geometry:
    """The geometry of a convolution or a linear layer over ``tensor``."""
    stride, padding = layer.geometry(tensor)
    height, width = layer.kernels(tensor).shape[1:3]
    return Geometry(shape=tensor.shape, kernel=(height, width), stride=stride, padding=padding)


def pool_geometry(layer: Pool, tensor: Tensor) -> Geometry:
    """The geometry of a pooling over ``tensor``."""
    return Geometry(shape=tensor.shape, kernel=layer.kernel, stride=layer.stride, padding=layer.padding)

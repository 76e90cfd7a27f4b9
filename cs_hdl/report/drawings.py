"""Inline SVG for the page of a design: no text in it, so that it may be scaled to any width."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["kernel_colour", "packed_set", "tensor_glyph", "time_strip"]

#: Steps of the time axis that a strip tells apart, and shades of how busy a step is.
_STEPS, _SHADES = 200, 4
#: Hues that follow each other at the golden angle never come close.
_GOLDEN_ANGLE = 137.508


def kernel_colour(number: int) -> str:
    """A colour for the kernel ``number`` of a set; neighbours differ in hue and in lightness."""
    lightness = (46, 66, 56)[number % 3]
    return f"hsl({number * _GOLDEN_ANGLE % 360:.0f} 62% {lightness}%)"


def time_strip(times: NDArray[np.int64], *, span: int, kind: str) -> str:
    """How many beats move when, over the cycles 0..``span``: darker where more do. ``kind`` is its CSS class."""
    counts, _ = np.histogram(times, bins=_STEPS, range=(0, span))
    levels = np.ceil(counts * _SHADES / max(1, int(counts.max()))).astype(int)
    rectangles = []
    start = 0
    for end in range(1, _STEPS + 1):
        if end == _STEPS or levels[end] != levels[start]:
            if levels[start]:
                shade = f"{levels[start] / _SHADES:.2f}"
                rectangles.append(f'<rect x="{start}" width="{end - start}" height="1" opacity="{shade}"/>')
            start = end
    return (
        f'<svg class="strip {escape(kind)}" viewBox="0 0 {_STEPS} 1" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(rectangles)}</svg>"
    )


def packed_set(owners: NDArray[np.int64], *, columns: int, label: str, names: Iterable[str] = ()) -> str:
    """The places of a set, ``columns`` in a row, each in the colour of the kernel that owns it.

    ``owners`` has the kernel's number in the set for each place, -1 where nothing lies; ``names`` what to say of
    each kernel.
    """
    rows = -(-len(owners) // columns)
    texts = dict(enumerate(names))
    paths = [f'<path class="empty" d="{_cells(np.flatnonzero(owners < 0), columns)}"/>']
    for number in sorted({int(owner) for owner in owners[owners >= 0]}):
        places = np.flatnonzero(owners == number)
        title = f"<title>{escape(texts.get(number, f'kernel {number}'))}: {len(places)} weights</title>"
        paths.append(f'<path fill="{kernel_colour(number)}" d="{_cells(places, columns)}">{title}</path>')
    return (
        f'<svg class="cells" viewBox="0 0 {columns} {rows}" role="img" aria-label="{escape(label)}" '
        f'style="--columns:{columns};--cell:{_cell(columns)}px" shape-rendering="crispEdges">{"".join(paths)}</svg>'
    )


def _cell(columns: int) -> int:
    """Pixels of a place, so that small kernels can be seen and large ones do not fill the page."""
    return max(6, min(16, 384 // columns))


def _cells(places: NDArray[np.int64], columns: int) -> str:
    """A path of squares, neighbours in a row joined."""
    parts = []
    index = 0
    while index < len(places):
        first = last = int(places[index])
        while index + 1 < len(places) and int(places[index + 1]) == last + 1 and (last + 1) % columns:
            index += 1
            last += 1
        parts.append(f"M{first % columns} {first // columns}h{last - first + 1}v1h-{last - first + 1}z")
        index += 1
    return "".join(parts)


def tensor_glyph(shape: tuple[int, int, int]) -> str:
    """A tensor as a box whose edges grow with the square root of its sides."""
    height, width, depth = (min(34.0, 3.0 + 2.6 * float(side) ** 0.5) for side in shape)
    shift = width * 0.45
    right, bottom = depth + shift, height + shift * 0.6
    top = f"0,{shift * 0.6:.1f} {shift:.1f},0 {right:.1f},0 {depth:.1f},{shift * 0.6:.1f}"
    side = f"{depth:.1f},{shift * 0.6:.1f} {right:.1f},0 {right:.1f},{height:.1f} {depth:.1f},{bottom:.1f}"
    return (
        f'<svg class="tensor" width="{right:.0f}" height="{bottom:.0f}" viewBox="0 0 {right:.1f} {bottom:.1f}" '
        f'aria-hidden="true"><rect x="0" y="{shift * 0.6:.1f}" width="{depth:.1f}" height="{height:.1f}"/>'
        f'<polygon class="top" points="{top}"/><polygon class="side" points="{side}"/></svg>'
    )

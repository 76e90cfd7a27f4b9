"""Combine by single weights: a kernel may span several sets, so that arbitrary masks reach the lower bound.

Whole kernels collide: 1500 random kernels of 80 of 1600 weights take 647 sets where the fullest position
has 105. Here each multiplier serves ``turns`` sets one after the other, whose products go to the same
accumulators, so a kernel may lie in all of them: it only needs one place in *some* turn for each of its
weights. Where a position holds more weights than a column has turns, the rest go to the next column as a
*guest*: a kernel id of its own there, drained in the same cycle as the kernel's own, so that merging the
two partial sums takes one adder a column and no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.combine.masks import lower_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

__all__ = ["Spanning", "span_kernels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Spanning:
    """Where each weight lies when kernels may span sets.

    Set ``turn * columns + column`` is served by multiplier ``column`` in turn ``turn``. ``place`` is int16
    ``[kernels, positions]``: the set of each weight, -1 where there is none. ``members[column][kernel id]`` is
    the kernel whose products go there (-1: nobody), ``guests[column]`` the kernel ids whose sums belong to the
    column before.
    """

    columns: int
    turns: int
    place: NDArray[np.int16]
    members: tuple[tuple[int, ...], ...]
    guests: tuple[tuple[int, ...], ...]


def span_kernels(masks: Mask, *, columns: int, turns: int) -> Spanning | None:
    """Pack the rows of ``masks`` (bool ``[kernels, positions]``) by single weights. Deterministic.

    None where ``columns * turns`` sets are not enough: fewer than the lower bound, or (rarely, with few
    turns) a position whose overflow would need more than one neighbour.
    """
    if columns * turns < lower_bound(masks):
        return None
    homes = _homes(masks, columns, turns)
    loads = np.stack([masks[homes == column].sum(axis=0, dtype=np.int64) for column in range(columns)])
    moved = _flows(loads, turns)
    if moved is None:
        return None
    away = np.zeros_like(masks)
    for column in range(columns):
        _choose_guests(masks, np.flatnonzero(homes == column), moved[column], away)
    members, guests = _kernel_ids(homes, np.asarray(away.any(axis=1)), columns)
    held = np.where(away, (homes[:, None] + 1) % columns, homes[:, None])
    place = np.full(masks.shape, -1, dtype=np.int16)
    for column in range(columns):
        own = masks & (held == column)
        rows = np.flatnonzero(own.any(axis=1))
        turn = own[rows].cumsum(axis=0, dtype=np.int16) - 1
        place[rows] = np.where(own[rows], turn * columns + column, place[rows])
    place.setflags(write=False)
    return Spanning(columns=columns, turns=turns, place=place, members=members, guests=guests)


def _homes(masks: Mask, columns: int, turns: int) -> NDArray[np.int64]:
    """A column for each kernel, equally many each, so that no position of a column is much fuller than others.

    Kernels go one by one to the column whose positions they find least used; positions that leave little
    room over all columns count more.
    """
    homes = np.zeros(len(masks), dtype=np.int64)
    if columns == 1:
        return homes
    room = columns * turns - masks.sum(axis=0) + 1
    # Whole numbers, so that every machine decides alike.
    weight = np.maximum(1, 1_000 // room)
    load = np.zeros((columns, masks.shape[1]), dtype=np.int64)
    left = np.full(columns, -(-len(masks) // columns))
    never = np.iinfo(np.int64).max
    for kernel, mask in enumerate(masks):
        positions = np.flatnonzero(mask)
        cost = load[:, positions] @ weight[positions]
        column = int(np.argmin(np.where(left > 0, cost, never)))
        homes[kernel] = column
        load[column, positions] += 1
        left[column] -= 1
    return homes


def _flows(loads: NDArray[np.int64], turns: int) -> NDArray[np.int64] | None:
    """How many weights of each position each column hands to the next: ``[columns, positions]``.

    Guests do not move on, so a column hands over its own only. None where that is not enough.
    """
    columns = len(loads)
    moved = np.zeros_like(loads)
    if columns == 1:
        return moved
    for _ in range(2):  # around the ring once more for what the last column handed to the first
        for column in range(columns):
            moved[column] = np.maximum(moved[column], loads[column] + moved[column - 1] - turns)
    fits = (moved <= loads).all() and (loads - moved + np.roll(moved, 1, axis=0) <= turns).all()
    return moved if fits else None


def _choose_guests(masks: Mask, kernels: NDArray[np.int64], moved: NDArray[np.int64], away: Mask) -> None:
    """Mark in ``away`` which weights of ``kernels`` move, from as few kernels as a greedy choice finds."""
    left = moved.copy()
    own = masks[kernels]
    free = np.ones(len(kernels), dtype=np.bool_)
    while left.any():
        helps = np.where(free, own @ (left > 0), -1)
        chosen = int(np.argmax(helps))
        free[chosen] = False
        taken = own[chosen] & (left > 0)
        away[kernels[chosen]] = taken
        left -= taken


def _kernel_ids(
    homes: NDArray[np.int64], spanning: NDArray[np.bool_], columns: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Kernel ids in each column: first those of spanning kernels, the same in both columns; then all others."""
    ids: list[dict[int, int]] = [{} for _ in range(columns)]
    guests: list[list[int]] = [[] for _ in range(columns)]
    for kernel in np.flatnonzero(spanning).tolist():
        home = int(homes[kernel])
        after = (home + 1) % columns
        number = next(
            n for n in range(len(ids[home]) + len(ids[after]) + 1) if n not in ids[home] and n not in ids[after]
        )
        ids[home][number] = ids[after][number] = kernel
        guests[after].append(number)
    for kernel in np.flatnonzero(~spanning).tolist():
        own = ids[int(homes[kernel])]
        own[next(n for n in range(len(own) + 1) if n not in own)] = kernel
    size = max(max(own, default=0) for own in ids) + 1
    members = tuple(tuple(own.get(number, -1) for number in range(size)) for own in ids)
    return members, tuple(tuple(sorted(own)) for own in guests)

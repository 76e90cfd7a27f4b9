"""Combine: overlay kernels that do not collide into as few complementary sets as possible.

Whole kernels lie in one set each, so this is a colouring of the graph whose edges are the
collisions, or, seen from the other side, a cover of the compatible kernels by cliques. Masks that
were made complementary are recovered whatever the order of the kernels; for others the answer is
correct and the lower bound tells how far it may be from the best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cs_hdl.combine.masks import lower_bound
from cs_hdl.combine.peel import peel_sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

__all__ = ["Sets", "pack_kernels"]

Sets = tuple[tuple[int, ...], ...]

#: Kernels up to which a search is worth its time (about a second) when greedy packing misses the bound.
_PEEL_KERNELS = 256


def pack_kernels(masks: Mask) -> tuple[Sets, int]:
    """Pack the rows of ``masks`` (bool ``[kernels, positions]``) into complementary sets.

    Returns the sets (each a tuple of kernels in rising order, sets in the order of their first
    kernel) and the lower bound. No two kernels of a set use the same position. Deterministic.
    1500 x 1600 at 5 % takes well below half a second.
    """
    bound = lower_bound(masks)
    best: list[list[int]] = []
    strategies: tuple[Callable[[], list[list[int]]], ...] = (
        lambda: _next_fit(masks, range(len(masks))),
        lambda: _next_fit(masks, _strided(len(masks), bound)),
        lambda: _cliques(masks),
    )
    for strategy in strategies:
        sets = strategy()
        if not best or len(sets) < len(best):
            best = sets
        if len(best) <= bound:
            break
    if bound < len(best) <= 2 * bound and len(masks) <= _PEEL_KERNELS:
        # Near the bound, the masks may well have been made complementary.
        best = peel_sets(masks, bound) or best
    ordered = sorted(tuple(sorted(members)) for members in best)
    return tuple(ordered), bound


def _strided(kernels: int, step: int) -> list[int]:
    """0, step, 2 step, ..., 1, step + 1, ...: the other order in which masks are often laid out."""
    return [kernel for first in range(step) for kernel in range(first, kernels, step)]


def _next_fit(masks: Mask, order: Iterable[int]) -> list[list[int]]:
    """Fill one set after the other in the given order: recovers sets whose kernels are neighbours."""
    sets: list[list[int]] = []
    used = np.zeros(masks.shape[1], dtype=np.bool_)
    for kernel in order:
        if not sets or (used & masks[kernel]).any():
            sets.append([])
            used = np.zeros(masks.shape[1], dtype=np.bool_)
        sets[-1].append(kernel)
        used |= masks[kernel]
    return sets


def _collisions(masks: Mask) -> Mask:
    """bool ``[kernels, kernels]``: True where two different kernels share a position."""
    rows = sparse.csr_matrix(masks.astype(np.int32))
    shared = (rows @ rows.T).toarray() > 0
    np.fill_diagonal(shared, False)
    return np.asarray(shared, dtype=np.bool_)


def _cliques(masks: Mask) -> list[list[int]]:
    """Grow each set from the kernel with the fewest partners, by the candidate that keeps most others.

    Kernels of one complementary set are partners of each other, so they share many partners, while
    kernels that are compatible by chance share few: the count tells them apart.
    """
    compatible = ~_collisions(masks)
    np.fill_diagonal(compatible, False)
    weights = masks.sum(axis=1)
    alive = np.ones(len(masks), dtype=np.bool_)
    degrees = compatible.sum(axis=1)
    never = len(masks) + 1
    sets: list[list[int]] = []
    while alive.any():
        seed = int(np.argmin(np.where(alive, degrees, never)))
        members = [seed]
        candidates = np.flatnonzero(compatible[seed] & alive)
        while candidates.size:
            among = compatible[np.ix_(candidates, candidates)].sum(axis=1)
            chosen = int(np.lexsort((candidates, -weights[candidates], -among))[0])
            members.append(int(candidates[chosen]))
            candidates = candidates[compatible[candidates[chosen], candidates]]
        alive[members] = False
        degrees = degrees - compatible[:, members].sum(axis=1)
        sets.append(members)
    return sets

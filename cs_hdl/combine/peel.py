"""Packing into exactly the lower bound, by peeling off one set after the other.

A position that as many kernels use as sets are left must be used in every set, so each set must
cover all such tight positions without a collision. That leaves few choices; where they end in a
dead end, another random order is tried. Steps are counted, not timed: the answer is the same on
every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["peel_sets"]

_STEPS = 150_000
_STEPS_PER_SET = 2_000


class _Peeler:
    """Kernels as bit sets of positions; counts the steps that were taken."""

    def __init__(self, masks: NDArray[np.bool_]) -> None:
        self.masks = masks
        self.bits = [sum(1 << int(position) for position in np.flatnonzero(mask)) for mask in masks]
        self.users = [np.flatnonzero(column).tolist() for column in masks.T]
        self.random = np.random.default_rng(0)
        self.steps = 0

    def all_sets(self, sets: int) -> list[list[int]] | None:
        """One attempt: every kernel in one of ``sets`` sets, or None."""
        alive = set(range(len(self.bits)))
        found: list[list[int]] = []
        while alive:
            usage = self.masks[sorted(alive)].sum(axis=0)
            left = sets - len(found)
            if left == 0 or usage.max() > left:
                return None
            tight = sum(1 << position for position in np.flatnonzero(usage == left).tolist())
            self.steps += 1 + len(usage) // 40  # what counting costs, in steps of the search
            limit = self.steps + _STEPS_PER_SET
            members = self._cover(tight, 0, [], alive, limit)
            if members is None:
                return None
            self._fill(members, alive)
            alive -= set(members)
            found.append(members)
        return found

    def _cover(self, tight: int, used: int, chosen: list[int], alive: set[int], limit: int) -> list[int] | None:
        """Kernels that use every position of ``tight`` once, found depth first."""
        self.steps += 1
        todo = tight & ~used
        if not todo:
            return chosen
        if self.steps > limit:
            return None
        fewest: list[int] | None = None
        while todo:
            lowest = todo & -todo
            todo ^= lowest
            fitting = [k for k in self.users[lowest.bit_length() - 1] if k in alive and not self.bits[k] & used]
            if fewest is None or len(fitting) < len(fewest):
                fewest = fitting
                if len(fewest) <= 1:
                    break
        for kernel in self.random.permutation(fewest or []).tolist():
            result = self._cover(tight, used | self.bits[kernel], [*chosen, kernel], alive, limit)
            if result is not None:
                return result
        return None

    def _fill(self, members: list[int], alive: set[int]) -> None:
        """Add whatever else fits, so that the later sets have less to hold."""
        used = 0
        for kernel in members:
            used |= self.bits[kernel]
        for kernel in self.random.permutation(sorted(alive - set(members))).tolist():
            if not self.bits[kernel] & used:
                members.append(kernel)
                used |= self.bits[kernel]


def peel_sets(masks: NDArray[np.bool_], sets: int) -> list[list[int]]:
    """A packing of the rows of ``masks`` into ``sets`` complementary sets; empty where none was found."""
    peeler = _Peeler(masks)
    while peeler.steps < _STEPS:
        before = peeler.steps
        found = peeler.all_sets(sets)
        if found is not None:
            return found
        peeler.steps = max(peeler.steps, before + 1)
    return []

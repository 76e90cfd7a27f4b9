"""Throughput against area: the foldings of a network that no other beats, and the fastest for each device."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.combine.packed import combine
from cs_hdl.plan.candidates import candidate_cycles
from cs_hdl.plan.device_limits import DeviceLimits, fits
from cs_hdl.plan.planner import check_mode, draft

if TYPE_CHECKING:
    from cs_hdl.combine.packed import Packed
    from cs_hdl.network import Network
    from cs_hdl.plan.cost import Cost

__all__ = ["Front", "FrontPoint", "throughput_front"]


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A folding: its cycles a word and what the planner expects it to take."""

    cycles: int
    cost: Cost

    def beats(self, other: FrontPoint) -> bool:
        """Whether this one is nowhere worse than ``other``, and better somewhere."""
        mine, theirs = ((point.cycles, point.cost.lut, point.cost.dsp, point.cost.block_ram) for point in (self, other))
        return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


@dataclass(frozen=True, kw_only=True)
class Front:
    """``points`` rise in cycles; ``fastest`` has, in the order of the devices, the fastest folding that fits each."""

    points: tuple[FrontPoint, ...]
    fastest: tuple[FrontPoint | None, ...]


def throughput_front(
    network: Network, *, devices: Sequence[DeviceLimits], mode: str | None = None, points: int = 32
) -> Front:
    """Draft foldings of ``network`` at ``points`` numbers of cycles, evenly spread over all that can be reached, and
    the fastest for each device.

    A draft takes some tenths of a second at most: packing by single weights is left out, which may show only when a
    plan is made in earnest. Raises InputError where the network does not allow ``mode``.
    """
    check_mode(network, mode)
    drafts = _Drafts(combine(network, dense=mode == "dense"), mode)
    fastest = tuple(drafts.fastest(limits) for limits in devices)
    drafts.spread(points)
    found = drafts.found()
    best = tuple(point for point in found if not any(other.beats(point) for other in found))
    return Front(points=best, fastest=fastest)


class _Drafts:
    """Drafts of plans by cycles, each made once."""

    def __init__(self, packed: Packed, mode: str | None) -> None:
        self._packed, self._mode = packed, mode
        self._candidates = candidate_cycles(packed)
        self._made: dict[int, FrontPoint | None] = {}

    def _at(self, index: int) -> FrontPoint | None:
        if index not in self._made:
            built = draft(self._packed, self._mode, self._candidates[index])
            self._made[index] = None if built is None else FrontPoint(cycles=built[0], cost=built[1])
        return self._made[index]

    def _first(self, limits: DeviceLimits | None) -> int:
        """The least index with a plan that fits, or the last; as the planner, it takes all slower ones to fit too."""

        def good(index: int) -> bool:
            point = self._at(index)
            return point is not None and (limits is None or fits(point.cost, limits))

        return bisect_left(range(len(self._candidates) - 1), True, key=good)

    def fastest(self, limits: DeviceLimits) -> FrontPoint | None:
        point = self._at(self._first(limits))
        return point if point is not None and fits(point.cost, limits) else None

    def spread(self, points: int) -> None:
        first = self._first(None)
        for target in np.geomspace(self._candidates[first], self._candidates[-1], points):
            self._at(max(first, int(np.searchsorted(self._candidates, target))))

    def found(self) -> list[FrontPoint]:
        unique = {(point.cycles, point.cost): point for point in self._made.values() if point is not None}
        return sorted(unique.values(), key=lambda point: point.cycles)

"""The ways to a k-WTA, what each takes, and which is the cheapest that keeps within the cycles.

A sorting network takes beats of channels as they come, a histogram does so with logic that hardly depends on their
number, and a search for the threshold is far smaller than both where there are more cycles than values. Each serves
a local k-WTA (a group is a position's channels) as well as a global one (a group is a whole word).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.select import threshold_interval
from cs_hdl.plan.select_cost import histogram_cost, sorting_cost, threshold_cost
from cs_hdl.plan.stages import GlobalKWTAStage, LocalKWTAStage, ThresholdKWTAStage
from cs_hdl.plan.widths import beat_lanes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cs_hdl.plan.cost import Cost

__all__ = ["Way", "cheapest_way", "threshold_cycles", "ways"]

#: Values above which no network is looked at: generation time, and never the cheapest.
_MOST_SORTED = 512
#: Values of a histogram's beat above which it is not looked at: its buffer grows with their square.
_MOST_HISTOGRAM_LANES = 64
#: Values compared in a cycle: so many were routed, at 137 MHz alone on the chip.
_MOST_SCANNED = 16


@dataclass(frozen=True, kw_only=True)
class Way:
    """A stage, what it takes, and the pairs of its output beats."""

    stage: LocalKWTAStage | GlobalKWTAStage | ThresholdKWTAStage
    cost: Cost
    pairs: int


def cheapest_way(*, layer: int, groups: int, features: int, winners: int, lanes: int, cycles: int) -> Way | None:
    """The cheapest way for at most ``cycles`` cycles a word of ``groups`` groups; None where none is fast enough."""
    found = ways(layer=layer, groups=groups, features=features, winners=winners, lanes=lanes)
    return min((way for way in found if way.stage.cycles <= cycles), key=lambda way: way.cost.weight, default=None)


@lru_cache(maxsize=256)
def ways(*, layer: int, groups: int, features: int, winners: int, lanes: int) -> tuple[Way, ...]:
    """Every way for groups of ``features`` values that come ``lanes`` a beat."""
    beats = ceil_div(features, lanes)
    found: list[Way] = []
    if lanes in beat_lanes(features) and features <= _MOST_SORTED:
        pairs = ceil_div(winners, beats)
        sort = LocalKWTAStage(
            layer=layer, cycles=groups * beats, channels=features, winners=winners, beats=beats, pairs=pairs
        )
        found.append(Way(stage=sort, cost=sorting_cost(sort), pairs=pairs))
    if lanes <= _MOST_HISTOGRAM_LANES:
        count = GlobalKWTAStage(layer=layer, cycles=groups * beats, features=features, winners=winners, lanes=lanes)
        found.append(Way(stage=count, cost=histogram_cost(count), pairs=lanes))
    for scan in _scans(features, lanes):
        search = ThresholdKWTAStage(
            layer=layer,
            cycles=groups * threshold_interval(features, scan),
            features=features,
            winners=winners,
            lanes=lanes,
            scan=scan,
        )
        found.append(Way(stage=search, cost=threshold_cost(search), pairs=1))
    return tuple(found)


def threshold_cycles(*, groups: int, features: int) -> set[int]:
    """Cycles a word that a search can take, of any number of values compared at once."""
    return {
        groups * threshold_interval(features, scan)
        for lanes in beat_lanes(features)
        for scan in _scans(features, lanes)
    }


def _scans(features: int, lanes: int) -> Iterator[int]:
    """Values compared in a cycle: the lanes, twice, four times as many and so on, as long as that saves cycles."""
    scan = lanes
    while scan <= _MOST_SCANNED:
        yield scan
        if scan >= features:
            return
        scan *= 2

"""Cycles of the selecting components, as their contracts state them (tests hold the two together)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.sorting import selection_networks

if TYPE_CHECKING:
    from cs_hdl.plan.stages import ArgMaxStage, GlobalKWTAStage, LocalKWTAStage

__all__ = [
    "argmax_latency",
    "first_give",
    "global_kwta_cycles",
    "global_kwta_latency",
    "local_kwta_latency",
    "threshold_interval",
    "threshold_latency",
    "threshold_search",
]

_VALUE_BITS = 8


def local_kwta_latency(stage: LocalKWTAStage) -> int:
    """Cycles from a position's last input beat to its first output beat."""
    networks = selection_networks(channels=stage.channels, winners=stage.winners, beats=stage.beats)
    return sum(len(network.layers) for network in networks) + 2


def global_kwta_cycles(features: int, lanes: int) -> int:
    """Cycles a word of the histogram k-WTA over ``features`` values, ``lanes`` at a time."""
    return ceil_div(features, lanes)


def global_kwta_latency(stage: GlobalKWTAStage) -> int:
    """Cycles from a word's last input beat to its last output beat.

    Two histograms of 4 cycles and a register between them, the beats of the second pass, 3 steps of the
    selection and 5 of the buffer, from which the output beats then come one a cycle.
    """
    beats, out_beats = ceil_div(stage.features, stage.lanes), ceil_div(stage.winners, stage.lanes)
    return 2 * 4 + 1 + (beats - 1) + 3 + first_give(stage.features, stage.winners, stage.lanes) + out_beats - 1 + 5


def first_give(features: int, winners: int, lanes: int) -> int:
    """The beat of a word behind which an output beat a cycle can be given, however the winners are spread."""
    first = 0
    for out_beat in range(ceil_div(winners, lanes)):
        may_lack = winners - min(winners, (out_beat + 1) * lanes)
        # The first beat behind which no more than `may_lack` values, hence winners, are still to come.
        first = max(first, ceil_div(features - may_lack, lanes) - 1 - out_beat)
    return first


def threshold_search(features: int, scan: int) -> int:
    """Cycles of the threshold search: a pass a bit over all rows of ``scan`` values, 3 cycles between passes."""
    return _VALUE_BITS * (ceil_div(features, scan) + 3)


def threshold_interval(features: int, scan: int) -> int:
    """Cycles a group of the threshold k-WTA: the search, a cycle to start it, and a value a cycle to be given.

    The next group comes in while this one is given, a cycle behind.
    """
    return threshold_search(features, scan) + 1 + features


def threshold_latency(features: int, scan: int) -> int:
    """Cycles from a group's last input beat to its last output beat: the search, all values, 6 steps around them."""
    return 1 + threshold_search(features, scan) + features + 5


def argmax_latency(stage: ArgMaxStage) -> int:
    """Cycles from a word's last input beat to its result."""
    return (min(stage.lanes, stage.values) - 1).bit_length() + 2

"""Cycles of the selecting components, as their contracts state them (tests hold the two together)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.sorting import selection_networks

if TYPE_CHECKING:
    from cs_hdl.plan.stages import ArgMaxStage, GlobalKWTAStage, LocalKWTAStage

__all__ = ["argmax_latency", "first_give", "global_kwta_cycles", "global_kwta_latency", "local_kwta_latency"]


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


def argmax_latency(stage: ArgMaxStage) -> int:
    """Cycles from a word's last input beat to its result."""
    return (min(stage.lanes, stage.values) - 1).bit_length() + 2

"""Cycles of the selecting components, as their contracts state them (tests hold the two together)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.sorting import selection_networks

if TYPE_CHECKING:
    from cs_hdl.plan.stages import GlobalKWTAStage, LocalKWTAStage

__all__ = [
    "argmax_latency",
    "argmax_level_latency",
    "densify_cycles",
    "densify_delay",
    "first_give",
    "global_kwta_cycles",
    "global_kwta_latency",
    "local_kwta_latency",
    "threshold_interval",
    "threshold_latency",
    "threshold_search",
]

_VALUE_BITS = 8
#: Beats of a position above which a densify stage has block RAM: LUT RAM of 256 beats took 1,862 LUTs at 100 MHz.
_MOST_LUT_RAM_BEATS = 128


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


def argmax_level_latency(dtype: str) -> int:
    """Cycles of a level of ArgMax's tree: beyond 16 bits a comparison and the choice after it take one each."""
    low, high = dtype_range(dtype)
    return 2 if high - low >= 1 << 16 else 1


def argmax_latency(*, values: int, lanes: int, dtype: str) -> int:
    """Cycles from a word's last input beat to its result."""
    return (min(lanes, values) - 1).bit_length() * argmax_level_latency(dtype) + 2


def densify_delay(channels: int, lanes: int) -> int:
    """Cycles that a densify stage's memories take longer: 1 where they are block RAM, else 0."""
    return int(ceil_div(channels, lanes) > _MOST_LUT_RAM_BEATS)


def densify_cycles(channels: int, winners: int, pairs: int, lanes: int) -> int | None:
    """Cycles a position of a densify stage: a pair a cycle in, a beat a cycle out, in two memories in turn.

    None where block RAM makes it one more at every other position: with as many pairs as beats.
    """
    written, read = ceil_div(winners, pairs) * pairs, ceil_div(channels, lanes)
    return None if written == read and densify_delay(channels, lanes) else max(written, read)

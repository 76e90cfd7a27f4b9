"""Cycles of the selecting components, as their contracts state them (tests hold the two together)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.plan.lanes import ceil_div

if TYPE_CHECKING:
    from cs_hdl.plan.stages import ArgMaxStage, GlobalKWTAStage, LocalKWTAStage

__all__ = ["argmax_latency", "global_kwta_cycles", "global_kwta_latency", "local_kwta_latency"]


def local_kwta_latency(stage: LocalKWTAStage) -> int:
    """Cycles from a position's last input beat to its first output beat."""
    from cs_hdl.rtl.local_kwta import LocalKWTA

    return LocalKWTA(channels=stage.channels, winners=stage.winners, beats=stage.beats, pairs=stage.pairs).latency


def global_kwta_cycles(features: int, winners: int, lanes: int) -> int:
    """Cycles a word of the histogram k-WTA over ``features`` values, ``lanes`` at a time."""
    return ceil_div(features, lanes)


def global_kwta_latency(stage: GlobalKWTAStage) -> int:
    """Cycles from a word's last input beat to its last output beat."""
    from cs_hdl.rtl.global_kwta import GlobalKWTA

    return GlobalKWTA(features=stage.features, winners=stage.winners, lanes=stage.lanes).latency


def argmax_latency(stage: ArgMaxStage) -> int:
    """Cycles from a word's last input beat to its result."""
    return (min(stage.lanes, stage.values) - 1).bit_length() + 2

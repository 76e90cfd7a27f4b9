"""How much a stage takes in before a beat must or can leave it: what queues beside it are sized by.

Beats are counted over words that follow each other without an end. For beats ``index`` of a stage's output,
``most_taken`` bounds the input beats that it has taken while that beat has not left, though nothing stands in
its way; ``least_taken`` is how many it must have taken before that beat can leave. Both follow from what a stage
can hold, not from times, so they are true whatever the stalls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.select import argmax_latency, local_kwta_latency
from cs_hdl.plan.stages import (
    ArgMaxStage,
    AverageStage,
    ConstantsStage,
    DensifyStage,
    GlobalKWTAStage,
    LanesStage,
    LocalKWTAStage,
    NarrowStage,
    PoolStage,
    RescaleStage,
    ResidualStage,
    ThresholdKWTAStage,
    WidenStage,
)
from cs_hdl.plan.sums import scaled_sum_latency, tree_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cs_hdl.plan.geometry import Geometry
    from cs_hdl.plan.stages import Stage

    Counts = NDArray[np.int64]

__all__ = ["least_taken", "most_taken", "queue_depth"]

#: Beats in a register slice and at the input of a stage; those that a queue's own latency holds back.
_SLICE, _QUEUE = 3, 3
#: Groups that a k-WTA by histogram or by search holds at most: being counted, selected, buffered, given.
_GLOBAL_WORDS = 4
#: Beats in the constant multipliers and their queue at most (the adder graph is not known here).
_CONSTANTS_REGISTERS = 40
#: Output positions of an engine on lanes between their accumulation and its reorder buffer.
_LANES_POSITIONS = 3


def queue_depth(ahead: Sequence[Stage], behind: Sequence[Stage], *, word: int) -> int:
    """Beats that the queue behind the branch ``ahead`` must hold so that it never keeps ``behind`` waiting.

    ``word`` is the number of beats of a word that both give; what is true of one word is true of all.
    While beat j has not left ``behind``, the fork has given at most so many beats to both; ``ahead`` can have
    made no more of these than they allow, and j of them are gone. With such queues on both sides, one is never
    full while the other is empty: neither branch can wait for the other in a circle, and each runs as it would alone.
    """
    beats = np.arange(2 * word, dtype=np.int64)
    given = most_taken(behind, beats + _QUEUE) + 1
    made = beats
    while True:  # as far as what was given reaches
        left = least_taken(ahead, made)
        if left[-1] > given[-1]:
            break
        made = np.arange(2 * len(made), dtype=np.int64)
    return max(4, int((np.searchsorted(left, given, side="right") - beats).max()) + 2)


def most_taken(stages: Sequence[Stage], index: Counts) -> Counts:
    """Input beats of the chain ``stages`` at most, while output beat ``index`` has not left."""
    for stage in reversed(stages):
        index = _most(stage, index)
    return index


def least_taken(stages: Sequence[Stage], index: Counts) -> Counts:
    """Input beats of the chain ``stages`` at least, before output beat ``index`` can leave."""
    for stage in reversed(stages):
        index = _least(stage, index) - 1
    return index + 1


def _most(stage: Stage, index: Counts) -> Counts:
    if isinstance(stage, LanesStage):
        plan = stage.lanes
        position = index // plan.output_beats + plan.engines * (plan.slots + _LANES_POSITIONS)
        first = _row_of(plan.geometry, position, plan.geometry.first_row)
        return (first + plan.ring_rows) * _row_beats(stage)
    if isinstance(stage, ResidualStage):
        later = index + _QUEUE + scaled_sum_latency(stage.scale) + _SLICE
        return np.maximum(most_taken(stage.body, later), most_taken(stage.shortcut, later)) + 1
    if isinstance(stage, NarrowStage):
        return index // ceil_div(stage.channels, stage.lanes) + stage.depth + 2
    if isinstance(stage, WidenStage):
        return (index + 2) * ceil_div(stage.channels, stage.lanes)
    if isinstance(stage, LocalKWTAStage):
        position = index // ceil_div(stage.winners, stage.pairs)
        return (position + ceil_div(local_kwta_latency(stage), stage.beats) + 2) * stage.beats
    if isinstance(stage, GlobalKWTAStage):
        word = index // ceil_div(stage.winners, stage.lanes)
        return (word + _GLOBAL_WORDS) * ceil_div(stage.features, stage.lanes)
    if isinstance(stage, ThresholdKWTAStage):
        return (index // stage.winners + _GLOBAL_WORDS) * ceil_div(stage.features, stage.lanes)
    if isinstance(stage, ArgMaxStage):
        return (index + 1) * ceil_div(stage.values, stage.lanes) + argmax_latency(
            values=stage.values, lanes=stage.lanes, dtype=stage.dtype
        )
    if isinstance(stage, DensifyStage):
        position = index // ceil_div(stage.channels, stage.lanes)
        return (position + 3) * ceil_div(stage.winners, stage.pairs) + stage.queue
    if isinstance(stage, RescaleStage):
        return index + 1 + scaled_sum_latency(stage.scale) + _SLICE
    if isinstance(stage, PoolStage) and stage.running:
        return _window_taken(stage, index + stage.RUNNING_DEPTH, pushed=False)
    return _window_taken(stage, index, pushed=False) + _registers(stage) + _SLICE


def _least(stage: Stage, index: Counts) -> Counts:
    if isinstance(stage, LanesStage):
        plan = stage.lanes
        end = _row_of(plan.geometry, index // plan.output_beats, lambda row: max(plan.geometry.end_row(row), 1))
        return end * _row_beats(stage)
    if isinstance(stage, ResidualStage):
        return np.maximum(least_taken(stage.body, index), least_taken(stage.shortcut, index))
    if isinstance(stage, NarrowStage):
        return index // ceil_div(stage.channels, stage.lanes) + 1
    if isinstance(stage, WidenStage):
        return (index + 1) * ceil_div(stage.channels, stage.lanes)
    if isinstance(stage, LocalKWTAStage):
        return (index // ceil_div(stage.winners, stage.pairs) + 1) * stage.beats
    if isinstance(stage, GlobalKWTAStage):
        return (index // ceil_div(stage.winners, stage.lanes) + 1) * ceil_div(stage.features, stage.lanes)
    if isinstance(stage, ThresholdKWTAStage):
        return (index // stage.winners + 1) * ceil_div(stage.features, stage.lanes)
    if isinstance(stage, ArgMaxStage):
        return (index + 1) * ceil_div(stage.values, stage.lanes)
    if isinstance(stage, DensifyStage):
        return (index // ceil_div(stage.channels, stage.lanes) + 1) * ceil_div(stage.winners, stage.pairs)
    if isinstance(stage, RescaleStage):
        return index + 1
    return _window_taken(stage, index, pushed=True)


def _registers(stage: Stage) -> int:
    """Beats in the registers behind a window."""
    if isinstance(stage, AverageStage):
        return tree_levels(stage.geometry.taps) + scaled_sum_latency(stage.scale) + 1
    if isinstance(stage, PoolStage):
        return tree_levels(stage.geometry.taps) + 1
    return _CONSTANTS_REGISTERS


def _row_beats(stage: LanesStage) -> int:
    return stage.lanes.geometry.shape[1] * stage.lanes.beats


def _row_of(geometry: Geometry, position: Counts, row: Callable[[int], int]) -> Counts:
    """``row`` of the output row that each position lies in, counted over all words."""
    height, width = geometry.out
    rows = np.array([row(number) for number in range(height)], dtype=np.int64)
    word, place = np.divmod(position // width, height)
    return word * geometry.shape[0] + rows[place]


def _window_taken(stage: Stage, index: Counts, *, pushed: bool) -> Counts:
    """Beats taken when the window of output beat ``index`` is complete; ``pushed``: by empty steps, if need be."""
    assert isinstance(stage, ConstantsStage | PoolStage | AverageStage)
    geometry = stage.geometry
    beats = 1 if isinstance(stage, ConstantsStage) else stage.beats
    height, width = geometry.raster
    taken_in_word = geometry.shape[0] * geometry.shape[1] * beats
    if isinstance(stage, AverageStage) and stage.whole:
        word, beat = np.divmod(index, beats)
        return (word + 1) * taken_in_word - beats + beat + 1
    word, place = np.divmod(index, geometry.positions * beats)
    place, beat = np.divmod(place, beats)
    y, x = np.divmod(place, geometry.out[1])
    step = (y * geometry.stride[0] * width + x * geometry.stride[1]) * beats + beat + geometry.anchor_delay(beats)
    real = np.zeros((height, width, beats), dtype=np.int64)
    real[: geometry.shape[0], : geometry.shape[1]] = 1
    counted: Counts = np.cumsum(real.ravel())
    words, step = np.divmod(step, real.size)
    in_word: Counts = counted[step]
    if pushed:
        in_word = np.where(words > 0, taken_in_word, in_word)
        words = np.zeros_like(words)
    taken: Counts = (word + words) * taken_in_word + in_word
    return taken

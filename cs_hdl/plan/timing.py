"""When each beat moves: one word on an idle accelerator, a driver that never waits, a sink always ready.

All control is independent of the data, so the times can be computed without them: every stage turns
the cycles in which its beats come into the cycles in which its results leave. Simulation must measure
the latency that comes out here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.network import WeightLayer
from cs_hdl.plan.build_stages import constants_graph
from cs_hdl.plan.lane_timing import lanes_times
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.residual import branch_plans, flat_stages
from cs_hdl.plan.scale import channel_scale
from cs_hdl.plan.select import argmax_latency, densify_delay, global_kwta_latency, local_kwta_latency, threshold_search
from cs_hdl.plan.stages import (
    BEHIND_SLICE,
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
    from numpy.typing import NDArray

    from cs_hdl.plan.geometry import Geometry
    from cs_hdl.plan.plan import Plan
    from cs_hdl.plan.stages import Stage

    Times = NDArray[np.int64]

__all__ = ["measure", "stage_times"]

#: Cycles of the input border, the output border, a register slice, and a queue.
INPUT_LATENCY, OUTPUT_LATENCY, SLICE_LATENCY, QUEUE_LATENCY = 1, 2, 1, 2
#: Cycles by which the output border learns later that a word is complete than it could have had the word's last beat.
REPORT_LATENCY = 1
#: Cycles from a beat to its first window where several columns are taken at once: a decision, and the move.
WIDE_WINDOW_LATENCY = 2
#: Cycles of max-pooling with a running maximum: three steps and a queue.
BLOCK_POOL_LATENCY = 3 + QUEUE_LATENCY


def measure(plan: Plan) -> Plan:
    """``plan`` with its latency, and with as many words in flight as keep it busy."""
    times = np.arange(plan.input_beats, dtype=np.int64) + INPUT_LATENCY
    for stage in plan.stages:
        times = stage_times(plan, stage, times)
    # The output border gives a word's last beat when it knows whether the whole word was sound.
    latency = max(int(times[-1]), plan.input_beats - 1 + INPUT_LATENCY + REPORT_LATENCY) + OUTPUT_LATENCY
    words = ceil_div(latency, plan.cycles_per_word) + 2 + len(list(flat_stages(plan.stages)))
    return dataclasses.replace(plan, latency_cycles=latency, words_in_flight=words)


def stage_times(plan: Plan, stage: Stage, times: Times) -> Times:
    """When the beats of one word leave ``stage`` if they are offered to it at ``times``."""
    if isinstance(stage, BEHIND_SLICE):
        times = times + SLICE_LATENCY
    if isinstance(stage, ConstantsStage):
        return _constants_times(plan, stage, times) + QUEUE_LATENCY
    if isinstance(stage, LanesStage):
        return lanes_times(plan, stage, times)
    if isinstance(stage, PoolStage):
        if stage.running:
            return _last_of_blocks(stage, times) + BLOCK_POOL_LATENCY
        return _window_times(stage.geometry, stage.beats, times) + tree_levels(stage.geometry.taps) + SLICE_LATENCY
    if isinstance(stage, AverageStage):
        return _average_times(stage, times) + SLICE_LATENCY
    if isinstance(stage, RescaleStage):
        return times + scaled_sum_latency(stage.scale) + SLICE_LATENCY
    if isinstance(stage, ResidualStage):
        return _residual_times(plan, stage, times)
    if isinstance(stage, NarrowStage):
        return _in_turn(times + 2, ceil_div(stage.channels, stage.lanes))
    if isinstance(stage, WidenStage):
        beats = ceil_div(stage.channels, stage.lanes)
        return times[beats - 1 :: beats] + 1
    if isinstance(stage, LocalKWTAStage):
        done = times[stage.beats - 1 :: stage.beats] + local_kwta_latency(stage)
        return _in_turn(done, ceil_div(stage.winners, stage.pairs))
    if isinstance(stage, GlobalKWTAStage):
        beats = ceil_div(stage.features, stage.lanes)
        ends = times[beats - 1 :: beats] + global_kwta_latency(stage)
        return (ends[:, None] + np.arange(1 - ceil_div(stage.winners, stage.lanes), 1, dtype=np.int64)).ravel()
    if isinstance(stage, ThresholdKWTAStage):
        return _threshold_times(stage, times)
    if isinstance(stage, ArgMaxStage):
        return times[-1:] + argmax_latency(values=stage.values, lanes=stage.lanes, dtype=stage.dtype)
    assert isinstance(stage, DensifyStage)
    return _densify_times(stage, times + (QUEUE_LATENCY if stage.queue else 0))


def _in_turn(starts: Times, beats: int) -> Times:
    """``beats`` beats for each start, one a cycle, none before those of the start before."""
    result = np.empty(len(starts) * beats, dtype=np.int64)
    free = np.int64(0)
    for index, start in enumerate(starts):
        first = max(start, free)
        result[index * beats : (index + 1) * beats] = first + np.arange(beats)
        free = first + beats
    return result


def _window_times(geometry: Geometry, beats: int, times: Times) -> Times:
    """Steps of the raster, and from them the outputs: see ``rtl.primitives.window``."""
    height, width = geometry.raster
    real = np.zeros((height, width, beats), dtype=np.bool_)
    real[: geometry.shape[0], : geometry.shape[1]] = True
    offered = np.full(real.size, np.iinfo(np.int64).min // 2)
    offered[real.ravel()] = times
    order = np.arange(real.size)
    steps = np.maximum.accumulate(offered - order) + order
    delay = geometry.anchor_delay(beats)
    steps = np.concatenate([steps, steps[-1] + 1 + np.arange(delay)])
    y = np.arange(geometry.out[0])[:, None, None] * geometry.stride[0]
    x = np.arange(geometry.out[1])[None, :, None] * geometry.stride[1]
    places = ((y * width + x) * beats + np.arange(beats)).ravel() + delay
    result: Times = steps[places] + 1
    return result


def _last_of_blocks(stage: PoolStage, times: Times) -> Times:
    """When the last value of each window has come."""
    (height, width, _), (rows, columns) = stage.geometry.shape, stage.geometry.kernel
    last: Times = times.reshape(height, width, stage.beats)[rows - 1 :: rows, columns - 1 :: columns]
    return last.ravel()


def _average_times(stage: AverageStage, times: Times) -> Times:
    latency = scaled_sum_latency(stage.scale)
    if stage.whole:
        return times[-stage.beats :] + 1 + latency
    return _window_times(stage.geometry, stage.beats, times) + tree_levels(stage.geometry.taps) + latency


def _residual_times(plan: Plan, stage: ResidualStage, times: Times) -> Times:
    """A beat is added when both branches have given it; their queues are long enough to keep neither waiting."""
    ends = []
    for branch in branch_plans(plan, stage):
        given = times
        for inner in branch.stages:
            given = stage_times(branch, inner, given)
        ends.append(given + QUEUE_LATENCY)
    added: Times = np.maximum(*ends) + scaled_sum_latency(stage.scale) + SLICE_LATENCY
    return added


def _constants_times(plan: Plan, stage: ConstantsStage, times: Times) -> Times:
    layer, tensor = plan.network.layers[stage.layer], plan.network.tensors[stage.layer]
    assert isinstance(layer, WeightLayer)
    graph = constants_graph(layer, tensor.shape, tensor.dtype, windows=stage.windows)
    latencies = (channel_scale(layer.requantise, [channel]).latency for channel in range(layer.out_channels))
    wide = stage.columns > 1
    windows = _wide_window_times(stage, times) if wide else _window_times(stage.geometry, 1, times)
    return windows + graph.latency + tree_levels(stage.windows) + max(latencies)


def _wide_window_times(stage: ConstantsStage, times: Times) -> Times:
    """A beat is taken when the windows of the one before are given, which come one a cycle."""
    geometry, columns = stage.geometry, stage.columns
    last_rows = set(geometry.last_rows)
    beats = geometry.shape[1] // columns
    free, result = np.iinfo(np.int64).min // 2, []
    for index, offered in enumerate(times):
        row, beat = divmod(index, beats)
        new = columns if beat else columns - geometry.kernel[1] + geometry.stride[1]
        windows = new // geometry.stride[1] if row in last_rows else 0
        taken = max(int(offered), free)
        result.append(taken + WIDE_WINDOW_LATENCY + np.arange(windows, dtype=np.int64))
        free = taken + max(windows, 1)
    return np.concatenate(result)


def _threshold_times(stage: ThresholdKWTAStage, times: Times) -> Times:
    """A group comes in behind the one before, is searched once that has been given, and is given."""
    beats, parts = ceil_div(stage.features, stage.lanes), stage.scan // stage.lanes
    order = np.arange(beats, dtype=np.int64)
    search = threshold_search(stage.features, stage.scan)
    given = np.iinfo(np.int64).min // 2  # the cycle in which the first row of the group before was read
    result = []
    for offered in times.reshape(-1, beats):
        free = np.maximum(offered, given + order // parts * stage.scan + 1)
        taken = np.maximum.accumulate(free - order) + order
        given = max(int(taken[-1]), given + stage.features) + 1 + search
        result.append(given + stage.features + 6 - stage.winners + np.arange(stage.winners, dtype=np.int64))
    return np.concatenate(result)


def _densify_times(stage: DensifyStage, times: Times) -> Times:
    """One pair a cycle in; a beat a cycle out, of two memories in turn."""
    in_beats, out_beats = ceil_div(stage.winners, stage.pairs), ceil_div(stage.channels, stage.lanes)
    delay = densify_delay(stage.channels, stage.lanes)
    written, result = -1, []  # (a pair is picked from its beat in one cycle and written in the next)
    read_ends: list[int] = []
    for position in range(len(times) // in_beats):
        if position >= 2:  # its memory must have been read and cleared
            written = max(written, read_ends[position - 2] + delay)
        for beat in range(in_beats):
            written = max(written, int(times[position * in_beats + beat])) + stage.pairs
        first = max(written + 1, read_ends[-1] + 1 if read_ends else 0)
        read_ends.append(first + out_beats - 1)
        result.append(first + 1 + delay + np.arange(out_beats, dtype=np.int64))
    return np.concatenate(result)

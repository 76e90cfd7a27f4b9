"""What the three ways to a k-WTA take on an ECP5: their parts counted, times factors fitted to the synthesis of many.

The factors come from the sizes in docs/results/kwta.json (``scripts/measure-kwta``); a test holds them to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.plan.cost import Cost, block_rams, small_rams
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.sorting import selection_networks

if TYPE_CHECKING:
    from cs_hdl.plan.stages import GlobalKWTAStage, LocalKWTAStage, ThresholdKWTAStage

__all__ = ["histogram_cost", "histogram_parts", "sorting_cost", "sorting_parts", "threshold_cost", "threshold_parts"]

_VALUE_BITS = 8
#: LUTs of a 16 x 4 memory, its write port counted; and what Yosys takes both kinds of memory to cost.
_LUTS_PER_RAM = 6
_WEIGHT_OF_RAM, _WEIGHT_OF_BLOCK = 4, 90


def _memory(depth: int, width: int) -> Cost:
    """A memory as Yosys chooses it: LUT RAM, or block RAM where that takes less of its own measure."""
    if depth == 1:
        return Cost()  # registers
    pieces, blocks = ceil_div(depth, 16) * ceil_div(width, 4), block_rams(depth, width)
    if pieces * _WEIGHT_OF_RAM > blocks * _WEIGHT_OF_BLOCK:
        return Cost(block_ram=blocks, small_ram=small_rams(depth, width))
    # The outputs of pieces one above the other are selected.
    lut = pieces * _LUTS_PER_RAM + (ceil_div(depth, 16) - 1) * width * 0.6
    return Cost(lut=lut, lut_ram=pieces, small_ram=small_rams(depth, width))


def sorting_parts(stage: LocalKWTAStage) -> tuple[list[float], Cost]:
    """Bits that are compared, bits that are exchanged, choices of the output, one; and the memory of the winners."""
    rank_bits = (ceil_div(stage.channels, stage.beats) - 1).bit_length()
    compared, exchanged, depth = 0, 0, 0
    for network in selection_networks(channels=stage.channels, winners=stage.winners, beats=stage.beats):
        for layer, ties, live in zip(network.layers, network.tie_winners(), network.live()[1:], strict=True):
            for pair, tie in zip(layer, ties, strict=True):
                compared += _VALUE_BITS + (rank_bits if tie is None else 0)
                exchanged += (_VALUE_BITS + rank_bits) * len(live.intersection(pair))
        depth += len(network.layers)
        rank_bits += 1
    rank_bits -= 1
    out_beats = ceil_div(stage.winners, stage.pairs)
    rows = ceil_div(stage.beats + depth + 2, max(stage.beats, out_beats)) + 1
    width = _VALUE_BITS * stage.winners if stage.winners == stage.channels else (8 + rank_bits) * stage.winners
    choices = (out_beats - 1) * stage.pairs * (_VALUE_BITS + rank_bits)
    return [compared, exchanged, choices, 1], _memory(rows, width)


def sorting_cost(stage: LocalKWTAStage) -> Cost:
    """Of :class:`cs_hdl.rtl.local_kwta.LocalKWTA`."""
    return _weighted([1.09, 1.09, 0.5, 235.0], *sorting_parts(stage))


def histogram_parts(stage: GlobalKWTAStage) -> tuple[list[float], Cost]:
    """Bits of a counter, lanes, bits that change lanes, one; and all memories."""
    features, winners, lanes = stage.features, stage.winners, stage.lanes
    counter = max(winners.bit_length(), (features - winners).bit_length()) + 1
    pair = _VALUE_BITS + max(1, (features - 1).bit_length())
    rows = 1 << (ceil_div(winners, lanes) + 1).bit_length()
    memories = _memory(ceil_div(features, lanes) + 2, _VALUE_BITS * lanes) * 2 + _memory(rows, pair) * lanes
    return [counter, lanes, lanes * lanes * pair, 1], memories


def histogram_cost(stage: GlobalKWTAStage) -> Cost:
    """Of :class:`cs_hdl.rtl.global_kwta.GlobalKWTA`."""
    return _weighted([124.7, 115.7, 0.54, -170.4], *histogram_parts(stage))


def threshold_parts(stage: ThresholdKWTAStage) -> tuple[list[float], Cost]:
    """Values compared at once, the same times the levels of adding up, bits of the counters, one; both memories."""
    features, winners, scan = stage.features, stage.winners, stage.scan
    index = max(1, (features - 1).bit_length())
    rows = ceil_div(features, scan)
    values = _memory(rows, _VALUE_BITS * scan)
    if not values.block_ram:  # each part is written alone
        values = _memory(rows, _VALUE_BITS * stage.lanes) * (scan // stage.lanes)
    parts: list[float] = [scan, scan * (scan - 1).bit_length(), index + winners.bit_length(), 1]
    return parts, values + _memory(winners, _VALUE_BITS + index)


def threshold_cost(stage: ThresholdKWTAStage) -> Cost:
    """Of :class:`cs_hdl.rtl.threshold_kwta.ThresholdKWTA`."""
    return _weighted([14.9, 0.73, 8.1, 44.0], *threshold_parts(stage))


def _weighted(factors: list[float], parts: list[float], memory: Cost) -> Cost:
    return memory + Cost(lut=sum(factor * part for factor, part in zip(factors, parts, strict=True)))

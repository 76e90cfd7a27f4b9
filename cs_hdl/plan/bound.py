"""What no plan can beat: the fewest cycles a word that the device's multipliers allow in any folding."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.combine.packed import combine
from cs_hdl.plan.build_stages import constants_window
from cs_hdl.plan.candidates import candidate_cycles
from cs_hdl.plan.cost import LUTS_PER_MULTIPLIER
from cs_hdl.plan.device_limits import DeviceLimits, usable
from cs_hdl.plan.folding import least_needs, undominated
from cs_hdl.plan.geometry import weight_geometry
from cs_hdl.plan.side_windows import side_windows

if TYPE_CHECKING:
    from cs_hdl.combine.packed import Packed
    from cs_hdl.network import Network

__all__ = ["Bound", "fewest_cycles"]


@dataclass(frozen=True, kw_only=True)
class Bound:
    """No folding of fewer than ``cycles`` cycles a word fits the device: it would take at least ``multipliers`` of
    them, its tables being within the block RAM, or None where none of so few cycles exists. ``available`` are those
    that there can be."""

    cycles: int
    multipliers: int | None
    available: int


def fewest_cycles(network: Network, *, limits: DeviceLimits, mode: str | None = None) -> Bound:
    """The bound for ``network`` on the device.

    It takes every layer on its own, whatever comes in and goes out side by side, and counts nothing but multipliers
    and (on an ECP5) the block RAMs of the tables; so a plan that reaches it is optimal among our foldings, and one that
    does not may be.
    """
    available = limits.dsp or usable(limits)["LUT"] // LUTS_PER_MULTIPLIER
    packed = combine(network, dense=mode == "dense")
    candidates = candidate_cycles(packed)

    def enough(index: int) -> bool:
        needed = _multipliers(packed, mode, candidates[index], limits=limits, available=available)
        return needed is not None and needed <= available

    first = bisect_left(range(len(candidates) - 1), True, key=enough)
    needed = _multipliers(packed, mode, candidates[first - 1], limits=limits, available=available) if first else None
    return Bound(cycles=candidates[first], multipliers=needed, available=available)


def _multipliers(packed: Packed, mode: str | None, cycles: int, *, limits: DeviceLimits, available: int) -> int | None:
    """The fewest that at most ``cycles`` cycles a word take; None where some layer cannot be that fast."""
    total = [(0, 0)]
    for layer, tensor in packed.network.weighted:
        windows = side_windows(packed.network) if layer is packed.network.layers[0] else [1]
        if constants_window(mode, layer, tensor, windows=windows, cycles=cycles) is not None:
            continue
        sparse = tensor.winners is not None and mode not in ("sparse-dense", "dense")
        entries = tensor.winners if sparse and tensor.winners is not None else tensor.shape[2]
        needs = least_needs(
            packed.layers[layer.name],
            weight_geometry(layer, tensor),
            entries=entries,
            sparse=sparse,
            cycles=cycles,
            most=2 * available,
        )
        sums = ((have[0] + need[0], have[1] + need[1]) for have in total for need in needs)
        total = undominated(sums)
    if not total:
        return None
    # (Where no tables fit, those that come nearest are as good a bound as any.)
    most_blocks = limits.block_ram if limits.family == "ecp5" else math.inf
    return next((multipliers for multipliers, blocks in total if blocks <= most_blocks), total[-1][0])

"""Numbers of cycles a word at which some stage of a network could change: what the planner tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.network import GlobalKWTA, LocalKWTA, Pool, WeightLayer
from cs_hdl.plan.folding import lane_cycles
from cs_hdl.plan.geometry import pool_geometry, weight_geometry
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.select import global_kwta_cycles
from cs_hdl.plan.side_windows import pooled, side_windows
from cs_hdl.plan.widths import beat_lanes, divisors
from cs_hdl.plan.winners import threshold_cycles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cs_hdl.combine.packed import Packed
    from cs_hdl.network import Network, Tensor

__all__ = ["candidate_cycles"]


def candidate_cycles(packed: Packed) -> list[int]:
    """All of them, rising, without a repetition."""
    network = packed.network
    found = {network.input.size}
    for windows in side_windows(network)[1:]:
        found |= set(_side_by_side_cycles(network, windows))
    for _, tensor in network.flat:
        found |= set(_stream_cycles(tensor))
    found |= set(_stream_cycles(network.output))
    for layer, tensor in network.flat:
        if isinstance(layer, WeightLayer):
            geometry = weight_geometry(layer, tensor)
            height, width = geometry.raster
            found.add(height * width)
            found |= {geometry.wide_cycles(columns) for columns in geometry.wide_columns()}
            for entries, sparse in {(tensor.shape[2], False), (tensor.winners or tensor.shape[2], True)}:
                for beat in {1, *beat_lanes(entries)}:
                    found |= lane_cycles(packed.layers[layer.name], geometry, entries=entries, beat=beat, sparse=sparse)
        elif isinstance(layer, Pool):
            height, width = pool_geometry(layer, tensor).raster
            found |= {height * width * ceil_div(tensor.shape[2], lanes) for lanes in beat_lanes(tensor.shape[2])}
        elif isinstance(layer, GlobalKWTA):
            found |= {global_kwta_cycles(tensor.size, lanes) for lanes in beat_lanes(tensor.size)}
            found |= threshold_cycles(groups=1, features=tensor.size)
        elif isinstance(layer, LocalKWTA):
            groups = tensor.shape[0] * tensor.shape[1]
            found |= {groups * count for count in range(1, layer.winners + 1)}
            found |= threshold_cycles(groups=groups, features=tensor.shape[2])
    return sorted(found)


def _side_by_side_cycles(network: Network, windows: int) -> Iterator[int]:
    """Of a first layer that works on ``windows`` windows at once, and of the max-pool behind it."""
    (layer, pool), (tensor, output) = network.layers[:2], network.tensors[:2]
    assert isinstance(layer, WeightLayer) and isinstance(pool, Pool)
    geometry = weight_geometry(layer, tensor).side_by_side(windows)
    yield from (geometry.wide_cycles(columns) for columns in geometry.wide_columns())
    height, width = pooled(pool_geometry(pool, output), windows).raster
    yield height * width


def _stream_cycles(tensor: Tensor) -> Iterator[int]:
    positions, channels = tensor.shape[0] * tensor.shape[1], tensor.shape[2]
    for lanes in {*beat_lanes(channels), *divisors(channels)}:
        yield positions * ceil_div(channels, lanes)
        if tensor.winners is not None:
            yield positions * max(ceil_div(tensor.winners, lanes) * lanes, ceil_div(channels, lanes))

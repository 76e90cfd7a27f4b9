"""How wide streams have to be: the fewest values a beat at which a tensor passes in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs_hdl.network import GlobalKWTA, LocalKWTA, Pool, Rescale, WeightLayer
from cs_hdl.plan.geometry import pool_geometry
from cs_hdl.plan.lanes import ceil_div
from cs_hdl.plan.select import global_kwta_cycles

if TYPE_CHECKING:
    from cs_hdl.network import Network

__all__ = ["beat_lanes", "consumer_lanes", "divisors", "takes_lanes"]


def beat_lanes(channels: int) -> list[int]:
    """Lanes that cut ``channels`` into a power of two of beats, none of them empty; fewest lanes first."""
    options, beats = set(), 1
    while beats <= channels:
        lanes = ceil_div(channels, beats)
        if (beats - 1) * lanes < channels:
            options.add(lanes)
        beats *= 2
    return sorted(options)


def divisors(count: int) -> list[int]:
    """All divisors of ``count``, rising."""
    return [n for n in range(1, count + 1) if count % n == 0]


def consumer_lanes(network: Network, index: int, cycles: int) -> int | None:
    """Fewest lanes at which what layer ``index`` reads passes within ``cycles``, pools on the way included.

    None where nothing is wide enough. (Constant multipliers take whole positions: see ``WidenStage``.)
    """
    tensor = network.tensors[index]
    channels = tensor.shape[2]
    places = tensor.shape[0] * tensor.shape[1]
    while index < len(network.layers) and isinstance(layer := network.layers[index], Pool | Rescale):
        if isinstance(layer, Pool):
            height, width = pool_geometry(layer, network.tensors[index]).raster
            places = max(places, height * width)
        index += 1
    for lanes in _lane_options(network, index):
        if places * ceil_div(channels, lanes) <= cycles and _select_in_time(network, index, lanes, cycles):
            return lanes
    return None


def takes_lanes(network: Network, lanes: int) -> bool:
    """Whether the first layer of ``network`` that is neither a pool nor a rescaling can read beats of ``lanes``."""
    layers = enumerate(network.layers)
    index = next((i for i, layer in layers if not isinstance(layer, Pool | Rescale)), len(network.layers))
    return lanes in _lane_options(network, index)


def _lane_options(network: Network, index: int) -> list[int]:
    """Widths that the consumer of ``tensors[index]`` can take, fewest lanes first."""
    tensor = network.tensors[index]
    channels, single = tensor.shape[2], tensor.shape[0] * tensor.shape[1] == 1
    consumer = network.layers[index] if index < len(network.layers) else None
    if isinstance(consumer, LocalKWTA):
        return beat_lanes(channels)
    if isinstance(consumer, WeightLayer) or single:
        every = range(1, channels + 1) if isinstance(consumer, GlobalKWTA) and channels <= 64 else ()
        return sorted({*divisors(channels), *beat_lanes(channels), *every})
    return divisors(channels)  # a beat that is partly empty would stand in the middle of the word


def _select_in_time(network: Network, index: int, lanes: int, cycles: int) -> bool:
    consumer = network.layers[index] if index < len(network.layers) else None
    if not isinstance(consumer, GlobalKWTA):
        return True
    return global_kwta_cycles(network.tensors[index].size, lanes) <= cycles

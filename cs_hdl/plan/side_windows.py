"""Several output columns of a first layer at once, where a max-pool behind it wants only the largest of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cs_hdl.network import MaxPool, WeightLayer
from cs_hdl.plan.geometry import pool_geometry, weight_geometry

if TYPE_CHECKING:
    from cs_hdl.network import Network
    from cs_hdl.plan.geometry import Geometry

__all__ = ["pooled", "side_windows"]


def side_windows(network: Network) -> list[int]:
    """How many neighbouring windows the first layer may work on at once, rising from 1.

    More than one where a max-pool stands behind it whose windows lie side by side: so many columns of each then become
    one, before the scale, which is monotone; the pool has what is left of its windows to do.
    """
    layers = network.layers
    if len(layers) < 2 or not isinstance(layers[0], WeightLayer) or not isinstance(pool := layers[1], MaxPool):
        return [1]
    geometry = pool_geometry(pool, network.tensors[1])
    (rows, columns), width = geometry.kernel, geometry.shape[1]
    own = weight_geometry(layers[0], network.input)
    if not geometry.blocks or own.stride[1] != 1 or any(own.padding):
        return [1]
    counts = range(1, min(columns, rows * columns - 1) + 1)
    return [count for count in counts if columns % count == 0 and width % count == 0] or [1]


def pooled(geometry: Geometry, windows: int) -> Geometry:
    """What is left for a max-pool of ``geometry`` where each ``windows`` columns have become one."""
    if windows == 1:
        return geometry  # its windows need not lie side by side
    height, width, channels = geometry.shape
    rows, columns = geometry.kernel
    kernel = (rows, columns // windows)
    return dataclasses.replace(geometry, shape=(height, width // windows, channels), kernel=kernel, stride=kernel)

"""The packed network: every layer with weights as complementary sets of weights and kernel ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.combine.pack import Sets, pack_kernels
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.network import Network, load_network, save_network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Packed", "PackedLayer", "combine", "load_packed", "save_packed"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedLayer:
    """One layer's kernels overlaid.

    ``sets[s][kid]`` is the kernel with id ``kid`` in set s. ``weights`` (int8) and ``kernel_ids``
    (int16, -1 where nothing lies) have the shape ``[sets, kernel_height, kernel_width,
    in_channels]``. ``lower_bound`` is the largest number of kernels that use one position.
    """

    name: str
    sets: Sets
    lower_bound: int
    weights: NDArray[np.int8] = field(repr=False)
    kernel_ids: NDArray[np.int16] = field(repr=False)

    @property
    def kernels_per_set(self) -> int:
        """Kernels in the fullest set: as many cycles as the set takes to drain."""
        return max(len(members) for members in self.sets)


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """``layers[name]`` for every layer of ``network`` that has weights."""

    network: Network
    layers: dict[str, PackedLayer]


def overlay(name: str, kernels: NDArray[np.int8], sets: Sets, bound: int) -> PackedLayer:
    """Lay ``kernels`` (int8 ``[out_channels, kh, kw, in_channels]``) over each other as ``sets`` say.

    Raises InputError where two kernels of a set collide or a kernel is not in exactly one set.
    """
    if sorted(kernel for members in sets for kernel in members) != list(range(len(kernels))):
        raise InputError(f"{name}: each of the {len(kernels)} kernels must lie in exactly one set")
    weights = np.zeros((len(sets), *kernels.shape[1:]), dtype=np.int8)
    kernel_ids = np.full(weights.shape, -1, dtype=np.int16)
    for index, members in enumerate(sets):
        for kid, kernel in enumerate(members):
            present = kernels[kernel] != 0
            if (kernel_ids[index][present] >= 0).any():
                raise InputError(f"{name}: kernel {kernel} collides with another one of set {index}")
            weights[index][present] = kernels[kernel][present]
            kernel_ids[index][present] = kid
    for array in (weights, kernel_ids):
        array.setflags(write=False)
    return PackedLayer(name=name, sets=sets, lower_bound=bound, weights=weights, kernel_ids=kernel_ids)


def combine(network: Network, *, dense: bool = False) -> Packed:
    """Pack every layer with weights; with ``dense`` each kernel is a set of its own (no packing)."""
    layers = {}
    for layer, tensor in network.weighted:
        kernels = layer.kernels(tensor)
        sets: Sets
        if dense:
            sets, bound = tuple((kernel,) for kernel in range(len(kernels))), len(kernels)
        else:
            sets, bound = pack_kernels(kernels.reshape(len(kernels), -1) != 0)
        layers[layer.name] = overlay(layer.name, kernels, sets, bound)
    return Packed(network=network, layers=layers)


def save_packed(packed: Packed, folder: Path) -> None:
    """Write ``network.npz`` and ``packed.json`` (the sets; the rest follows from them) to ``folder``."""
    save_network(packed.network, folder / "network.npz")
    layers = {
        name: {"sets": [list(members) for members in layer.sets], "lower_bound": layer.lower_bound}
        for name, layer in packed.layers.items()
    }
    write_aside(folder / "packed.json", json.dumps({"format": 1, "layers": layers}, sort_keys=True) + "\n")


def load_packed(folder: Path) -> Packed:
    """Read what :func:`save_packed` wrote; InputError where it is missing or damaged."""
    network = load_network(folder / "network.npz")
    path = folder / "packed.json"
    try:
        entries = json.loads(path.read_text())["layers"]
        layers = {}
        for layer, tensor in network.weighted:
            entry = entries[layer.name]
            sets = tuple(tuple(int(kernel) for kernel in members) for members in entry["sets"])
            layers[layer.name] = overlay(layer.name, layer.kernels(tensor), sets, int(entry["lower_bound"]))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a packing that cs-hdl saved ({error!r}); generate it again") from error
    return Packed(network=network, layers=layers)

"""The packed network: every layer with weights as complementary sets of weights and kernel ids."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.combine.pack import Sets, pack_kernels
from cs_hdl.combine.span import Spanning, span_kernels
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.network import Conv2d, Network, load_network, save_network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Packed", "PackedLayer", "combine", "load_packed", "save_packed", "span_sets", "split_sets"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedLayer:
    """One layer's kernels overlaid.

    ``sets[s][kid]`` is the kernel with id ``kid`` in set s. ``weights`` (int8) and ``kernel_ids``
    (int16, -1 where nothing lies) have the shape ``[sets, kernel_height, kernel_width,
    in_channels]``. ``lower_bound`` is the largest number of kernels that use one position.

    With ``spanning``, kernels span sets: sets whose numbers are equal modulo ``spanning.columns`` have the
    same kernel ids (-1 where nobody has one), and the sums of a guest are added to those of its kernel.
    """

    name: str
    sets: Sets
    lower_bound: int
    weights: NDArray[np.int8] = field(repr=False)
    kernel_ids: NDArray[np.int16] = field(repr=False)
    spanning: Spanning | None = field(default=None, repr=False)

    @property
    def kernels_per_set(self) -> int:
        """Kernel ids of the fullest set: as many cycles as the set takes to drain."""
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


def split_sets(layer: PackedLayer, kernels: NDArray[np.int8], size: int) -> PackedLayer:
    """Cut each set into parts of at most ``size`` kernels: more multipliers, but sets that drain sooner."""
    if size >= layer.kernels_per_set:
        return layer
    sets = tuple(
        members[first :: -(-len(members) // size)]
        for members in layer.sets
        for first in range(-(-len(members) // size))
    )
    return overlay(layer.name, kernels, sets, layer.lower_bound)


def span_sets(layer: PackedLayer, kernels: NDArray[np.int8], *, columns: int, turns: int) -> PackedLayer | None:
    """Pack ``layer`` by single weights (see :mod:`cs_hdl.combine.span`); None where that many sets do not do."""
    spanning = span_kernels(kernels.reshape(len(kernels), -1) != 0, columns=columns, turns=turns)
    return None if spanning is None else overlay_spanning(layer.name, kernels, spanning, layer.lower_bound)


def overlay_spanning(name: str, kernels: NDArray[np.int8], spanning: Spanning, bound: int) -> PackedLayer:
    """Lay the weights of ``kernels`` (int8 ``[out_channels, kh, kw, in_channels]``) where ``spanning`` says.

    Raises InputError where two weights collide or one has no place.
    """
    flat = kernels.reshape(len(kernels), -1)
    present = flat != 0
    if spanning.place.shape != flat.shape or ((spanning.place >= 0) != present).any():
        raise InputError(f"{name}: each weight must have a place in exactly one set")
    owners, positions = np.nonzero(present)
    sets = spanning.place[owners, positions].astype(np.int64)
    places = sets * flat.shape[1] + positions
    if len(np.unique(places)) != len(places):
        raise InputError(f"{name}: two weights lie at the same place of a set")
    ids = [{kernel: kid for kid, kernel in enumerate(members)} for members in spanning.members]
    own_ids = [
        ids[number % spanning.columns][kernel] for number, kernel in zip(sets.tolist(), owners.tolist(), strict=True)
    ]
    count = spanning.columns * spanning.turns
    weights = np.zeros((count, flat.shape[1]), dtype=np.int8)
    kernel_ids = np.full(weights.shape, -1, dtype=np.int16)
    weights[sets, positions] = flat[owners, positions]
    kernel_ids[sets, positions] = own_ids
    for array in (weights, kernel_ids):
        array.setflags(write=False)
    shape = (count, *kernels.shape[1:])
    return PackedLayer(
        name=name,
        sets=spanning.members * spanning.turns,
        lower_bound=bound,
        weights=weights.reshape(shape),
        kernel_ids=kernel_ids.reshape(shape),
        spanning=spanning,
    )


def combine(network: Network, *, dense: bool = False) -> Packed:
    """Pack every layer with weights.

    With ``dense`` nothing is packed: each kernel is a set of its own, or shares one with those of other
    groups, whose channels it never reads.
    """
    layers = {}
    for layer, tensor in network.weighted:
        kernels = layer.kernels(tensor)
        sets: Sets
        if dense:
            bound = len(kernels) // (layer.groups if isinstance(layer, Conv2d) else 1)
            sets = tuple(tuple(range(first, len(kernels), bound)) for first in range(bound))
        else:
            sets, bound = pack_kernels(kernels.reshape(len(kernels), -1) != 0)
        layers[layer.name] = overlay(layer.name, kernels, sets, bound)
    return Packed(network=network, layers=layers)


def save_packed(packed: Packed, folder: Path) -> None:
    """Write ``network.npz`` and ``packed.json`` (the sets; the rest follows from them) to ``folder``.

    Where kernels span sets, ``packed.npz`` holds the set of each weight.
    """
    save_network(packed.network, folder / "network.npz")
    layers: dict[str, dict[str, Any]] = {}
    places = {}
    for name, layer in packed.layers.items():
        entry: dict[str, Any] = {"lower_bound": layer.lower_bound}
        if layer.spanning is None:
            entry["sets"] = [list(members) for members in layer.sets]
        else:
            own = layer.spanning
            entry["spanning"] = {key: getattr(own, key) for key in ("columns", "turns", "members", "guests")}
            places[name] = own.place[own.place >= 0]
        layers[name] = entry
    write_aside(folder / "packed.json", json.dumps({"format": 1, "layers": layers}, sort_keys=True) + "\n")
    if places:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **places)  # type: ignore[arg-type]
        write_aside(folder / "packed.npz", buffer.getvalue())


def load_packed(folder: Path) -> Packed:
    """Read what :func:`save_packed` wrote; InputError where it is missing or damaged."""
    network = load_network(folder / "network.npz")
    path = folder / "packed.json"
    try:
        entries = json.loads(path.read_text())["layers"]
        layers = {}
        for layer, tensor in network.weighted:
            entry, kernels = entries[layer.name], layer.kernels(tensor)
            bound = int(entry["lower_bound"])
            if "spanning" in entry:
                path = folder / "packed.npz"
                spanning = _load_spanning(entry["spanning"], path, layer.name, kernels)
                layers[layer.name] = overlay_spanning(layer.name, kernels, spanning, bound)
            else:
                sets = tuple(tuple(int(kernel) for kernel in members) for members in entry["sets"])
                layers[layer.name] = overlay(layer.name, kernels, sets, bound)
    except InputError:
        raise
    except Exception as error:  # whatever NumPy, zipfile or json find wrong with a damaged file
        raise InputError(f"{path}: not a packing that cs-hdl saved ({error!r}); generate it again") from error
    return Packed(network=network, layers=layers)


def _load_spanning(entry: dict[str, Any], path: Path, name: str, kernels: NDArray[np.int8]) -> Spanning:
    flat = kernels.reshape(len(kernels), -1)
    place = np.full(flat.shape, -1, dtype=np.int16)
    with np.load(path, allow_pickle=False) as data:
        place[flat != 0] = data[name]
    place.setflags(write=False)
    members, guests = (tuple(tuple(int(n) for n in own) for own in entry[key]) for key in ("members", "guests"))
    return Spanning(
        columns=int(entry["columns"]), turns=int(entry["turns"]), place=place, members=members, guests=guests
    )

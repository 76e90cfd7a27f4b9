"""Networks as ``.npz`` files."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.network.elementwise import Rescale, Residual, ScaledSum
from cs_hdl.network.network import Network
from cs_hdl.network.pools import AveragePool, MaxPool
from cs_hdl.network.requantise import Requantise
from cs_hdl.network.select import ArgMax, GlobalKWTA, LocalKWTA
from cs_hdl.network.tensor import Layer, Tensor
from cs_hdl.network.weights import Conv2d, Linear, WeightLayer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

__all__ = ["load_network", "save_network"]

_LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (ArgMax, AveragePool, Conv2d, GlobalKWTA, Linear, LocalKWTA, MaxPool, Rescale, Residual)
}


def save_network(network: Network, path: Path) -> None:
    """Write ``network`` to ``path`` (.npz, byte-identical for equal networks)."""
    arrays: Arrays = {}
    header = {
        "format": 1,
        "name": network.name,
        "input": {"shape": network.input.shape, "dtype": network.input.dtype},
        "layers": [_entry(layer, arrays) for layer in network.layers],
    }
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_aside(path, buffer.getvalue())


def _entry(layer: Layer, arrays: Arrays) -> dict[str, Any]:
    """What the header says of ``layer``; its arrays go to ``arrays``."""
    entry: dict[str, Any] = {"kind": layer.kind}
    for item in dataclasses.fields(layer):
        value = getattr(layer, item.name)
        if isinstance(value, np.ndarray):
            arrays[f"{layer.name}.{item.name}"] = value
        elif isinstance(value, Requantise):
            entry[item.name] = value.dtype
            arrays[f"{layer.name}.multiplier"], arrays[f"{layer.name}.shift"] = value.multiplier, value.shift
        elif isinstance(value, ScaledSum):
            entry[item.name] = dataclasses.asdict(value)
        elif isinstance(layer, Residual) and item.name in ("body", "shortcut"):
            entry[item.name] = [_entry(inner, arrays) for inner in value]
        else:
            entry[item.name] = value
    return entry


def load_network(path: Path) -> Network:
    """Read what :func:`save_network` wrote; InputError where the file is none of ours or damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != 1:
            raise InputError(f"{path}: network format {header['format']}; this version reads format 1")
        layers = tuple(_layer(entry, arrays) for entry in header["layers"])
        tensor = Tensor(tuple(header["input"]["shape"]), header["input"]["dtype"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Exception as error:  # whatever NumPy, zipfile or json find wrong with a damaged file
        raise InputError(f"{path}: not a network that cs-hdl saved ({error}); generate it again") from error
    return Network(name=header["name"], input=tensor, layers=layers)


def _layer(entry: dict[str, Any], arrays: Arrays) -> Layer:
    cls, name = _LAYERS[entry.pop("kind")], entry["name"]
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    if issubclass(cls, WeightLayer):
        values |= {key: arrays[f"{name}.{key}"] for key in ("weights", "bias")}
        if values.get("requantise") is not None:
            values["requantise"] = Requantise(
                multiplier=arrays[f"{name}.multiplier"], shift=arrays[f"{name}.shift"], dtype=values["requantise"]
            )
    if "scale" in values:
        values["scale"] = ScaledSum(**values["scale"] | {"multipliers": tuple(values["scale"]["multipliers"])})
    if cls is Residual:
        values |= {key: tuple(_layer(inner, arrays) for inner in values[key]) for key in ("body", "shortcut")}
    return cls(**values)

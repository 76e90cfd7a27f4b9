"""Which layer loses accuracy: density, cut-off values and signal-to-noise of each, on given words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import check_input, run_layer
from cs_hdl.golden.real import run_real_layer
from cs_hdl.network import Residual, WeightLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import Network, Tensor

__all__ = ["LayerQuality", "RealRun", "run_both"]

#: Words that are held as float64 at once.
_CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class LayerQuality:
    """One layer over all words; shares are 0..1, None where the layer has no such thing.

    ``weight_density``: weights that are not 0; ``density``: results that are not 0; ``saturation``: results whose
    exact value lies beyond the ends of the 8-bit type by half a step or more; ``own_snr_db``: power of the results
    over that of the error which this layer alone makes (real arithmetic on the same integers), None where it makes
    none; ``snr_db``: the same against the network without any rounding, so with all that came before.
    """

    name: str
    kind: str
    weight_density: float | None
    density: float
    saturation: float | None
    own_snr_db: float | None
    snr_db: float | None


@dataclass(frozen=True, kw_only=True)
class RealRun:
    """Outputs ``[n, *output shape]`` without rounding (float64) and as integers, and the layers' qualities."""

    real: NDArray[np.float64]
    integer: NDArray[Any]
    layers: tuple[LayerQuality, ...]


class _Sums:
    """What is added up over the chunks for one layer."""

    def __init__(self) -> None:
        self.count = self.nonzero = self.cut = 0
        self.signal = self.noise = self.own_signal = self.own_noise = 0.0

    def add(self, tensor: Tensor, real: NDArray[Any], own: NDArray[Any], integer: NDArray[Any]) -> None:
        exact = integer.astype(np.float64)
        self.count += exact.size
        self.nonzero += int(np.count_nonzero(exact))
        low, high = dtype_range(tensor.dtype)
        self.cut += int(np.count_nonzero((own >= high + 0.5) | (own <= low - 0.5)))
        self.signal += float(np.sum(real**2))
        self.noise += float(np.sum((real - exact) ** 2))
        self.own_signal += float(np.sum(own**2))
        self.own_noise += float(np.sum((own - exact) ** 2))


def run_both(network: Network, words: NDArray[Any]) -> RealRun:
    """The integer network and the real one over ``words`` ``[n, *input shape]``, layer by layer."""
    words = check_input(network, words)
    sums = [_Sums() for _ in network.layers]
    real_outputs, outputs = [], []
    for start in range(0, len(words), _CHUNK):
        integer = words[start : start + _CHUNK]
        real: NDArray[Any] = integer.astype(np.float64)
        for total, layer, tensor, result in zip(
            sums, network.layers, network.tensors[:-1], network.tensors[1:], strict=True
        ):
            own = run_real_layer(layer, tensor, result, integer)
            integer = run_layer(layer, tensor, result, integer)
            real = run_real_layer(layer, tensor, result, real)
            total.add(result, real, own, integer)
        real_outputs.append(real)
        outputs.append(integer)
    qualities = [_quality(network, index, total) for index, total in enumerate(sums)]
    return RealRun(real=np.concatenate(real_outputs), integer=np.concatenate(outputs), layers=tuple(qualities))


def _quality(network: Network, index: int, total: _Sums) -> LayerQuality:
    layer, tensor = network.layers[index], network.tensors[index + 1]
    rounds = getattr(layer, "requantise", None) is not None or hasattr(layer, "scale")
    weights = layer.weights if isinstance(layer, WeightLayer) else None
    if isinstance(layer, Residual):
        inner = [part.weights.reshape(-1) for part in (*layer.body, *layer.shortcut) if isinstance(part, WeightLayer)]
        weights = np.concatenate(inner) if inner else None
    return LayerQuality(
        name=layer.name,
        kind=layer.kind,
        weight_density=None if weights is None else float(np.count_nonzero(weights) / weights.size),
        density=total.nonzero / total.count,
        saturation=total.cut / total.count if rounds and tensor.dtype in ("uint8", "int8") else None,
        own_snr_db=_decibel(total.own_signal, total.own_noise),
        snr_db=_decibel(total.signal, total.noise),
    )


def _decibel(signal: float, noise: float) -> float | None:
    """None where there is no noise (or nothing but noise)."""
    return round(10 * math.log10(signal / noise), 2) if signal > 0 and noise > 0 else None

"""The paper's speech network ``gsc`` with its final masks and random weights: what it costs in hardware can be
measured before it is trained.

Cycles, multipliers and memories depend on how many weights there are and where, not on their values.
``python -m cs_hdl.models.speech`` writes ``gsc.onnx`` again, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.datasets.speech_commands import CLASSES
from cs_hdl.files import write_aside
from cs_hdl.torch import integer
from cs_hdl.torch.onnx_export import to_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "random_speech_network", "speech_model"]

_SEED = 2112
_SIDE = 32
_FILTERS = 64
_UNITS = 1500
#: Share of values that may be cut off at 255 (the issue allows 5 %).
_SATURATED = 0.02
_CALIBRATION_WORDS = 24


@dataclass(frozen=True, kw_only=True)
class _Sparse:
    """A weighted layer: kernels of ``positions`` weights, ``nonzeros`` of them there."""

    name: str
    kernels: int
    positions: int
    nonzeros: int


_CONV1 = _Sparse(name="conv1", kernels=_FILTERS, positions=25, nonzeros=3)
_CONV2 = _Sparse(name="conv2", kernels=_FILTERS, positions=1600, nonzeros=100)
_LINEAR1 = _Sparse(name="linear1", kernels=_UNITS, positions=1600, nonzeros=80)
_OUTPUT = _Sparse(name="output", kernels=len(CLASSES), positions=_UNITS, nonzeros=_UNITS)


def random_speech_network(*, seed: int = _SEED) -> integer.IntegerNetwork:
    """conv 5x5x64, max-pool, 8 of 64, conv 5x5x64, max-pool, 8 of 64, linear 1500, 150 of 1500, linear 12.

    Exactly 3 of 25, 100 of 1600 and 80 of 1600 weights a kernel, in complementary sets of 8, 16 and 20 kernels;
    the output layer is dense (paper, section on the GSC network). Weights are random int8, never 0; each
    requantisation is the least shift that cuts off at most 2 % of the values of random words.
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (_CALIBRATION_WORDS, 1, _SIDE, _SIDE), dtype=np.uint8)
    layers: list[integer.IntegerLayer] = []
    for number, (sparse, channels) in enumerate(((_CONV1, 1), (_CONV2, _FILTERS)), 1):
        weights, bias = _parameters(sparse, rng, seed + number)
        layers += [
            integer.IntegerConv2d(
                name=sparse.name, weights=weights.reshape(-1, channels, 5, 5), bias=bias, weight_scale=2.0**-7,
                stride=(1, 1), padding=(0, 0),
            ),
            integer.MaxPool(name=f"pool{number}", size=2),
        ]  # fmt: skip
        layers += [_requantise(layers, images, number), integer.Winners(name=f"kwta{number}", k=8)]
    layers.append(integer.Flatten(name="flatten"))
    weights, bias = _parameters(_LINEAR1, rng, seed + 3)
    layers.append(integer.IntegerLinear(name="linear1", weights=weights, bias=bias, weight_scale=2.0**-7))
    layers += [_requantise(layers, images, 3), integer.Winners(name="kwta3", k=150)]
    weights, bias = _parameters(_OUTPUT, rng, seed + 4)
    layers.append(integer.IntegerLinear(name="output", weights=weights, bias=bias, weight_scale=2.0**-7))
    return _network(layers)


def speech_model() -> bytes:
    """The file ``gsc.onnx``."""
    model = to_onnx(
        random_speech_network(),
        output_name="scores",
        outputs=len(CLASSES),
        summary="speech network of arXiv 2112.13896 with final complementary masks; UNTRAINED: its weights are random",
        metadata={"classes": list(CLASSES), "dataset": "none: random weights"},
    )
    return bytes(model.SerializeToString(deterministic=True))


def _network(layers: list[integer.IntegerLayer]) -> integer.IntegerNetwork:
    return integer.IntegerNetwork(name="gsc", input_shape=(1, _SIDE, _SIDE), input_scale=2.0**-8, layers=tuple(layers))


def _parameters(sparse: _Sparse, rng: np.random.Generator, seed: int) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    shape = (sparse.kernels, sparse.positions)
    masks = complementary_masks(kernels=sparse.kernels, positions=sparse.positions, nonzeros=sparse.nonzeros, seed=seed)
    weights = rng.integers(1, 128, shape) * rng.choice([-1, 1], shape) * masks
    bias = rng.integers(-(2**10), 2**10, sparse.kernels)
    return weights.astype(np.int8), bias.astype(np.int32)


def _requantise(layers: list[integer.IntegerLayer], images: NDArray[np.uint8], number: int) -> integer.ToUint8:
    """The finest scale at which few of the values of ``images`` reach the end of uint8."""
    sums, scale = integer.evaluate(_network(layers), images)
    most = float(np.quantile(sums, 1 - _SATURATED))
    shift = max(0, int(np.ceil(np.log2(max(most, 1.0) / 255))))
    return integer.ToUint8(name=f"requantise{number}", scale=scale * 2.0**shift)


def _main() -> None:
    path = Path(__file__).with_name("gsc.onnx")
    write_aside(path, speech_model())
    print(path)


if __name__ == "__main__":
    _main()

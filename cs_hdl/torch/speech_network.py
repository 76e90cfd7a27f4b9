"""The paper's speech network, to be trained: dense, sparse-dense and sparse-sparse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cs_hdl.combine.project import project_masks
from cs_hdl.datasets.speech_commands import CLASSES
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale
from cs_hdl.torch.winners import KWinners, KWinners2d

__all__ = [
    "INPUT_SHAPE",
    "MASKED",
    "VARIANTS",
    "Variant",
    "begin_as",
    "linear_classifier",
    "speech_network",
    "take_weights",
]

#: A choice of masks: magnitudes float32 ``[kernels, positions]``, weights a kernel -> bool ``[kernels, positions]``.
Choose = Callable[[NDArray[Any], int], NDArray[np.bool_]]
#: The layers that have masks; the last one is dense.
MASKED = ("conv1", "conv2", "linear1")
Variant = Literal["dense", "sparse-dense", "sparse-sparse"]
VARIANTS: tuple[Variant, ...] = ("dense", "sparse-dense", "sparse-sparse")
#: (channels, height, width): mel bands by frames.
INPUT_SHAPE = (1, 32, 32)
_FILTERS, _UNITS, _MAP = 64, 1500, 1600
# Features are 0..255; training wants about 0..1.
_INPUT_EXPONENT = -8
#: The masks of the shipped, untrained `gsc`: one hardware for all weights (models/speech.py).
_MASK_SEED = 2112
#: How much of the boost is left after an epoch. (0.9 was published, for more epochs than are spent here.)
_BOOST_FACTOR = 0.75


def speech_network(variant: Variant, *, boost_strength: float = 0.0, gradient_leak: float = 0.0) -> nn.Sequential:
    """conv 5x5x64, max-pool, k-WTA, the same again, linear 1500, k-WTA, linear 12.

    Input float ``[batch, 1, 32, 32]`` of 0..255, output ``[batch, 12]``. Sparse weights: 3 of 25, 100 of 1600 and
    80 of 1600 a kernel, dense: all (the last layer is always dense). Sparse activations: 8 of 64 channels at each
    position, 8 again, 150 of 1500 units; dense: ReLU. Normalisation without factors, as published, stands behind
    the pooling, where it costs a quarter and the result is the same.
    """
    sparse, winners = variant != "dense", variant == "sparse-sparse"
    nonzeros = (3, 100, 80) if sparse else (25, 25 * _FILTERS, _MAP)

    options = {"boost_strength_factor": _BOOST_FACTOR, "gradient_leak": gradient_leak}

    def local(name: str) -> list[tuple[str, nn.Module]]:
        return [(name, KWinners2d(_FILTERS, 8, boost_strength, **options))] if winners else []

    layers: list[tuple[str, nn.Module]] = [
        ("scale", PowerOfTwoScale(_INPUT_EXPONENT)),
        ("conv1", ComplementaryConv2d(1, _FILTERS, 5, nonzeros=nonzeros[0], seed=_MASK_SEED + 1)),
        ("pool1", nn.MaxPool2d(2)),
        ("norm1", nn.BatchNorm2d(_FILTERS, affine=False)),
        # Until it quantises, it is a ReLU.
        ("requantise1", FakeQuantise("uint8")),
        *local("kwta1"),
        ("conv2", ComplementaryConv2d(_FILTERS, _FILTERS, 5, nonzeros=nonzeros[1], seed=_MASK_SEED + 2)),
        ("pool2", nn.MaxPool2d(2)),
        ("norm2", nn.BatchNorm2d(_FILTERS, affine=False)),
        ("requantise2", FakeQuantise("uint8")),
        *local("kwta2"),
        ("flatten", nn.Flatten()),
        ("linear1", ComplementaryLinear(_MAP, _UNITS, nonzeros=nonzeros[2], seed=_MASK_SEED + 3)),
        ("norm3", nn.BatchNorm1d(_UNITS, affine=False)),
        ("requantise3", FakeQuantise("uint8")),
    ]
    if winners:
        layers.append(("kwta3", KWinners(_UNITS, 150, boost_strength, **options)))
    layers.append(("output", ComplementaryLinear(_UNITS, len(CLASSES), nonzeros=_UNITS)))
    return nn.Sequential(OrderedDict(layers))


def linear_classifier() -> nn.Sequential:
    """What a network has to beat: twelve weighted sums of the features."""
    return nn.Sequential(PowerOfTwoScale(_INPUT_EXPONENT), nn.Flatten(), nn.Linear(32 * 32, len(CLASSES)))


def take_weights(model: nn.Sequential, dense: nn.Sequential) -> None:
    """Give ``model`` the weights and the normalisation of ``dense``; masks stay its own."""
    state = {name: value for name, value in dense.state_dict().items() if not name.endswith(".mask")}
    model.load_state_dict(state, strict=False)


def begin_as(model: nn.Sequential, dense: nn.Sequential, choose: Choose | None = None) -> None:
    """Give the sparse ``model`` what its masks leave of the weights of ``dense``, and its normalisation.

    The masks are those that ``choose`` makes of the magnitudes; without it the complementary ones that keep the most
    magnitude (:func:`cs_hdl.combine.project.project_masks`).
    """
    choose = choose or (lambda magnitudes, nonzeros: project_masks(magnitudes, nonzeros=nonzeros))
    take_weights(model, dense)
    for name in MASKED:
        layer = model.get_submodule(name)
        assert isinstance(layer, ComplementaryConv2d | ComplementaryLinear)
        magnitudes = layer.weight.detach().abs().cpu().numpy().reshape(layer.weight.shape[0], -1)
        layer.mask.copy_(torch.from_numpy(choose(magnitudes, layer.nonzeros)).reshape(layer.mask.shape))
        with torch.no_grad():
            layer.weight.mul_(layer.mask)

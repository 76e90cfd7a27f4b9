"""The `digits` network: the structure of the paper's speech network, in small."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cs_hdl.datasets.digits import CLASSES
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale
from cs_hdl.torch.winners import KWinners, KWinners2d

__all__ = ["CHANNELS", "FEATURES", "dense_network", "sparse_network"]

#: Channels of the convolution, and features of the hidden linear layer.
CHANNELS, FEATURES = 30, 128
# Pixels are 0..16; training wants about 0..1.
_INPUT_EXPONENT = -4
_MAP = CHANNELS * 4 * 4
_MASK_SEEDS = {"conv": 1, "linear1": 2}
# Share of the global k-WTA's winners that training leaves out.
_DROPOUT = 0.1


def sparse_network(*, boost_strength: float) -> nn.Sequential:
    """The network that is shipped; input float ``[batch, 1, 8, 8]`` of 0..16, output ``[batch, 10]``.

    The masks are the same for every seed of the training.
    """
    layers: list[tuple[str, nn.Module]] = [
        ("scale", PowerOfTwoScale(_INPUT_EXPONENT)),
        ("conv", ComplementaryConv2d(1, CHANNELS, 5, padding=2, nonzeros=5, seed=_MASK_SEEDS["conv"])),
        ("norm1", nn.BatchNorm2d(CHANNELS)),
        ("pool", nn.MaxPool2d(2)),
        ("requantise1", FakeQuantise("uint8")),
        ("kwta1", KWinners2d(CHANNELS, 6, boost_strength=boost_strength)),
        ("flatten", nn.Flatten()),
        ("linear1", ComplementaryLinear(_MAP, FEATURES, nonzeros=30, seed=_MASK_SEEDS["linear1"])),
        ("norm2", nn.BatchNorm1d(FEATURES)),
        ("requantise2", FakeQuantise("uint8")),
        ("kwta2", KWinners(FEATURES, 25, boost_strength=boost_strength)),
        ("dropout", nn.Dropout(_DROPOUT)),
        ("output", ComplementaryLinear(FEATURES, CLASSES, nonzeros=FEATURES)),
    ]
    return nn.Sequential(OrderedDict(layers))


def dense_network() -> nn.Sequential:
    """The same shape with all weights and ReLU: the accuracy to compare with."""
    layers: list[tuple[str, nn.Module]] = [
        ("scale", PowerOfTwoScale(_INPUT_EXPONENT)),
        ("conv", nn.Conv2d(1, CHANNELS, 5, padding=2)),
        ("norm1", nn.BatchNorm2d(CHANNELS)),
        ("pool", nn.MaxPool2d(2)),
        ("relu1", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("linear1", nn.Linear(_MAP, FEATURES)),
        ("norm2", nn.BatchNorm1d(FEATURES)),
        ("relu2", nn.ReLU()),
        ("output", nn.Linear(FEATURES, CLASSES)),
    ]
    return nn.Sequential(OrderedDict(layers))

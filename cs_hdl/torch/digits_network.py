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


def sparse_network(
    *,
    boost_strength: float,
    nonzeros: tuple[int, int] = (5, 30),
    winners: tuple[int, int] = (6, 25),
    dropout: float = _DROPOUT,
) -> nn.Sequential:
    """The network that is shipped; input float ``[batch, 1, 8, 8]`` of 0..16, output ``[batch, 10]``.

    ``nonzeros``: weights a kernel of the convolution and of the hidden layer; ``winners``: of the channels at each
    position and of the hidden features. The masks are the same for every seed of the training.
    """
    layers: list[tuple[str, nn.Module]] = [
        ("scale", PowerOfTwoScale(_INPUT_EXPONENT)),
        ("conv", ComplementaryConv2d(1, CHANNELS, 5, padding=2, nonzeros=nonzeros[0], seed=_MASK_SEEDS["conv"])),
        ("norm1", nn.BatchNorm2d(CHANNELS)),
        ("pool", nn.MaxPool2d(2)),
        ("requantise1", FakeQuantise("uint8")),
        ("kwta1", KWinners2d(CHANNELS, winners[0], boost_strength=boost_strength)),
        ("flatten", nn.Flatten()),
        ("linear1", ComplementaryLinear(_MAP, FEATURES, nonzeros=nonzeros[1], seed=_MASK_SEEDS["linear1"])),
        ("norm2", nn.BatchNorm1d(FEATURES)),
        ("requantise2", FakeQuantise("uint8")),
        ("kwta2", KWinners(FEATURES, winners[1], boost_strength=boost_strength)),
        ("dropout", nn.Dropout(dropout)),
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

"""The quantised network: frozen layers in the order of the data, validated, saved and loaded.

A tensor between layers has the shape ``(height, width, channels)``; a linear layer's result is
``(1, 1, features)``, and its input features count a tensor in C order of that shape.
"""

from cs_hdl.network.elementwise import Rescale, Residual, ScaledSum
from cs_hdl.network.file import load_network, save_network
from cs_hdl.network.network import Network
from cs_hdl.network.pools import AveragePool, MaxPool, Pool
from cs_hdl.network.requantise import Requantise
from cs_hdl.network.select import ArgMax, GlobalKWTA, LocalKWTA
from cs_hdl.network.tensor import Layer, Shape, Tensor
from cs_hdl.network.weights import Conv2d, Linear, WeightLayer

__all__ = [
    "ArgMax",
    "AveragePool",
    "Conv2d",
    "GlobalKWTA",
    "Layer",
    "Linear",
    "LocalKWTA",
    "MaxPool",
    "Network",
    "Pool",
    "Requantise",
    "Rescale",
    "Residual",
    "ScaledSum",
    "Shape",
    "Tensor",
    "WeightLayer",
    "load_network",
    "save_network",
]

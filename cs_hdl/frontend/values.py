"""What a tensor of an ONNX graph means, while the graph is walked from its input to its output.

Each value that depends on the network's input carries the :class:`Chain` of layers that makes it,
so that a graph is read without any pattern search: a handler looks at the values that it is given.
Shapes are those of one word: the batch counts as 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import Layer, MaxPool, Shape, Tensor, WeightLayer

__all__ = [
    "Accumulators",
    "Activation",
    "Chain",
    "ClassIndex",
    "Codes",
    "Constant",
    "Data",
    "FloatInput",
    "IntegerInput",
    "Pending",
    "QuantisedConstant",
    "Value",
    "Winners",
]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The layers so far, from the network's ``input`` (real value = ``input_scale`` * integer) on."""

    input: Tensor
    input_scale: float
    layers: tuple[Layer, ...] = ()
    tensor: Tensor

    def then(self, layer: Layer) -> Chain:
        """This chain with ``layer`` at its end; InputError where the layer does not fit."""
        return dataclasses.replace(self, layers=(*self.layers, layer), tensor=layer.output(self.tensor))


@dataclass(frozen=True, kw_only=True)
class Value:
    """Any tensor of the graph; ``str()`` says what it is, for messages."""

    def __str__(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant(Value):
    """A tensor that is known when the model is read."""

    array: NDArray[Any]

    def __str__(self) -> str:
        return f"a constant of {self.array.dtype} {list(self.array.shape)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantisedConstant(Value):
    """Dequantised weights or bias: real value = ``scale`` * ``integers`` (int64, zero point taken out).

    ``scale`` (float64) has one element, or one for each index along ``axis``; ``name`` is that of
    the integers' tensor.
    """

    name: str
    integers: NDArray[np.int64]
    scale: NDArray[np.float64]
    axis: int

    def __str__(self) -> str:
        return f"the quantised constant {self.name!r} {list(self.integers.shape)}"


@dataclass(frozen=True, kw_only=True)
class FloatInput(Value):
    """The graph's input where it is a float tensor.

    ``shape`` is ``(channels, height, width)``, ``(channels, length)`` or ``(features,)``.
    """

    shape: tuple[int, ...]

    def __str__(self) -> str:
        return "the graph's float input"


@dataclass(frozen=True, kw_only=True)
class IntegerInput(Value):
    """The graph's input where it is a tensor of ``dtype`` int8 or uint8; its scale comes with the DequantizeLinear."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"the graph's {self.dtype} input"


@dataclass(frozen=True, kw_only=True, eq=False)
class Data(Value):
    """A tensor between layers.

    ``flat`` where the graph sees it as features, flattened from channels, height, width; the
    network's own order stays (height, width, channel). ``line`` where the graph sees a map of height 1
    as a sequence, without that dimension.
    """

    chain: Chain
    flat: bool
    line: bool = False

    @property
    def map_shape(self) -> Shape:
        """(height, width, channels), flattened or not."""
        return self.chain.tensor.shape

    @property
    def onnx_shape(self) -> tuple[int, ...]:
        """The shape in the graph for a batch of 1.

        ``(1, channels, height, width)``, ``(1, channels, length)`` or ``(1, features)``.
        """
        height, width, channels = self.map_shape
        if self.flat:
            return (1, height * width * channels)
        return (1, channels, width) if self.line else (1, channels, height, width)

    @property
    def features_reordered(self) -> bool:
        """True where the graph counts features in another order than the network."""
        return self.flat and self.map_shape[0] * self.map_shape[1] > 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Codes(Data):
    """The integers that a QuantizeLinear gives; ``zero_point`` is the one the graph uses for them."""

    scale: float
    zero_point: int

    def __str__(self) -> str:
        return "a quantised (integer) tensor"


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Data):
    """A dequantised tensor: real value = ``scale`` * integer."""

    scale: float

    def __str__(self) -> str:
        return "a dequantised activation"


@dataclass(frozen=True, kw_only=True, eq=False)
class Accumulators(Data):
    """What a convolution or linear layer gave and nothing has quantised yet: real value = ``scale`` * sum.

    ``layer`` is not in the chain yet, nor are the ``pools`` that follow it (QuantizeLinear is
    monotone, so they move behind it). ``scale`` is float64, one element or one a channel;
    ``shape`` is that of the result, ``clip`` what Relu and Clip cut off, as real values.
    """

    layer: WeightLayer
    scale: NDArray[np.float64]
    shape: Shape
    pools: tuple[MaxPool, ...] = ()
    clip: tuple[float, float] = (-np.inf, np.inf)

    @property
    def map_shape(self) -> Shape:
        return self.shape

    @property
    def untouched(self) -> bool:
        """True where neither a pool nor a clip follows the layer."""
        return not self.pools and self.clip == (-np.inf, np.inf)

    def __str__(self) -> str:
        return f"the unquantised result of {self.layer.name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending(Data):
    """A real tensor made of dequantised ones, which nothing has quantised yet.

    The sum of its ``operands``, each with its own scale; or, where there is a ``window`` (kernel, stride,
    padding), the average of the only one over it; or that operand itself. ``clip`` is what Relu and Clip cut
    off, as real values; ``name`` that of the layer that it will be, ``shape`` that of the result.
    ``settled`` is an activation that equals it, where its operand's own steps can hold what is left.
    """

    name: str
    what: str
    operands: tuple[Activation, ...]
    shape: Shape
    window: tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]] | None = None
    clip: tuple[float, float] = (-np.inf, np.inf)
    settled: Activation | None = None

    @property
    def map_shape(self) -> Shape:
        return self.shape

    def __str__(self) -> str:
        return f"{self.what} that nothing has quantised"


@dataclass(frozen=True, kw_only=True, eq=False)
class Winners(Value):
    """One result of the TopK ``node`` over ``source``: its "values" or its "indices"."""

    node: str
    what: str
    source: Activation
    axis: int
    winners: int

    def __str__(self) -> str:
        return f"the {self.what} of the TopK {self.node}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassIndex(Value):
    """The result of an ArgMax, which is the chain's last layer."""

    chain: Chain

    def __str__(self) -> str:
        return "the class index of an ArgMax"

"""The quantised network: frozen layers in the order of the data, validated, saved and loaded.

A tensor between layers has the shape ``(height, width, channels)``; a linear layer's result is
``(1, 1, features)``, and its input features count a tensor in C order of that shape.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.fixedpoint import MAX_MULTIPLIER, MAX_SHIFT, dtype_range, smallest_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "ArgMax",
    "Conv2d",
    "GlobalKWTA",
    "Layer",
    "Linear",
    "LocalKWTA",
    "MaxPool",
    "Network",
    "Requantise",
    "Shape",
    "Tensor",
    "WeightLayer",
    "load_network",
    "save_network",
]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Tensor:
    """Shape ``(height, width, channels)`` and dtype of what flows between two layers.

    ``winners`` is the number of non-zero values at most in each group of ``group`` values
    (channels of one position, or the whole tensor): what a k-WTA left; None where any value
    may be non-zero.
    """

    shape: Shape
    dtype: str
    winners: int | None = None

    @property
    def size(self) -> int:
        """Values of the whole tensor."""
        return math.prod(self.shape)


def _frozen(array: Any, dtype: str) -> NDArray[Any]:
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantise:
    """``clamp(round_half_even(acc * multiplier / 2**shift))`` to ``dtype``.

    ``multiplier`` (1..65535) and ``shift`` (0..47) are int64 arrays of one element (the whole
    layer) or one for each out-channel.
    """

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    dtype: str = "uint8"

    def __post_init__(self) -> None:
        multiplier = _frozen(np.atleast_1d(self.multiplier), "int64")
        shift = _frozen(np.atleast_1d(self.shift), "int64")
        if multiplier.ndim != 1 or shift.ndim != 1:
            raise InputError("a requantisation's multiplier and shift are one number each, or one a channel")
        count = max(multiplier.size, shift.size)
        object.__setattr__(self, "multiplier", _frozen(np.broadcast_to(multiplier, (count,)), "int64"))
        object.__setattr__(self, "shift", _frozen(np.broadcast_to(shift, (count,)), "int64"))
        if self.dtype not in ("uint8", "int8"):
            raise InputError(f"a requantisation gives uint8 or int8, not {self.dtype}")
        if multiplier.min() < 1 or multiplier.max() > MAX_MULTIPLIER:
            raise InputError(
                f"a requantisation's multiplier must be 1..{MAX_MULTIPLIER}, not {multiplier.min()}..{multiplier.max()}"
            )
        if shift.min() < 0 or shift.max() > MAX_SHIFT:
            raise InputError(f"a requantisation's shift must be 0..{MAX_SHIFT}, not {shift.min()}..{shift.max()}")

    def of_channels(self, channels: Iterable[int]) -> tuple[list[int], list[int]]:
        """Multipliers and shifts of ``channels``, whether there is one pair for all or one for each."""
        places = [channel if self.multiplier.size > 1 else 0 for channel in channels]
        return self.multiplier[places].tolist(), self.shift[places].tolist()

    @property
    def per_channel(self) -> bool:
        """True where channels differ in their multiplier or shift."""
        return bool(np.unique(self.multiplier).size > 1 or np.unique(self.shift).size > 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One step of the network; ``output(tensor)`` gives its result's shape and dtype."""

    name: str

    def output(self, tensor: Tensor) -> Tensor:
        """Shape and dtype of the result; raises InputError where ``tensor`` does not fit."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """The layer's kind as the manifest writes it."""
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightLayer(Layer):
    """What convolutions and linear layers share.

    ``weights`` is int8 in -127..127, ``[out_channels, ...]``, 0 where a weight is absent;
    ``bias`` is int32 ``[out_channels]``; without ``requantise`` the layer gives its exact
    accumulators.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantise: Requantise | None = None

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights)
        if weights.dtype != np.int8:
            raise InputError(f"{self.name}: weights must be int8, not {weights.dtype}")
        if weights.size == 0:
            raise InputError(f"{self.name}: weights of the shape {list(weights.shape)} are empty")
        if weights.min() < -127:
            where = [int(i) for i in np.argwhere(weights < -127)[0]]
            raise InputError(f"{self.name}: weight -128 at {where}; weights must be -127..127")
        object.__setattr__(self, "weights", _frozen(weights, "int8"))
        bias = np.asarray(self.bias)
        if bias.dtype != np.int32:
            raise InputError(f"{self.name}: bias must be int32, not {bias.dtype}")
        if bias.shape != (weights.shape[0],):
            raise InputError(f"{self.name}: bias has the shape {list(bias.shape)}, not [{weights.shape[0]}]")
        object.__setattr__(self, "bias", _frozen(bias, "int32"))
        if self.requantise is not None and self.requantise.multiplier.size not in (1, weights.shape[0]):
            raise InputError(
                f"{self.name}: {self.requantise.multiplier.size} scales for {weights.shape[0]} output channels"
            )

    @property
    def out_channels(self) -> int:
        """Number of kernels."""
        return int(self.weights.shape[0])

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        """The weights as ``[out_channels, kernel_height, kernel_width, in_channels]`` over ``tensor``."""
        raise NotImplementedError

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Stride ``(vertical, horizontal)`` and padding ``(top, left, bottom, right)`` over ``tensor``."""
        raise NotImplementedError

    def accumulator_range(self, tensor: Tensor) -> tuple[int, int]:
        """Smallest and largest accumulator that any input can give with these very weights."""
        flat = self.weights.reshape(self.out_channels, -1).astype(np.int64)
        positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        low, high = dtype_range(tensor.dtype)
        lows = positive * low + negative * high + self.bias
        highs = positive * high + negative * low + self.bias
        return int(lows.min()), int(highs.max())

    def _result(self, tensor: Tensor, shape: Shape) -> Tensor:
        if tensor.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: its input must be uint8 or int8, not {tensor.dtype}")
        if self.requantise is not None:
            return Tensor(shape, self.requantise.dtype)
        low, high = self.accumulator_range(tensor)
        try:
            return Tensor(shape, smallest_dtype(low, high))
        except ValueError:
            raise InputError(f"{self.name}: accumulators of {low}..{high} do not fit 32 bits") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(WeightLayer):
    """2-D convolution (cross-correlation, as in ONNX).

    ``weights``: ``[out_channels, in_channels / groups, kernel_height, kernel_width]``;
    ``padding``: ``(top, left, bottom, right)``, with zeros.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights.ndim != 4:
            raise InputError(
                f"{self.name}: weights of the shape {list(self.weights.shape)}; a convolution takes "
                "[out_channels, in_channels / groups, kernel_height, kernel_width]"
            )
        if min(self.stride) < 1:
            raise InputError(f"{self.name}: stride {self.stride} must be at least 1")
        if min(self.padding) < 0:
            raise InputError(f"{self.name}: padding {self.padding} must not be negative")
        if self.groups < 1 or self.out_channels % self.groups:
            raise InputError(
                f"{self.name}: {self.out_channels} output channels do not divide into {self.groups} groups"
            )

    def output(self, tensor: Tensor) -> Tensor:
        height, width, channels = tensor.shape
        _, group_channels, kernel_height, kernel_width = self.weights.shape
        if group_channels * self.groups != channels:
            raise InputError(
                f"{self.name}: weights for {group_channels * self.groups} input channels "
                f"({group_channels} in each of {self.groups} groups), but the input has {channels}"
            )
        top, left, bottom, right = self.padding
        if height + top + bottom < kernel_height or width + left + right < kernel_width:
            raise InputError(
                f"{self.name}: kernel {kernel_height}x{kernel_width} is larger than the input "
                f"{height}x{width} with padding {self.padding}"
            )
        out_height = (height + top + bottom - kernel_height) // self.stride[0] + 1
        out_width = (width + left + right - kernel_width) // self.stride[1] + 1
        return self._result(tensor, (out_height, out_width, self.out_channels))

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        out_channels, group_channels, kernel_height, kernel_width = self.weights.shape
        full = np.zeros((out_channels, kernel_height, kernel_width, tensor.shape[2]), dtype=np.int8)
        for group in range(self.groups):
            outs = slice(group * out_channels // self.groups, (group + 1) * out_channels // self.groups)
            ins = slice(group * group_channels, (group + 1) * group_channels)
            full[outs, :, :, ins] = self.weights[outs].transpose(0, 2, 3, 1)
        return full

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        return self.stride, self.padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(WeightLayer):
    """Fully connected layer; ``weights``: ``[out_features, in_features]``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights.ndim != 2:
            raise InputError(
                f"{self.name}: weights of the shape {list(self.weights.shape)}; "
                "a linear layer takes [out_features, in_features]"
            )

    def output(self, tensor: Tensor) -> Tensor:
        if self.weights.shape[1] != tensor.size:
            raise InputError(
                f"{self.name}: weights for {self.weights.shape[1]} input features, but the input "
                f"{list(tensor.shape)} has {tensor.size}"
            )
        return self._result(tensor, (1, 1, self.out_channels))

    def kernels(self, tensor: Tensor) -> NDArray[np.int8]:
        return self.weights.reshape(self.out_channels, *tensor.shape)

    def geometry(self, tensor: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        return (1, 1), (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Layer):
    """Max-pooling; padding ``(top, left, bottom, right)`` never wins; comparison has the tensor's sign."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def output(self, tensor: Tensor) -> Tensor:
        if tensor.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: max-pooling takes uint8 or int8, not {tensor.dtype}")
        if min(self.kernel) < 1 or min(self.stride) < 1:
            raise InputError(f"{self.name}: kernel {self.kernel} and stride {self.stride} must be at least 1")
        top, left, bottom, right = self.padding
        if min(self.padding) < 0 or max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise InputError(f"{self.name}: padding {self.padding} must be 0..kernel-1 of the kernel {self.kernel}")
        height, width, channels = tensor.shape
        out_height = (height + top + bottom - self.kernel[0]) // self.stride[0] + 1
        out_width = (width + left + right - self.kernel[1]) // self.stride[1] + 1
        if out_height < 1 or out_width < 1:
            raise InputError(f"{self.name}: kernel {self.kernel} is larger than its input {height}x{width}")
        # The last window may start in the padding behind the data: it would see nothing at all.
        if (out_height - 1) * self.stride[0] - top >= height or (out_width - 1) * self.stride[1] - left >= width:
            raise InputError(f"{self.name}: with padding {self.padding} the last window holds nothing but padding")
        return Tensor((out_height, out_width, channels), tensor.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalKWTA(Layer):
    """k-WTA among the channels of each position: the ``winners`` largest stay, the others become 0.

    Exactly ``winners`` win; of equal values those with the lower channel.
    """

    winners: int

    def output(self, tensor: Tensor) -> Tensor:
        _check_winners(self.name, self.winners, tensor, tensor.shape[2], "channels")
        return Tensor(tensor.shape, tensor.dtype, self.winners)


@dataclass(frozen=True, kw_only=True, eq=False)
class GlobalKWTA(Layer):
    """k-WTA over the whole tensor, in C order of (height, width, channel); ties to the lower index."""

    winners: int

    def output(self, tensor: Tensor) -> Tensor:
        _check_winners(self.name, self.winners, tensor, tensor.size, "features")
        return Tensor((1, 1, tensor.size), tensor.dtype, self.winners)


def _check_winners(name: str, winners: int, tensor: Tensor, count: int, what: str) -> None:
    if tensor.dtype != "uint8":
        raise InputError(f"{name}: k-WTA takes uint8, not {tensor.dtype}")
    if not 1 <= winners <= count:
        raise InputError(f"{name}: k = {winners} must be 1..{count} (the number of {what})")


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMax(Layer):
    """Index of the largest of all values; the lowest index on ties. The result is ``(1, 1, 1)``."""

    def output(self, tensor: Tensor) -> Tensor:
        if tensor.size > 65536:
            raise InputError(f"{self.name}: ArgMax over {tensor.size} values; at most 65536")
        return Tensor((1, 1, 1), "uint8" if tensor.size <= 256 else "uint16")


_LAYERS: dict[str, type[Layer]] = {c.__name__: c for c in (Conv2d, Linear, MaxPool, LocalKWTA, GlobalKWTA, ArgMax)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A chain of layers over ``input``; ``tensors[i]`` is what layer i reads, the last is the output.

    Raises InputError, naming the layer, where two neighbours do not fit.
    """

    name: str
    input: Tensor
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError(f"{self.name}: a network needs at least one layer")
        if self.input.dtype not in ("uint8", "int8"):
            raise InputError(f"{self.name}: the input must be uint8 or int8, not {self.input.dtype}")
        if min(self.input.shape) < 1:
            raise InputError(f"{self.name}: input shape {list(self.input.shape)} must be at least 1 everywhere")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise InputError(f"{self.name}: two layers have the same name: {', '.join(names)}")
        tensors = [self.input]
        for layer in self.layers:
            tensors.append(layer.output(tensors[-1]))
        for layer, tensor in zip(self.layers[:-1], tensors[1:-1], strict=True):
            if tensor.dtype not in ("uint8", "int8") and not isinstance(self.layers[-1], ArgMax):
                raise InputError(f"{layer.name}: only the last layer may give accumulators; it needs a scale")
        object.__setattr__(self, "tensors", tuple(tensors))

    @property
    def output(self) -> Tensor:
        """What the network gives."""
        return self.tensors[-1]


def save_network(network: Network, path: Path) -> None:
    """Write ``network`` to ``path`` (.npz, byte-identical for equal networks)."""
    arrays: dict[str, NDArray[Any]] = {}
    layers = []
    for layer in network.layers:
        entry: dict[str, Any] = {"kind": layer.kind}
        for item in dataclasses.fields(layer):
            value = getattr(layer, item.name)
            if isinstance(value, np.ndarray):
                arrays[f"{layer.name}.{item.name}"] = value
            elif isinstance(value, Requantise):
                entry[item.name] = value.dtype
                arrays[f"{layer.name}.multiplier"], arrays[f"{layer.name}.shift"] = value.multiplier, value.shift
            else:
                entry[item.name] = value
        layers.append(entry)
    header = {
        "format": 1,
        "name": network.name,
        "input": {"shape": network.input.shape, "dtype": network.input.dtype},
        "layers": layers,
    }
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_aside(path, buffer.getvalue())


def load_network(path: Path) -> Network:
    """Read what :func:`save_network` wrote; InputError where the file is none of ours or damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != 1:
            raise InputError(f"{path}: network format {header['format']}; this version reads format 1")
        layers = []
        for entry in header["layers"]:
            cls, name = _LAYERS[entry.pop("kind")], entry["name"]
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            if issubclass(cls, WeightLayer):
                values |= {key: arrays[f"{name}.{key}"] for key in ("weights", "bias")}
                if values.get("requantise") is not None:
                    values["requantise"] = Requantise(
                        multiplier=arrays[f"{name}.multiplier"],
                        shift=arrays[f"{name}.shift"],
                        dtype=values["requantise"],
                    )
            layers.append(cls(**values))
        tensor = Tensor(tuple(header["input"]["shape"]), header["input"]["dtype"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Exception as error:  # whatever NumPy, zipfile or json find wrong with a damaged file
        raise InputError(f"{path}: not a network that cs-hdl saved ({error}); generate it again") from error
    return Network(name=header["name"], input=tensor, layers=tuple(layers))

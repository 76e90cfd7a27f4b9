"""Networks of a single kernel: ``generate conv`` and ``generate linear`` without any model file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.combine.masks import complementary_masks
from cs_hdl.errors import InputError
from cs_hdl.frontend.arrays import load_array
from cs_hdl.frontend.scale import parse_scale
from cs_hdl.network import Conv2d, GlobalKWTA, Layer, Linear, LocalKWTA, MaxPool, Network, Requantise, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ConvOptions", "KernelOptions", "LinearOptions", "PoolOptions", "make_conv", "make_linear"]

#: Larger kernels would only exhaust the memory before the planner refuses them.
_MAX_WEIGHTS = 2**26


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """What both kinds of kernel take.

    ``weights``, ``bias``: .npy files (int8, int32); without ``weights`` a random complementary mask
    of the share ``weight_sparsity`` of zeros and random weights come from ``seed``. ``scale``: the
    requantisation to uint8 (see :func:`cs_hdl.frontend.scale.parse_scale`); without it the result
    is the exact accumulators. ``active_inputs`` puts a k-WTA in front, ``winners`` one behind.
    """

    input_dtype: str = "uint8"
    weight_sparsity: float | None = None
    weights: Path | None = None
    bias: Path | None = None
    scale: str | None = None
    active_inputs: int | None = None
    winners: int | None = None
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """A max-pooling of ``kernel`` x ``kernel``, with stride and padding on all sides."""

    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True, kw_only=True)
class ConvOptions(KernelOptions):
    """One convolution; ``kernel`` and ``input`` are (height, width), padding (top, left, bottom, right)."""

    kernel: tuple[int, int]
    in_channels: int
    out_channels: int
    input: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    max_pool: PoolOptions | None = None


@dataclass(frozen=True, kw_only=True)
class LinearOptions(KernelOptions):
    """One linear layer."""

    in_features: int
    out_features: int


def make_conv(options: ConvOptions) -> Network:
    """[k-WTA ->] convolution [-> max-pool] [-> k-WTA], as a network called "conv".

    Raises InputError, naming the option or the file, where something is impossible.
    """
    o = options
    _at_least_one(
        ("--kernel", min(o.kernel)), ("--in-channels", o.in_channels), ("--out-channels", o.out_channels),
        ("--input", min(o.input)), ("--stride", min(o.stride)), ("--groups", o.groups),
    )  # fmt: skip
    if min(o.padding) < 0:
        raise InputError(f"--padding {','.join(map(str, o.padding))}: must not be negative")
    if o.in_channels % o.groups or o.out_channels % o.groups:
        raise InputError(
            f"--groups {o.groups}: must divide --in-channels {o.in_channels} and --out-channels {o.out_channels}"
        )
    weights = _weights(o, (o.out_channels, o.in_channels // o.groups, *o.kernel))
    layers: list[Layer] = []
    if o.active_inputs is not None:
        layers.append(LocalKWTA(name="active_inputs", winners=_active(o, o.in_channels, "--in-channels")))
    layers.append(
        Conv2d(
            name="conv",
            weights=weights,
            bias=_bias(o, o.out_channels),
            requantise=_requantise(o, o.out_channels),
            stride=o.stride,
            padding=o.padding,
            groups=o.groups,
        )
    )
    if o.max_pool is not None:
        layers.append(_max_pool(o))
    if o.winners is not None:
        layers.append(LocalKWTA(name="winners", winners=_winners(o, o.out_channels, "--out-channels")))
    return Network(name="conv", input=Tensor((*o.input, o.in_channels), _dtype(o)), layers=tuple(layers))


def make_linear(options: LinearOptions) -> Network:
    """[k-WTA ->] linear [-> k-WTA], as a network called "linear" over ``(1, 1, in_features)``.

    Raises InputError, naming the option or the file, where something is impossible.
    """
    o = options
    _at_least_one(("--in-features", o.in_features), ("--out-features", o.out_features))
    weights = _weights(o, (o.out_features, o.in_features))
    layers: list[Layer] = []
    if o.active_inputs is not None:
        layers.append(GlobalKWTA(name="active_inputs", winners=_active(o, o.in_features, "--in-features")))
    requantise = _requantise(o, o.out_features)
    layers.append(Linear(name="linear", weights=weights, bias=_bias(o, o.out_features), requantise=requantise))
    if o.winners is not None:
        layers.append(GlobalKWTA(name="winners", winners=_winners(o, o.out_features, "--out-features")))
    return Network(name="linear", input=Tensor((1, 1, o.in_features), _dtype(o)), layers=tuple(layers))


def _at_least_one(*values: tuple[str, int]) -> None:
    for option, value in values:
        if value < 1:
            raise InputError(f"{option}: {value} must be at least 1")


def _dtype(options: KernelOptions) -> str:
    if options.input_dtype not in ("uint8", "int8"):
        raise InputError(f"--input-dtype {options.input_dtype}: must be uint8 or int8")
    return options.input_dtype


def _weights(options: KernelOptions, shape: tuple[int, ...]) -> NDArray[np.int8]:
    if math.prod(shape) > _MAX_WEIGHTS:
        raise InputError(f"{math.prod(shape)} weights of the shape {list(shape)}; at most {_MAX_WEIGHTS} are taken")
    if options.weights is None:
        return _random_weights(options, shape)
    if options.weight_sparsity is not None:
        raise InputError("--weights and --weight-sparsity exclude each other: the file has its own zeros")
    array = _typed(options.weights, "weights", np.int8, shape)
    if array.min() < -127:
        where = [int(i) for i in np.argwhere(array < -127)[0]]
        raise InputError(f"{options.weights}: weight -128 at {where}; weights must be -127..127")
    return array


def _random_weights(options: KernelOptions, shape: tuple[int, ...]) -> NDArray[np.int8]:
    sparsity = options.weight_sparsity if options.weight_sparsity is not None else 0.0
    if not 0 <= sparsity < 1:  # NaN as well
        raise InputError(f"--weight-sparsity {sparsity}: must be at least 0 and below 1")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: must not be negative")
    positions = math.prod(shape[1:])
    nonzeros = max(1, round((1 - sparsity) * positions))
    # Kernels of different groups never collide, so each group's are complementary among themselves.
    groups = options.groups if isinstance(options, ConvOptions) else 1
    mask: NDArray[np.bool_] = np.concatenate(
        [
            complementary_masks(
                kernels=shape[0] // groups, positions=positions, nonzeros=nonzeros, seed=options.seed + group
            )
            for group in range(groups)
        ]
    )
    # Another stream of random numbers than the mask's.
    generator = np.random.default_rng([options.seed, 1])
    magnitudes = generator.integers(1, 127, size=mask.shape, endpoint=True)
    signs = generator.integers(0, 1, size=mask.shape, endpoint=True) * 2 - 1
    weights: NDArray[np.int8] = (magnitudes * signs * mask).astype(np.int8)
    return weights.reshape(shape)


def _bias(options: KernelOptions, channels: int) -> NDArray[np.int32]:
    if options.bias is None:
        return np.zeros(channels, dtype=np.int32)
    return _typed(options.bias, "bias", np.int32, (channels,))


def _typed(path: Path, what: str, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    array = load_array(path, what=what)
    if array.dtype != dtype:
        raise InputError(f"{path}: {what} must be {np.dtype(dtype).name}, not {array.dtype}")
    if array.shape != shape:
        raise InputError(f"{path}: {what} has the shape {list(array.shape)}, but the options ask for {list(shape)}")
    return array


def _requantise(options: KernelOptions, channels: int) -> Requantise | None:
    if options.scale is not None:
        return parse_scale(options.scale, channels=channels)
    if options.winners is not None:
        raise InputError("--winners needs --scale: k-WTA selects among uint8 values")
    return None


def _active(options: KernelOptions, count: int, option: str) -> int:
    return _within("--active-inputs", options.active_inputs, count, option)


def _winners(options: KernelOptions, count: int, option: str) -> int:
    return _within("--winners", options.winners, count, option)


def _within(name: str, value: int | None, count: int, option: str) -> int:
    assert value is not None
    if not 1 <= value <= count:
        raise InputError(f"{name} {value}: must be 1..{count} ({option})")
    return value


def _max_pool(options: ConvOptions) -> MaxPool:
    pool = options.max_pool
    assert pool is not None
    if options.scale is None:
        raise InputError("--max-pool needs --scale: max-pooling compares 8-bit values")
    return MaxPool(
        name="max_pool",
        kernel=(pool.kernel, pool.kernel),
        stride=(pool.stride, pool.stride),
        padding=(pool.padding,) * 4,
    )

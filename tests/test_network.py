"""Network: what fits, what is refused, and files that give back the same network, byte by byte."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cs_hdl.errors import InputError
from cs_hdl.network import (
    ArgMax,
    Conv2d,
    GlobalKWTA,
    Linear,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Tensor,
    load_network,
    save_network,
)


def requantise(*shifts, dtype="uint8", multiplier=3) -> Requantise:
    return Requantise(multiplier=np.full(len(shifts), multiplier), shift=np.array(shifts), dtype=dtype)


def conv(shape=(4, 3, 3, 3), **options) -> Conv2d:
    rng = np.random.default_rng(1)
    options = {"name": "conv", "bias": np.arange(shape[0], dtype=np.int32), **options}
    return Conv2d(weights=rng.integers(-127, 128, shape).astype(np.int8), **options)


def linear(outputs=5, inputs=4, **options) -> Linear:
    rng = np.random.default_rng(2)
    options = {"name": "linear", "bias": np.zeros(outputs, dtype=np.int32), **options}
    return Linear(weights=rng.integers(-127, 128, (outputs, inputs)).astype(np.int8), **options)


def network(*layers, shape=(8, 6, 3), dtype="uint8") -> Network:
    return Network(name="net", input=Tensor(shape, dtype), layers=layers)


def everything() -> Network:
    """A network with every kind of layer and every field away from its default."""
    return network(
        conv(
            (4, 1, 3, 2),
            stride=(2, 1),
            padding=(1, 0, 2, 1),
            groups=1,
            requantise=requantise(9, 10, 11, 12, dtype="uint8"),
        ),
        MaxPool(name="pool", kernel=(2, 2), stride=(2, 1), padding=(1, 0, 0, 1)),
        LocalKWTA(name="local", winners=2),
        linear(6, 72, requantise=requantise(12)),
        GlobalKWTA(name="global", winners=3),
        linear(4, 6, name="scores"),
        ArgMax(name="class"),
        shape=(8, 6, 1),
        dtype="int8",
    )


def same(one, other) -> bool:
    """Equality of layers, networks and what they hold, arrays and their dtypes among it."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if dataclasses.is_dataclass(one):
        fields = dataclasses.fields(one)
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_shapes_and_types_of_every_layer():
    tensors = everything().tensors
    assert [tensor.shape for tensor in tensors] == [
        (8, 6, 1), (5, 6, 4), (3, 6, 4), (3, 6, 4), (1, 1, 6), (1, 1, 6), (1, 1, 4), (1, 1, 1),
    ]  # fmt: skip
    assert [tensor.winners for tensor in tensors] == [None, None, None, 2, None, 3, None, None]
    assert [tensor.dtype for tensor in tensors] == ["int8", *["uint8"] * 5, "int24", "uint8"]


def test_save_and_load_lose_nothing(tmp_path):
    original = everything()
    save_network(original, tmp_path / "n.npz")
    loaded = load_network(tmp_path / "n.npz")
    assert same(original, loaded)
    save_network(loaded, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()


def test_files_are_the_same_whatever_the_hash_seed(tmp_path):
    digests = set()
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.npz"
        program = "import sys; from pathlib import Path; from test_network import everything, save_network; " \
                  "save_network(everything(), Path(sys.argv[1]))"  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", program, str(path)], check=True, env=environment, cwd=Path(__file__).parent
        )
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a network that cs-hdl saved"), (b"something else", "not a network"), (None, "no such file")],
)
def test_files_that_are_no_network(tmp_path, content, message):
    path = tmp_path / "n.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert str(path) in str(caught.value)


def test_truncated_file(tmp_path):
    path = tmp_path / "n.npz"
    save_network(everything(), path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"n\.npz: not a network that cs-hdl saved"):
            load_network(path)


def test_arrays_are_copies_that_nobody_can_change():
    weights = np.ones((2, 4), dtype=np.int8)
    layer = Linear(name="l", weights=weights, bias=np.zeros(2, dtype=np.int32))
    weights[:] = 5
    assert layer.weights.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0] = 2


def test_requantise_repeats_one_number_for_each_channel():
    scale = Requantise(multiplier=np.array([3]), shift=np.array([1, 2]))
    assert scale.multiplier.tolist() == [3, 3] and scale.per_channel
    assert not requantise(4, 4).per_channel


def test_kernels_of_groups_are_zero_outside_their_group():
    layer = conv((4, 2, 1, 1), groups=2)
    kernels = layer.kernels(Tensor((3, 3, 4), "uint8"))
    assert kernels.shape == (4, 1, 1, 4)
    assert not kernels[:2, ..., 2:].any() and not kernels[2:, ..., :2].any()
    assert np.array_equal(kernels[:2, 0, 0, :2], layer.weights[:2, :, 0, 0])


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_accumulator_range_is_reached_and_not_left(dtype):
    layer = linear(3, 20, bias=np.array([5, -7, 0], dtype=np.int32))
    low, high = (0, 255) if dtype == "uint8" else (-128, 127)
    weights = layer.weights.astype(int)
    largest = (np.where(weights > 0, high, low) * weights).sum(axis=1) + layer.bias
    smallest = (np.where(weights > 0, low, high) * weights).sum(axis=1) + layer.bias
    assert layer.accumulator_range(Tensor((1, 1, 20), dtype)) == (smallest.min(), largest.max())


def bad_weight():
    weights = np.zeros((2, 4), dtype=np.int8)
    weights[1, 2] = -128
    return Linear(name="fc", weights=weights, bias=np.zeros(2, dtype=np.int32))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (bad_weight, r"fc: weight -128 at \[1, 2\]; weights must be -127\.\.127"),
        (lambda: linear(bias=np.zeros(5)), "linear: bias must be int32, not float64"),
        (lambda: linear(bias=np.zeros(4, dtype=np.int32)), r"bias has the shape \[4\], not \[5\]"),
        (lambda: linear(requantise=requantise(1, 2, 3)), "3 scales for 5 output channels"),
        (lambda: conv((4, 3, 3)), "weights of the shape"),
        (lambda: conv((4, 3, 0, 3)), "are empty"),
        (lambda: conv(stride=(0, 1)), r"stride \(0, 1\) must be at least 1"),
        (lambda: conv(padding=(0, -1, 0, 0)), "must not be negative"),
        (lambda: conv(groups=3), "4 output channels do not divide into 3 groups"),
        (lambda: requantise(48), r"shift must be 0\.\.47, not 48"),
        (lambda: requantise(1, multiplier=0), r"multiplier must be 1\.\.65535, not 0"),
        (lambda: requantise(1, multiplier=65536), "not 65536"),
        (lambda: requantise(1, dtype="int16"), "gives uint8 or int8, not int16"),
        (lambda: network(), "net: a network needs at least one layer"),
        (lambda: network(conv(), dtype="int16"), "must be uint8 or int8, not int16"),
        (lambda: network(conv(), shape=(0, 6, 3)), r"shape \[0, 6, 3\]"),
        (lambda: network(conv(requantise=requantise(8)), conv((4, 4, 3, 3))), "the same name: conv, conv"),
        (lambda: network(conv(), shape=(8, 6, 2)), "weights for 3 input channels .* but the input has 2"),
        (lambda: network(conv(), shape=(2, 6, 3)), r"kernel 3x3 is larger than the input 2x6"),
        (lambda: network(linear()), "weights for 4 input features, but the input .* has 144"),
        (lambda: network(conv(), LocalKWTA(name="k", winners=1)), "k: k-WTA takes uint8, not int"),
        (lambda: network(LocalKWTA(name="k", winners=0)), r"k: k = 0 must be 1\.\.3 \(the number of channels\)"),
        (lambda: network(LocalKWTA(name="k", winners=4)), r"k = 4 must be 1\.\.3"),
        (lambda: network(GlobalKWTA(name="k", winners=145)), r"k = 145 must be 1\.\.144 \(the number of features\)"),
        (lambda: network(LocalKWTA(name="k", winners=1), dtype="int8"), "k-WTA takes uint8, not int8"),
        (lambda: network(MaxPool(name="p", kernel=(9, 1), stride=(1, 1))), "is larger than its input 8x6"),
        (
            lambda: network(MaxPool(name="p", kernel=(2, 2), stride=(1, 1), padding=(0, 2, 0, 0))),
            r"must be 0\.\.kernel-1",
        ),
        (lambda: network(conv(), MaxPool(name="p", kernel=(1, 1), stride=(1, 1))), "pooling takes uint8 or int8"),
        (lambda: network(ArgMax(name="a"), shape=(1, 1, 65537)), "ArgMax over 65537 values"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_accumulators_beyond_32_bits_need_a_scale():
    weights = np.full((1, 70000), 127, dtype=np.int8)
    wide = {"weights": weights, "bias": np.array([2**31 - 1], dtype=np.int32)}
    with pytest.raises(InputError, match=r"fc: accumulators of .* do not fit 32 bits"):
        network(Linear(name="fc", **wide), shape=(1, 1, 70000))
    assert network(Linear(name="fc", requantise=requantise(40), **wide), shape=(1, 1, 70000)).output.dtype == "uint8"

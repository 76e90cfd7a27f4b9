"""Single kernels from options and .npy files: what they become, and how wrong ones are refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cs_hdl.combine.masks import lower_bound
from cs_hdl.errors import InputError
from cs_hdl.frontend.arrays import load_array
from cs_hdl.frontend.kernel import ConvOptions, LinearOptions, PoolOptions, make_conv, make_linear
from cs_hdl.frontend.scale import parse_scale
from cs_hdl.network import Conv2d, GlobalKWTA, Linear, LocalKWTA, MaxPool


def conv(**changes: Any) -> ConvOptions:
    return ConvOptions(**{"kernel": (3, 3), "in_channels": 4, "out_channels": 6, "input": (5, 7)} | changes)


def linear(**changes: Any) -> LinearOptions:
    return LinearOptions(**{"in_features": 20, "out_features": 10} | changes)


@pytest.mark.parametrize(("sparsity", "nonzeros"), [(None, 36), (0.0, 36), (0.9, 4), (0.5, 18), (0.999, 1)])
def test_random_weights_have_the_sparsity_and_complement_each_other(sparsity: float | None, nonzeros: int) -> None:
    (layer,) = make_conv(conv(weight_sparsity=sparsity)).layers
    assert isinstance(layer, Conv2d)
    assert layer.weights.shape == (6, 4, 3, 3)
    masks = (layer.weights != 0).reshape(6, -1)
    assert (masks.sum(axis=1) == nonzeros).all()
    assert lower_bound(masks) == -(-6 // (36 // nonzeros))
    assert abs(layer.weights.astype(int)).max() <= 127
    again = make_conv(conv(weight_sparsity=sparsity)).layers[0]
    other = make_conv(conv(weight_sparsity=sparsity, seed=2)).layers[0]
    assert isinstance(again, Conv2d) and isinstance(other, Conv2d)
    assert np.array_equal(layer.weights, again.weights)
    assert not np.array_equal(layer.weights, other.weights)


def test_convolution_with_everything() -> None:
    network = make_conv(
        conv(stride=(2, 1), padding=(1, 0, 1, 2), scale="3/2^9", active_inputs=2, winners=3, max_pool=PoolOptions(
            kernel=2, stride=1, padding=1))
    )  # fmt: skip
    assert [type(layer) for layer in network.layers] == [LocalKWTA, Conv2d, MaxPool, LocalKWTA]
    assert network.input.shape == (5, 7, 4)
    assert network.tensors[2].shape == (3, 7, 6)
    assert network.output.shape == (4, 8, 6)
    assert (network.output.dtype, network.output.winners) == ("uint8", 3)
    grouped = make_conv(conv(groups=2, input_dtype="int8"))
    assert grouped.layers[0].weights.shape == (6, 2, 3, 3)  # type: ignore[attr-defined]
    assert grouped.input.dtype == "int8"


def test_linear_with_everything(tmp_path: Path) -> None:
    weights = np.arange(-100, 100, dtype=np.int8).reshape(10, 20)
    np.save(tmp_path / "w.npy", weights)
    np.save(tmp_path / "b.npy", np.arange(10, dtype=np.int32))
    network = make_linear(
        linear(weights=tmp_path / "w.npy", bias=tmp_path / "b.npy", scale="1/2^4", active_inputs=5, winners=4)
    )
    assert [type(layer) for layer in network.layers] == [GlobalKWTA, Linear, GlobalKWTA]
    layer = network.layers[1]
    assert isinstance(layer, Linear)
    assert np.array_equal(layer.weights, weights)
    assert np.array_equal(layer.bias, np.arange(10))
    assert network.input.shape == (1, 1, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (conv(kernel=(0, 3)), "--kernel: 0"),
        (conv(in_channels=0), "--in-channels: 0"),
        (conv(kernel=(9, 9)), "kernel 9x9 is larger than the input"),
        (conv(groups=4), "--groups 4"),
        (conv(stride=(0, 1)), "--stride: 0"),
        (conv(padding=(0, 0, 0, -1)), "--padding"),
        (conv(input_dtype="float32"), "--input-dtype float32"),
        (conv(weight_sparsity=1.0), "--weight-sparsity"),
        (conv(weight_sparsity=float("nan")), "--weight-sparsity"),
        (conv(seed=-1), "--seed"),
        (conv(active_inputs=0), "--active-inputs 0"),
        (conv(active_inputs=5), "--active-inputs 5"),
        (conv(active_inputs=2, input_dtype="int8"), "uint8"),
        (conv(winners=2), "--winners needs --scale"),
        (conv(winners=0, scale="1/2^8"), "--winners 0"),
        (conv(winners=7, scale="1/2^8"), "--winners 7"),
        (conv(max_pool=PoolOptions(kernel=2, stride=2)), "--max-pool needs --scale"),
        (conv(max_pool=PoolOptions(kernel=9, stride=1), scale="1"), "max_pool: kernel"),
        (conv(weights=Path("no.npy"), weight_sparsity=0.5), "exclude each other"),
        (conv(weights=Path("no-such-file.npy")), "no such file"),
        (conv(in_channels=10**6, out_channels=10**6), "at most"),
    ],
)
def test_impossible_convolutions_are_refused(options: ConvOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_conv(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (linear(in_features=0), "--in-features: 0"),
        (linear(active_inputs=21), "--active-inputs 21"),
        (linear(winners=11, scale="1"), "--winners 11"),
    ],
)
def test_impossible_linear_layers_are_refused(options: LinearOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_linear(options)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((10, 20)), "must be int8, not float64"),
        (np.ones((20, 10), dtype=np.int8), r"\[20, 10\], but the options ask for \[10, 20\]"),
        (np.full((10, 20), -128, dtype=np.int8), r"weight -128 at \[0, 0\]"),
    ],
)
def test_wrong_weights_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(InputError, match=message):
        make_linear(linear(weights=tmp_path / "w.npy"))


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    def refused(content: bytes, message: str) -> None:
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_array(tmp_path / "x.npy", what="weights")

    np.save(tmp_path / "good.npy", np.arange(9))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused(b"", "not a .npy file")
    refused(b"hello, world", "not a .npy file")
    refused(pickle.dumps([1]), "not a .npy file")
    refused((tmp_path / "good.npy").read_bytes()[:-8], "damaged")
    refused((tmp_path / "objects.npy").read_bytes(), "Python objects")
    with pytest.raises(InputError, match="cannot be read"):
        load_array(tmp_path, what="weights")


@pytest.mark.parametrize(
    ("text", "multiplier", "shift"),
    [
        ("3/2^10", 3, 10),
        ("6/2^10", 3, 9),
        ("65535/2^47", 65535, 47),
        ("1/2**8", 1, 8),
        ("5/256", 5, 8),
        ("1/1", 1, 0),
        ("0.5", 1, 1),
        ("1", 1, 0),
        ("0.00390625", 1, 8),
    ],
)
def test_scales(text: str, multiplier: int, shift: int) -> None:
    requantise = parse_scale(text, channels=3)
    assert (requantise.multiplier.tolist(), requantise.shift.tolist()) == ([multiplier], [shift])
    assert requantise.dtype == "uint8"


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "0", "-1", "0/2^3", "65536/2^0", "3/2^48", "1/3", "1/0", "1e-30"]
)
def test_wrong_scales_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--scale"):
        parse_scale(text, channels=3)


def test_scales_of_channels(tmp_path: Path) -> None:
    def scale(array: np.ndarray) -> list[tuple[int, int]]:
        np.save(tmp_path / "s.npy", array)
        requantise = parse_scale(str(tmp_path / "s.npy"), channels=3)
        return list(zip(requantise.multiplier.tolist(), requantise.shift.tolist(), strict=True))

    assert scale(np.array([0.5, 0.25, 0.75])) == [(1, 1), (1, 2), (3, 2)]
    assert scale(np.array([[1, 1], [5, 9], [4, 1]])) == [(1, 1), (5, 9), (2, 0)]
    for wrong in (np.ones(2), np.ones((3, 2)), np.array([1.0, np.nan, 1.0]), np.array([[0, 1]] * 3), np.ones(3, int)):
        with pytest.raises(InputError):
            scale(wrong)

"""golden.real against the integers: equal where nothing is rounded or cut, and by hand where it is."""

from __future__ import annotations

import numpy as np
import pytest

from cs_hdl.golden.dense import run_dense, run_layers
from cs_hdl.golden.real import run_real
from cs_hdl.network import (
    ArgMax,
    AveragePool,
    Conv2d,
    GlobalKWTA,
    Linear,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Rescale,
    Residual,
    ScaledSum,
    Tensor,
)

ONE = Requantise(multiplier=np.array([1]), shift=np.array([0]))
ONE_SIGNED = Requantise(multiplier=np.array([1]), shift=np.array([0]), dtype="int8")


def network(layers, shape=(6, 6, 2), dtype="uint8") -> Network:
    return Network(name="test", input=Tensor(shape, dtype), layers=tuple(layers))


def conv(rng, out=4, ins=2, requantise=ONE, name="conv", largest=1, size=3):
    weights = rng.integers(-largest, largest + 1, (out, ins, size, size)).astype(np.int8)
    bias = rng.integers(-5, 6, out).astype(np.int32)
    pad = size // 2
    return Conv2d(name=name, weights=weights, bias=bias, requantise=requantise, padding=(pad,) * 4)


def test_equal_to_the_integers_where_nothing_is_rounded_or_cut():
    """Small inputs and weights, scales of 1: every layer's results are the integers."""
    rng = np.random.default_rng(4)
    linear = Linear(
        name="linear", weights=rng.integers(-2, 3, (7, 36)).astype(np.int8), bias=np.arange(7, dtype=np.int32)
    )
    net = network(
        [
            conv(rng),
            MaxPool(name="pool", kernel=(2, 2), stride=(2, 2), padding=(0, 0, 0, 0)),
            LocalKWTA(name="local", winners=2),
            Residual(
                name="sum",
                body=(conv(rng, ins=4, requantise=ONE_SIGNED, name="body", size=1),),
                shortcut=(),
                scale=ScaledSum(multipliers=(1, 2), shift=0),
            ),
            GlobalKWTA(name="all", winners=5),
            Rescale(name="twice", scale=ScaledSum(multipliers=(2,), shift=0)),
            linear,
            ArgMax(name="class"),
        ]
    )
    words = rng.integers(0, 3, (5, 6, 6, 2))
    # The shapes that the layers have in this network; linear reads whatever the k-WTA gives.
    for real, integer in zip(run_real(net, words), run_layers(net, words), strict=True):
        assert np.array_equal(real, integer)


def test_neither_rounds_nor_cuts_at_the_ends_of_the_type_but_at_zero():
    layer = Linear(
        name="linear",
        weights=np.array([[100], [1], [-1]], np.int8),
        bias=np.zeros(3, np.int32),
        requantise=Requantise(multiplier=np.array([1]), shift=np.array([1])),
    )
    net = network([layer], shape=(1, 1, 1))
    assert run_real(net, np.array([[[[5]]]]))[0].reshape(-1).tolist() == [250.0, 2.5, 0.0]
    assert run_real(net, np.array([[[[9]]]]))[0].reshape(-1).tolist() == [450.0, 4.5, 0.0]
    assert run_dense(net, np.array([[[[9]]]])).reshape(-1).tolist() == [255, 4, 0]


@pytest.mark.parametrize(
    ("scale", "value", "expected"),
    [
        (ScaledSum(multipliers=(3,), shift=1), 100, 150.0),
        (ScaledSum(multipliers=(3,), shift=1), 200, 300.0),
        (ScaledSum(multipliers=(3,), shift=1, high=192), 200, 192.0),
        (ScaledSum(multipliers=(1,), shift=1, dtype="int8"), 201, 100.5),
        (ScaledSum(multipliers=(1,), shift=0, dtype="int8"), 201, 201.0),
        (ScaledSum(multipliers=(1,), shift=0, dtype="int8", high=100), 201, 100.0),
    ],
)
def test_limits_that_mean_something_stay(scale, value, expected):
    net = network([Rescale(name="scaled", scale=scale)], shape=(1, 1, 1))
    assert run_real(net, np.array([[[[value]]]]))[0].item() == expected


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (ScaledSum(multipliers=(1,), shift=0, dtype="int8", low=-3), -3.0),
        (ScaledSum(multipliers=(3,), shift=0, dtype="int8"), -270.0),
        (ScaledSum(multipliers=(3,), shift=0), 0.0),
    ],
)
def test_a_clip_of_signed_values_cuts_below(scale, expected):
    net = network([Rescale(name="scaled", scale=scale)], shape=(1, 1, 1), dtype="int8")
    assert run_real(net, np.array([[[[-90]]]], np.int8))[0].item() == expected


def test_windows_with_padding():
    words = np.array([[1, 2], [3, 200]], np.int64).reshape(1, 2, 2, 1)
    pool = MaxPool(name="pool", kernel=(2, 2), stride=(1, 1), padding=(1, 0, 0, 1))
    average = AveragePool(
        name="pool", kernel=(2, 2), stride=(1, 1), padding=(1, 0, 0, 1), scale=ScaledSum(multipliers=(1,), shift=2)
    )
    shape = (2, 2, 1)
    assert run_real(network([pool], shape), words)[0].reshape(-1).tolist() == [2, 2, 200, 200]
    assert run_real(network([average], shape), words)[0].reshape(-1).tolist() == [0.75, 0.5, 51.5, 50.5]


def test_winners_of_large_unsigned_values_and_ties():
    """Negating uint8 would wrap: 200 must win over 3; of equal values the lower index."""
    net = network([LocalKWTA(name="local", winners=2)], shape=(1, 1, 5))
    words = np.array([3, 200, 7, 7, 0], np.uint8).reshape(1, 1, 1, 5)
    assert run_real(net, words)[0].reshape(-1).tolist() == [0, 200, 7, 0, 0]
    from cs_hdl.golden.real import run_real_layer

    direct = run_real_layer(net.layers[0], net.tensors[0], net.tensors[1], words)
    assert direct.reshape(-1).tolist() == [0, 200, 7, 0, 0]


def test_channels_have_scales_of_their_own():
    layer = Linear(
        name="linear",
        weights=np.ones((2, 1), np.int8),
        bias=np.array([1, 2], np.int32),
        requantise=Requantise(multiplier=np.array([3, 1]), shift=np.array([1, 2])),
    )
    assert run_real(network([layer], (1, 1, 1)), np.array([[[[4]]]]))[0].reshape(-1).tolist() == [7.5, 1.5]

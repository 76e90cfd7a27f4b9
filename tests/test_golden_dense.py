"""golden.dense against the same arithmetic written as plain loops over Python integers."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from cs_hdl.errors import InputError
from cs_hdl.golden import dense
from cs_hdl.golden.dense import check_input, run_dense, run_layers
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
    Residual,
    ScaledSum,
    Tensor,
)

RANGES = {"uint8": (0, 255), "int8": (-128, 127)}


def one(value: int) -> np.ndarray:
    return np.array([value], dtype=np.int64)


def network(layers, shape=(5, 4, 3), dtype="uint8") -> Network:
    return Network(name="test", input=Tensor(shape, dtype), layers=tuple(layers))


def random_words(rng, network, count=3):
    low, high = RANGES[network.input.dtype]
    return rng.integers(low, high + 1, (count, *network.input.shape)).astype(network.input.dtype)


def slow_requantise(layer, channel, value):
    """Python's round() of a Fraction is exact and goes to the even number on a tie."""
    scale = layer.requantise
    if scale is None:
        return value
    index = channel if scale.multiplier.size > 1 else 0
    low, high = RANGES[scale.dtype]
    return min(high, max(low, round(Fraction(value * int(scale.multiplier[index]), 2 ** int(scale.shift[index])))))


def slow_convolution(layer, word, shape):
    height, width, _ = word.shape
    _, group_channels, kernel_height, kernel_width = layer.weights.shape
    top, left = layer.padding[:2]
    result = np.zeros(shape, dtype=np.int64)
    for y, x, out in product(*map(range, shape)):
        first = out // (layer.out_channels // layer.groups) * group_channels
        total = int(layer.bias[out])
        for dy, dx, channel in product(range(kernel_height), range(kernel_width), range(group_channels)):
            row, column = y * layer.stride[0] + dy - top, x * layer.stride[1] + dx - left
            if 0 <= row < height and 0 <= column < width:
                total += int(word[row, column, first + channel]) * int(layer.weights[out, channel, dy, dx])
        result[y, x, out] = slow_requantise(layer, out, total)
    return result


def slow_max_pool(layer, word, shape):
    height, width, _ = word.shape
    result = np.zeros(shape, dtype=np.int64)
    for y, x, channel in product(*map(range, shape)):
        rows = [y * layer.stride[0] + dy - layer.padding[0] for dy in range(layer.kernel[0])]
        columns = [x * layer.stride[1] + dx - layer.padding[1] for dx in range(layer.kernel[1])]
        inside = [(r, c) for r in rows for c in columns if 0 <= r < height and 0 <= c < width]
        result[y, x, channel] = max(int(word[r, c, channel]) for r, c in inside)
    return result


def slow_winners(values, k):
    """The k that no other k beats: a value is beaten by larger ones and by equal ones before it."""
    kept = []
    for i, value in enumerate(values):
        better = sum(1 for j, other in enumerate(values) if other > value or (other == value and j < i))
        kept.append(value if better < k else 0)
    return kept


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("requantised", [None, "uint8", "int8"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), 1),
        ((3, 2), (1, 1), (1, 0, 1, 1), 1),
        ((2, 3), (2, 3), (0, 2, 1, 0), 1),
        ((5, 4), (1, 1), (0, 0, 0, 0), 1),
        ((3, 3), (1, 2), (2, 2, 2, 2), 3),
    ],
)
def test_convolution(dtype, requantised, kernel, stride, padding, groups):
    rng = np.random.default_rng(hash((kernel, stride, padding, groups)) % 2**32)
    scale = requantised and Requantise(
        multiplier=rng.integers(1, 65536, 6), shift=rng.integers(14, 26, 6), dtype=requantised
    )
    layer = Conv2d(
        name="conv",
        weights=rng.integers(-127, 128, (6, 3 // groups, *kernel)).astype(np.int8),
        bias=rng.integers(-5000, 5000, 6).astype(np.int32),
        requantise=scale or None,
        stride=stride,
        padding=padding,
        groups=groups,
    )
    net = network([layer], dtype=dtype)
    words = random_words(rng, net)
    result = run_dense(net, words)
    assert result.dtype == (requantised or "int32")
    for word, got in zip(words, result, strict=True):
        assert np.array_equal(got, slow_convolution(layer, word, net.output.shape))


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_rounding_goes_to_the_even_number_on_a_tie(shift):
    layer = Linear(
        name="copy",
        weights=np.ones((1, 1), dtype=np.int8),
        bias=np.zeros(1, dtype=np.int32),
        requantise=Requantise(multiplier=one(1), shift=one(shift), dtype="int8"),
    )
    values = np.arange(-128, 128, dtype=np.int8).reshape(-1, 1, 1, 1)
    result = run_dense(network([layer], (1, 1, 1), "int8"), values)
    assert result.reshape(-1).tolist() == [round(Fraction(v, 2**shift)) for v in range(-128, 128)]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_linear_counts_features_in_c_order(dtype):
    rng = np.random.default_rng(3)
    layer = Linear(
        name="linear",
        weights=rng.integers(-127, 128, (7, 60)).astype(np.int8),
        bias=rng.integers(-(2**20), 2**20, 7).astype(np.int32),
    )
    net = network([layer], dtype=dtype)
    words = random_words(rng, net)
    expected = [
        [
            int(layer.bias[o]) + sum(int(v) * int(w) for v, w in zip(word.reshape(-1), layer.weights[o], strict=True))
            for o in range(7)
        ]
        for word in words
    ]
    result = run_dense(net, words)
    assert result.shape == (3, 1, 1, 7) and result.dtype == np.int32
    assert result.reshape(3, 7).tolist() == expected


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (1, 3), (2, 1, 1, 0)), ((1, 1), (2, 2), (0, 0, 0, 0))],
)
def test_max_pool_with_padding_that_never_wins(dtype, kernel, stride, padding):
    rng = np.random.default_rng(5)
    layer = MaxPool(name="pool", kernel=kernel, stride=stride, padding=padding)
    net = network([layer], dtype=dtype)
    words = random_words(rng, net)
    if dtype == "int8":
        words = np.minimum(words, -1)  # padding with 0 would win everywhere
    result = run_dense(net, words)
    assert result.dtype == dtype
    for word, got in zip(words, result, strict=True):
        assert np.array_equal(got, slow_max_pool(layer, word, net.output.shape))


@pytest.mark.parametrize("k", [1, 2, 5, 6])
@pytest.mark.parametrize("largest", [0, 1, 3, 255])
def test_k_wta_takes_the_lower_index_on_ties(k, largest):
    rng = np.random.default_rng(7)
    words = rng.integers(0, largest + 1, (5, 2, 3, 6)).astype(np.uint8)
    local = run_dense(network([LocalKWTA(name="k", winners=k)], (2, 3, 6)), words)
    assert local.shape == words.shape and local.dtype == np.uint8
    for got, values in zip(local.reshape(-1, 6), words.reshape(-1, 6), strict=True):
        assert got.tolist() == slow_winners(values.tolist(), k)
    whole = run_dense(network([GlobalKWTA(name="k", winners=k)], (2, 3, 6)), words)
    assert whole.shape == (5, 1, 1, 36)
    for got, values in zip(whole.reshape(5, 36), words.reshape(5, 36), strict=True):
        assert got.tolist() == slow_winners(values.tolist(), k)


@pytest.mark.parametrize(("size", "dtype"), [(6, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_arg_max_takes_the_lowest_index_on_ties(size, dtype):
    words = np.zeros((3, 1, 1, size), dtype=np.uint8)
    words[0, 0, 0, [2, 5]] = 9
    words[1, 0, 0, size - 1] = 1
    result = run_dense(network([ArgMax(name="class")], (1, 1, size)), words)
    assert result.dtype == dtype
    assert result.reshape(-1).tolist() == [2, size - 1, 0]


def chain(rng):
    """conv -> pool -> k-WTA -> linear -> k-WTA -> linear -> argmax."""
    scale = Requantise(multiplier=one(3), shift=one(10))
    return network(
        [
            Conv2d(
                name="conv",
                weights=rng.integers(-20, 21, (5, 3, 2, 2)).astype(np.int8),
                bias=np.zeros(5, dtype=np.int32),
                requantise=scale,
            ),
            MaxPool(name="pool", kernel=(2, 2), stride=(2, 1)),
            LocalKWTA(name="local", winners=2),
            Linear(
                name="linear",
                weights=rng.integers(-20, 21, (8, 20)).astype(np.int8),
                bias=np.arange(8, dtype=np.int32),
                requantise=scale,
            ),
            GlobalKWTA(name="global", winners=3),
            Linear(
                name="scores",
                weights=rng.integers(-127, 128, (4, 8)).astype(np.int8),
                bias=np.zeros(4, dtype=np.int32),
            ),
            ArgMax(name="class"),
        ]
    )


def test_run_layers_gives_each_layer_and_ends_with_run_dense():
    rng = np.random.default_rng(11)
    net = chain(rng)
    words = random_words(rng, net, 9)
    results = run_layers(net, words)
    assert [result.shape for result in results] == [(9, *tensor.shape) for tensor in net.tensors[1:]]
    assert [str(result.dtype) for result in results] == ["uint8"] * 5 + ["int32", "uint8"]
    assert np.array_equal(results[-1], run_dense(net, words))
    assert np.array_equal(results[-1], results[-2].argmax(axis=3)[..., np.newaxis])


def test_chunks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(13)
    net = chain(rng)
    words = random_words(rng, net, 10)
    expected = run_layers(net, words)
    monkeypatch.setattr(dense, "_CHUNK_VALUES", 150)
    for got, want in zip(run_layers(net, words), expected, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize(("outputs", "inputs"), [(3, 300), (300, 3)])
def test_as_many_words_at_once_as_64_megabytes_hold(monkeypatch, outputs, inputs):
    """Many small pieces would be slow, large ones would not fit into memory."""
    words, seen = np.zeros((30000, 1, 1, inputs), dtype=np.uint8), []
    weights, bias = np.ones((outputs, inputs), dtype=np.int8), np.zeros(outputs, dtype=np.int32)
    whole = dense.weighted_sums

    def counted(layer, result, data):
        seen.append(len(data))
        return whole(layer, result, data)

    monkeypatch.setattr(dense, "weighted_sums", counted)
    run_dense(network([Linear(name="linear", weights=weights, bias=bias)], (1, 1, inputs)), words)
    assert seen == [2**23 // 300, 30000 - 2**23 // 300]


def test_no_words_give_no_results():
    net = chain(np.random.default_rng(0))
    assert run_dense(net, np.zeros((0, 5, 4, 3), dtype=np.uint8)).shape == (0, 1, 1, 1)


def test_largest_sums_are_exact():
    """The largest magnitude that an accumulator of 32 bits can have comes out to the last bit."""
    features = 66000
    layer = Linear(
        name="linear",
        weights=np.full((1, features), 127, dtype=np.int8),
        bias=np.array([2**31 - 1 - 127 * 255 * features], dtype=np.int32),
    )
    net = network([layer], (1, 1, features))
    words = np.full((2, 1, 1, features), 255)
    words[1, 0, 0, -1] = 254
    assert run_dense(net, words).reshape(-1).tolist() == [2**31 - 1, 2**31 - 1 - 127]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (np.zeros((2, 5, 4, 3)), "integers .uint8., not float64"),
        (np.zeros((2, 5, 4, 3), dtype=bool), "not bool"),
        (np.zeros((5, 4, 3), dtype=np.uint8), r"\[5, 4, 3\]; test takes \[words, 5, 4, 3\]"),
        (np.zeros((2, 4, 5, 3), dtype=np.uint8), r"shape \[2, 4, 5, 3\]"),
        (np.full((2, 5, 4, 3), 256), r"value 256 at \[0, 0, 0, 0\] is outside 0\.\.255 \(uint8\)"),
        (np.full((2, 5, 4, 3), -1, dtype=np.int8), "value -1"),
    ],
)
def test_bad_input_is_named(words, message):
    net = chain(np.random.default_rng(0))
    for function in (check_input, run_dense, run_layers):
        with pytest.raises(InputError, match=message):
            function(net, words)


def test_the_first_bad_value_is_named():
    words = np.zeros((2, 5, 4, 3), dtype=np.int64)
    words[1, 2, 3, 1], words[1, 4, 0, 0] = 300, -7
    with pytest.raises(InputError, match=r"value 300 at \[1, 2, 3, 1\]"):
        check_input(chain(np.random.default_rng(0)), words)


def slow_sum(scale, total):
    return min(scale.limits[1], max(scale.limits[0], round(Fraction(total, 2**scale.shift))))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (1, 3), (2, 1, 1, 0)), ((5, 4), (1, 1), (0, 0, 0, 0))],
)
def test_average_pool_counts_its_padding(dtype, kernel, stride, padding):
    rng = np.random.default_rng(8)
    scale = ScaledSum(multipliers=(5,), shift=5, dtype=dtype)
    layer = AveragePool(name="average", kernel=kernel, stride=stride, padding=padding, scale=scale)
    net = network([layer], dtype=dtype)
    words = random_words(rng, net)
    result = run_dense(net, words)
    for word, got in zip(words, result, strict=True):
        padded = np.pad(word.astype(int), (padding[::2], padding[1::2], (0, 0)))
        for y, x, channel in product(*map(range, net.output.shape)):
            top, left = y * stride[0], x * stride[1]
            window = padded[top : top + kernel[0], left : left + kernel[1], channel]
            assert int(got[y, x, channel]) == slow_sum(scale, 5 * int(window.sum()))


def test_residual_branches_of_other_shapes():
    rng = np.random.default_rng(9)
    scale = ScaledSum(multipliers=(3, 2), shift=2, dtype="uint8", high=190)
    pool = MaxPool(name="pool", kernel=(2, 2), stride=(2, 2), padding=(0, 0, 1, 0))
    conv = Conv2d(
        name="conv",
        weights=rng.integers(-9, 10, (4, 3, 2, 2)).astype(np.int8),
        bias=rng.integers(-50, 51, 4).astype(np.int32),
        requantise=Requantise(multiplier=one(5), shift=one(7)),
        stride=(2, 2),
        padding=(0, 0, 1, 0),
    )
    point = Conv2d(
        name="point",
        weights=rng.integers(-9, 10, (4, 3, 1, 1)).astype(np.int8),
        bias=np.zeros(4, dtype=np.int32),
        requantise=Requantise(multiplier=one(1), shift=one(2)),
    )
    net = network([Residual(name="block", body=(conv,), shortcut=(pool, point), scale=scale)])
    words = random_words(rng, net)
    shape = net.output.shape
    for word, got in zip(words, run_dense(net, words), strict=True):
        body = slow_convolution(conv, word, shape)
        shortcut = slow_convolution(point, slow_max_pool(pool, word, (*shape[:2], 3)), shape)
        expected = [slow_sum(scale, 3 * int(a) + 2 * int(b)) for a, b in zip(body.flat, shortcut.flat, strict=True)]
        assert got.reshape(-1).tolist() == expected

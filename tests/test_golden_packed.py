"""golden.packed, step by step over complementary sets, against golden.dense, which never sees them."""

from __future__ import annotations

import numpy as np
import pytest
from networks import random_bias, random_chain, random_convolution, random_linear, random_words, sparse_weights

from cs_hdl.combine.packed import combine, overlay
from cs_hdl.errors import InputError
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense
from cs_hdl.golden.packed import multiply_route_sum, run_packed
from cs_hdl.models import find_model
from cs_hdl.network import ArgMax, Conv2d, Linear, Network, Requantise, Tensor


def check(network, words):
    expected = run_dense(network, words)
    for dense in (False, True):
        got = run_packed(combine(network, dense=dense), words)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("make", [random_convolution, random_linear])
def test_random_layers(make, seed):
    network = make(seed)
    check(network, random_words(network, 3, seed))


@pytest.mark.parametrize("seed", range(6))
def test_random_chains(seed):
    network = random_chain(seed)
    check(network, random_words(network, 2, seed))


def test_the_shipped_network():
    network = read_onnx(find_model("digits").path)
    check(network, np.random.default_rng(0).integers(0, 17, (3, *network.input.shape)))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_groups(groups, dtype):
    rng = np.random.default_rng(groups)
    layer = Conv2d(
        name="conv",
        weights=sparse_weights(rng, (8, 4 // groups, 2, 3), 0.5),
        bias=random_bias(rng, 8),
        padding=(1, 0, 0, 2),
        stride=(1, 2),
        groups=groups,
        requantise=Requantise(multiplier=np.array([3]), shift=np.array([9]), dtype="int8"),
    )
    network = Network(name="net", input=Tensor((4, 5, 4), dtype), layers=(layer,))
    check(network, random_words(network, 3, groups))


def test_the_class_of_exact_sums():
    weights = np.array([[1, -1], [-3, 2], [1, -1]], dtype=np.int8)
    layers = (Linear(name="scores", weights=weights, bias=np.zeros(3, dtype=np.int32)), ArgMax(name="class"))
    network = Network(name="net", input=Tensor((1, 1, 2), "uint8"), layers=layers)
    words = np.array([[255, 0], [0, 255], [0, 0]]).reshape(3, 1, 1, 2)
    assert run_packed(combine(network), words).reshape(-1).tolist() == [0, 1, 0]
    check(network, words)


def test_products_go_where_the_kernel_id_says():
    """Two kernels in one set, a third alone: sums by hand."""
    kernels = np.array([[5, 0, 0, 2], [1, 1, 1, 1], [0, -3, 4, 0]], dtype=np.int8)
    packed = overlay("layer", kernels.reshape(3, 1, 1, 4), ((0, 2), (1,)), 2)
    assert packed.weights.reshape(2, 4).tolist() == [[5, -3, 4, 2], [1, 1, 1, 1]]
    assert packed.kernel_ids.reshape(2, 4).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    layer = Linear(name="layer", weights=kernels, bias=np.zeros(3, dtype=np.int32))
    word = np.array([10, 0, 7, 1]).reshape(1, 1, 4)
    sums = multiply_route_sum(layer, packed, Tensor((1, 1, 4), "uint8"), word)
    assert sums.reshape(-1).tolist() == [52, 18, 28]
    # In int64, and so exact where float64 would not be.
    large = multiply_route_sum(
        layer, packed, Tensor((1, 1, 4), "uint8"), np.array([0, 2**56 + 1, 0, 0]).reshape(1, 1, 4)
    )
    assert large.reshape(-1).tolist() == [0, 2**56 + 1, -3 * (2**56 + 1)]


def test_a_wrong_weight_in_a_set_shows():
    """The packed model reads the sets and nothing else: otherwise it would prove nothing."""
    network = random_linear(4)
    packed, words = combine(network), random_words(network, 3, 1)
    (name, layer), *_ = packed.layers.items()
    weights = layer.weights.copy()
    weights[layer.kernel_ids >= 0] = 1
    object.__setattr__(packed.layers[name], "weights", weights)
    assert (run_packed(packed, words) != run_dense(network, words)).any()


def test_bad_words_are_refused():
    network = random_linear(4)
    with pytest.raises(InputError, match="takes"):
        run_packed(combine(network), np.zeros((2, 1, 1, network.input.size + 1), dtype=np.uint8))

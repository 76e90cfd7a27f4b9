"""read_onnx + golden.dense against onnxruntime: equal in every bit where every scale is a power of two."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import (
    INT8_ZERO,
    UINT8_ZERO,
    Graph,
    digits_like,
    nchw,
    nhwc,
    onnxruntime_output,
    random_weights,
)

from cs_hdl.frontend.onnx import OnnxModel, read_onnx, read_onnx_model
from cs_hdl.golden.dense import run_dense, run_layers
from cs_hdl.network import ArgMax, Conv2d, GlobalKWTA, Linear, LocalKWTA, MaxPool

INT8_LOW, UINT8_HALF = np.int8(-128), np.uint8(128)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def random_words(rng, model: OnnxModel, count=12):
    shape, dtype = model.network.input.shape, model.network.input.dtype
    low, high = (0, 255) if dtype == "uint8" else (-128, 127)
    return rng.integers(low, high + 1, (count, *shape)).astype(dtype)


def both(path, rng, count=12, words=None):
    """The outputs as real numbers of our network and of onnxruntime, in the network's order."""
    model = read_onnx_model(path)
    words = random_words(rng, model, count) if words is None else words
    real = nchw(words).astype(np.float32) * np.float32(model.input_scale)
    if len(onnx.load(path).graph.input[0].type.tensor_type.shape.dim) == 2:
        real = real.reshape(len(real), -1)
    ours = run_dense(model.network, words) * model.output_scale
    return ours, nhwc(onnxruntime_output(path, real)), model


def assert_equal(path, rng, **options):
    ours, theirs, model = both(path, rng, **options)
    assert np.array_equal(ours, theirs)
    assert np.unique(theirs).size > 1 or isinstance(model.network.layers[-1], ArgMax), "the test's data say nothing"
    return model.network


def test_digits_like(tmp_path, rng):
    graph, output = digits_like(rng)
    network = assert_equal(graph.save(tmp_path / "digits.onnx", output), rng, count=40)
    assert network.name == "digits"
    assert [layer.kind for layer in network.layers] == [
        "Conv2d", "MaxPool", "LocalKWTA", "Linear", "GlobalKWTA", "Linear",
    ]  # fmt: skip
    assert [layer.name for layer in network.layers] == ["conv1", "pool1", "kwta1", "linear1", "kwta2", "linear2"]
    assert [tensor.winners for tensor in network.tensors] == [None, None, None, 2, None, 5, None]
    assert network.layers[0].requantise.multiplier.tolist() == [1]
    assert network.layers[-1].requantise is None


def test_other_scales_differ_by_one_step_at_most_and_rarely(tmp_path, rng):
    """Of 16-bit multipliers and float32 roundings: 1 in the last place of an activation."""
    graph = Graph(["N", 6, 9, 9])
    x = graph.quantise("input", 0.0137)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 16, 6, 3, 3), 0.00191))
    x = graph.quantise(x, 0.0313)
    ours, theirs, model = both(graph.save(tmp_path / "m.onnx", x), rng, count=60)
    steps = np.rint(theirs / model.output_scale) - np.rint(ours / model.output_scale)
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() < 0.001  # measured over six such layers: 1.1e-4


@pytest.mark.parametrize("zero", [UINT8_ZERO, INT8_ZERO])
@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        ((3, 3), {}),
        ((3, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ((1, 1), {"strides": [2, 3]}),
        ((2, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((2, 3), {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
        ((3, 3), {"auto_pad": "VALID", "dilations": [1, 1]}),
        ((3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ((3, 3), {"group": 4, "kernel_shape": [3, 3]}),
    ],
)
def test_convolution(tmp_path, rng, zero, kernel, attributes):
    graph = Graph([1, 4, 7, 6])
    x = graph.quantise("input", 1 / 16, zero)
    weights = random_weights(rng, 8, 4 // attributes.get("group", 1), *kernel)
    x = graph.node("Conv", x, graph.dequantised(weights, 1 / 64), name="conv", **attributes)
    x = graph.quantise(x, 1 / 2, zero)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng)
    assert network.output.dtype == zero.dtype.name


@pytest.mark.parametrize("last", [False, True])
def test_scale_for_each_channel(tmp_path, rng, last):
    graph = Graph(["N", 3, 5, 5])
    x = graph.quantise("input", 1 / 16)
    scale = 2.0 ** -np.array([4, 5, 6, 7])
    bias = graph.dequantised(rng.integers(-999, 999, 4).astype(np.int32), scale / 16)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 4, 3, 3, 3), scale), bias)
    x = x if last else graph.quantise(x, 1 / 2)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng)
    if not last:
        assert network.layers[0].requantise.per_channel
        assert network.layers[0].requantise.shift.tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize("axis", [0, 1])
def test_scale_for_each_output_of_a_linear_layer(tmp_path, rng, axis):
    graph = Graph(["N", 12])
    x = graph.quantise("input", 1 / 16)
    weights, scale = random_weights(rng, 5, 12), 2.0 ** -np.arange(4, 9)
    name = graph.dequantised(weights if axis == 0 else weights.T.copy(), scale, axis=axis)
    x = graph.node("Gemm", x, name, transB=1 - axis)
    network = assert_equal(graph.save(tmp_path / "m.onnx", graph.quantise(x, 1 / 2)), rng)
    assert np.array_equal(network.layers[0].weights, weights)


@pytest.mark.parametrize("form", ["gemm", "gemm-transposed", "matmul", "matmul-transpose", "matmul-add", "add-matmul"])
def test_forms_of_a_linear_layer_after_a_flattened_map(tmp_path, rng, form):
    """Weights are put into the order of (height, width, channel)."""
    graph = Graph(["N", 3, 4, 2])
    x = graph.node("Flatten", graph.quantise("input", 1 / 16))
    weights, bias = random_weights(rng, 24, 7), (rng.integers(-99, 99, 7) / 512).astype(np.float32)
    if form == "gemm":
        x = graph.node("Gemm", x, graph.dequantised(weights, 1 / 32), graph.constant(bias), alpha=1.0, beta=1.0)
    elif form == "gemm-transposed":
        x = graph.node("Gemm", x, graph.dequantised(weights.T.copy(), 1 / 32), graph.constant(bias[None]), transB=1)
    elif form == "matmul-transpose":
        x = graph.node("MatMul", x, graph.node("Transpose", graph.dequantised(weights.T.copy(), 1 / 32), perm=[1, 0]))
    else:
        x = graph.node("MatMul", x, graph.dequantised(weights, 1 / 32))
        if form == "matmul-add":
            x = graph.node("Add", x, graph.constant(bias))
        elif form == "add-matmul":
            x = graph.node("Add", graph.constant(bias[None]), x)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng)
    expected = weights.T.reshape(7, 3, 4, 2).transpose(0, 2, 3, 1).reshape(7, 24)
    assert np.array_equal(network.layers[0].weights, expected)
    assert network.input.shape == (4, 2, 3)


def test_bias_added_after_a_convolution(tmp_path, rng):
    graph = Graph(["N", 2, 4, 4])
    x = graph.quantise("input", 1 / 16)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 3, 2, 3, 3), 1 / 64))
    x = graph.node("Add", x, graph.constant((rng.integers(-999, 999, (1, 3, 1, 1)) / 1024).astype(np.float32)))
    x = graph.node("Add", x, graph.constant(np.float32(1 / 32)))
    network = assert_equal(graph.save(tmp_path / "m.onnx", graph.quantise(x, 1 / 4)), rng)
    assert network.layers[0].bias.any()


@pytest.mark.parametrize("quantised_first", [True, False])
@pytest.mark.parametrize("zero", [UINT8_ZERO, INT8_ZERO])
@pytest.mark.parametrize(
    "pool",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 1, 0]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [2, 2]},
    ],
)
def test_max_pool_before_or_after_the_quantiser(tmp_path, rng, quantised_first, zero, pool):
    graph = Graph(["N", 2, 7, 6])
    x = graph.quantise("input", 1 / 16)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 4, 2, 2, 2), 1 / 64), name="conv")
    if quantised_first:
        x = graph.quantise(x, 1 / 2, zero)
    x = graph.node("MaxPool", x, name="pool", **pool)
    # A DequantizeLinear, MaxPool, QuantizeLinear of the same scale is what exporters write.
    x = graph.quantise(x, 1 / 2, zero)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng)
    assert [(type(layer), layer.name) for layer in network.layers] == [(Conv2d, "conv"), (MaxPool, "pool")]


def test_max_pool_over_integers(tmp_path, rng):
    graph = Graph(["N", 2, 6, 6])
    codes = graph.quantise("input", 1 / 16, back=False)
    codes = graph.node("MaxPool", codes, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("DequantizeLinear", codes, "input_scale")
    assert_equal(graph.save(tmp_path / "m.onnx", x), rng)


@pytest.mark.parametrize("cut", ["Relu", "Clip", "Clip6", "Relu-Clip-pool", "Clip-int8"])
def test_relu_and_clip_that_the_quantiser_swallows(tmp_path, rng, cut):
    graph = Graph(["N", 2, 5, 5])
    x = graph.quantise("input", 1 / 16)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 4, 2, 3, 3), 1 / 64))
    zero = graph.constant(np.float32(0))
    dtype = UINT8_ZERO
    if cut == "Relu":
        x = graph.node("Relu", x)
    elif cut == "Clip":
        x = graph.node("Clip", x, zero)
    elif cut == "Clip6":
        x = graph.node("Clip", x, zero, graph.constant(np.float32(255 / 8)))
    elif cut == "Clip-int8":
        dtype, limits = INT8_ZERO, (graph.constant(np.float32(-16)), graph.constant(np.float32(127 / 8)))
        x = graph.node("Clip", x, *limits)
    else:
        x = graph.node("Clip", graph.node("Relu", x), "", graph.constant(np.float32(1000)))
        x = graph.node("MaxPool", x, kernel_shape=[2, 2])
    x = graph.quantise(x, 1 / 8, dtype)
    x = x if cut == "Clip-int8" else graph.node("Relu", x)  # of what is never negative
    assert_equal(graph.save(tmp_path / "m.onnx", x), rng)


@pytest.mark.parametrize("zeros", ["constant", "shape", "expand", "concat", "value", "initializer"])
def test_zeros_of_a_local_k_wta(tmp_path, rng, zeros):
    batch = 1 if zeros in ("constant", "initializer") else "N"
    graph = Graph([batch, 6, 4, 3])
    x = graph.quantise("input", 1 / 16)
    if zeros == "constant":
        tensor = helper.make_tensor("z", TensorProto.FLOAT, [1, 6, 4, 3], [0.0] * 72)
        zero = graph.node("Constant", value=tensor)
    elif zeros == "initializer":
        zero = graph.node("Identity", graph.constant(np.zeros((1, 6, 4, 3), dtype=np.float32)))
    elif zeros == "shape":
        zero = graph.zeros_like(x)
    elif zeros == "value":
        tensor = helper.make_tensor("z", TensorProto.FLOAT, [1], [0.0])
        zero = graph.node("ConstantOfShape", graph.node("Shape", x), value=tensor)
    else:
        shape = graph.node("Shape", x)
        if zeros == "concat":
            first = graph.node("Gather", shape, graph.constant(np.array(0)), axis=0)
            first = graph.node("Unsqueeze", first, graph.constant(np.array([0])))
            first = graph.node("Cast", first, to=TensorProto.INT64)
            rest = graph.node("Slice", shape, graph.constant(np.array([1])), graph.constant(np.array([4])))
            shape = graph.node("Concat", first, rest, axis=0)
        zero = graph.node("Expand", graph.constant(np.float32(0)), shape)
    x = graph.kwta(x, 2, zero, name="winners")
    words = rng.integers(0, 4, (10, 4, 3, 6)).astype(np.uint8)  # full of ties
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng, words=words)
    assert network.layers == (network.layers[0],)
    assert isinstance(network.layers[0], LocalKWTA) and network.layers[0].winners == 2


def test_global_k_wta_with_ties(tmp_path, rng):
    graph = Graph(["N", 40])
    x = graph.quantise("input", 1 / 16)
    x = graph.kwta(x, 7, graph.zeros_like(x), axis=-1, sorted=0)
    words = rng.integers(0, 4, (20, 1, 1, 40)).astype(np.uint8)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng, words=words)
    assert isinstance(network.layers[0], GlobalKWTA) and network.layers[0].name == "topk_0"


@pytest.mark.parametrize("over", ["sums", "activation"])
def test_arg_max(tmp_path, rng, over):
    graph = Graph(["N", 12])
    x = graph.quantise("input", 1 / 16)
    x = graph.node("Gemm", x, graph.dequantised(random_weights(rng, 12, 5), 1 / 64), name="scores")
    x = x if over == "sums" else graph.quantise(x, 4.0)
    x = graph.node("ArgMax", x, axis=1, keepdims=0, name="class")
    x = graph.node("Cast", x, to=TensorProto.INT32)
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng, count=50)
    assert [layer.name for layer in network.layers] == ["scores", "class"]
    assert network.output.shape == (1, 1, 1) and network.output.dtype == "uint8"


@pytest.mark.parametrize("target", [[0, -1], [-1, 24], [1, 24]])
def test_reshape_is_a_flatten(tmp_path, rng, target):
    graph = Graph([1, 3, 4, 2])
    x = graph.node("Reshape", graph.quantise("input", 1 / 16), graph.constant(np.array(target)))
    x = graph.node("MatMul", x, graph.dequantised(random_weights(rng, 24, 7), 1 / 32))
    assert_equal(graph.save(tmp_path / "m.onnx", x), rng)


def test_reshape_with_a_dynamic_shape_and_squeeze(tmp_path, rng):
    graph = Graph(["N", 3, 4, 2])
    x = graph.quantise("input", 1 / 16)
    first = graph.node("Slice", graph.node("Shape", x), graph.constant(np.array([0])), graph.constant(np.array([1])))
    shape = graph.node("Concat", first, graph.constant(np.array([-1])), axis=0)
    x = graph.node("MatMul", graph.node("Reshape", x, shape), graph.dequantised(random_weights(rng, 24, 7), 1 / 32))
    x = graph.node("Reshape", x, graph.constant(np.array([0, 7, 1, 1])))
    x = graph.node("Squeeze", x, graph.constant(np.array([2, 3])))
    x = graph.node("Transpose", graph.node("Identity", x), perm=[0, 1])
    assert_equal(graph.save(tmp_path / "m.onnx", x), rng)


@pytest.mark.parametrize(
    ("zero", "dtype"), [(INT8_LOW, "uint8"), (UINT8_HALF, "int8"), (UINT8_ZERO, "uint8"), (INT8_ZERO, "int8")]
)
def test_rewrites_of_zero_points(tmp_path, rng, zero, dtype):
    """int8 around -128 is uint8 around 0; uint8 around 128 is int8 around 0."""
    graph = Graph(["N", 4, 5, 5])
    x = graph.quantise("input", 1 / 16, zero)
    weights = random_weights(rng, 4, 4, 3, 3)
    plain = graph.dequantised((weights.astype(int) + 128).astype(np.uint8), 1 / 64, np.uint8(128))
    x = graph.quantise(graph.node("Conv", x, plain), 1 / 4, zero)
    x = graph.node("MaxPool", x, kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    if dtype == "uint8":
        x = graph.kwta(x, 2, graph.zeros_like(x))
    network = assert_equal(graph.save(tmp_path / "m.onnx", x), rng)
    assert network.input.dtype == network.output.dtype == dtype
    assert np.array_equal(network.layers[0].weights, weights)


@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 0), ("uint8", 128), ("int8", 0), ("int8", -128)])
def test_integer_input(tmp_path, rng, dtype, zero):
    graph = Graph(["N", 2, 4, 4], TensorProto.UINT8 if dtype == "uint8" else TensorProto.INT8)
    inputs = [graph.constant(np.float32(1 / 16)), graph.constant(np.array(zero, dtype=dtype))]
    x = graph.node("DequantizeLinear", "input", *inputs)
    x = graph.node("Conv", x, graph.dequantised(random_weights(rng, 3, 2, 3, 3), 1 / 64))
    path = graph.save(tmp_path / "m.onnx", x)
    model = read_onnx_model(path)
    words = random_words(rng, model)
    theirs = onnxruntime_output(path, (nchw(words).astype(int) + zero).astype(dtype))
    assert np.array_equal(run_dense(model.network, words) * model.output_scale, nhwc(theirs))


def test_weights_that_the_graph_quantises_itself(tmp_path, rng):
    graph = Graph(["N", 2, 4, 4])
    x = graph.quantise("input", 1 / 16)
    weights = (rng.integers(-120, 121, (3, 2, 3, 3)) / 64 + 1 / 200).astype(np.float32)
    scale, zero = graph.constant(np.full(3, 1 / 64, np.float32)), graph.constant(np.zeros(3, np.int8))
    codes = graph.node("QuantizeLinear", graph.constant(weights), scale, zero, axis=0)
    x = graph.node("Conv", x, graph.node("DequantizeLinear", codes, scale, zero, axis=0))
    assert_equal(graph.save(tmp_path / "m.onnx", x), rng)


def test_weights_in_a_file_beside_the_model(tmp_path, rng):
    graph, output = digits_like(rng)
    plain = read_onnx(graph.save(tmp_path / "plain.onnx", output))
    path = tmp_path / "model.onnx"
    onnx.save(graph.model(output), path, save_as_external_data=True, location="model.data", size_threshold=0)
    for one, other in zip(plain.layers, read_onnx(path).layers, strict=True):
        if hasattr(one, "weights"):
            assert np.array_equal(one.weights, other.weights) and np.array_equal(one.bias, other.bias)


def test_names_are_made_unique_and_plain(tmp_path, rng):
    graph = Graph(["N", 8])
    x = graph.quantise("input", 1 / 16)
    for name in ("/block 1/fc", "/block 1/fc", "_block_1_fc", "", ""):
        x = graph.node("MatMul", x, graph.dequantised(random_weights(rng, 8, 8, largest=9), 1 / 16), name=name)
        x = graph.quantise(x, 1 / 16)
    network = read_onnx(graph.save(tmp_path / "m.onnx", x))
    assert [layer.name for layer in network.layers] == [
        "block_1_fc", "block_1_fc_2", "block_1_fc_3", "matmul_3", "matmul_4",
    ]  # fmt: skip


def test_nodes_that_the_output_does_not_need_are_not_read(tmp_path, rng):
    graph = Graph(["N", 8])
    x = graph.quantise("input", 1 / 16)
    x = graph.node("MatMul", x, graph.dequantised(random_weights(rng, 8, 8), 1 / 16))
    graph.node("Softmax", x)
    assert len(read_onnx(graph.save(tmp_path / "m.onnx", x)).layers) == 1


def test_each_layer_keeps_its_place(tmp_path, rng):
    """The layers' results, one by one: k-WTA leaves exactly k slots, of which some may hold 0."""
    graph, output = digits_like(rng)
    network = read_onnx(graph.save(tmp_path / "m.onnx", output))
    words = rng.integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    results = run_layers(network, words)
    assert isinstance(network.layers[3], Linear)
    assert ((results[2] > 0).sum(axis=3) <= 2).all() and ((results[4] > 0).sum(axis=3) <= 5).all()

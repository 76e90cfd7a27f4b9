"""Every model that is refused: one line that names the file, the node, its operator, the value, and what to do."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import INT8_ZERO, UINT8_ZERO, Graph, digits_like, random_weights

from cs_hdl.errors import InputError
from cs_hdl.frontend.onnx import read_onnx


def refused(path) -> str:
    """The one line that the reader says of ``path``, which it names."""
    with pytest.raises(InputError) as caught:
        read_onnx(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.exit_code == 2
    return message


# --- files -----------------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    assert "no such file" in refused(tmp_path / "nothing.onnx")


def test_directory(tmp_path):
    assert "is a directory" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# Not a model\n", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not an ONNX file"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "not an ONNX file"),
    ],
)
def test_files_that_are_no_models(tmp_path, content, message):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    assert message in refused(path)


def test_truncated_files(tmp_path):
    """Wherever it is cut, the message says so, or (when only what follows the graph is lost) that it may be."""
    graph, output = digits_like(np.random.default_rng(0))
    content = graph.model(output).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in [*range(1, len(content), 331), *range(len(content) - 12, len(content))]:
        path.write_bytes(content[:length])
        assert re.search("cut short|holds no graph", refused(path))


def test_damaged_files_are_refused_or_read(tmp_path):
    """Whatever a damaged byte makes of the file, nothing but an InputError comes out."""
    rng = np.random.default_rng(0)
    graph, output = digits_like(rng)
    content = bytearray(graph.model(output).SerializeToString())
    path = tmp_path / "damaged.onnx"
    refusals = 0
    for _ in range(400):
        damaged = content.copy()
        # Most of the file is weights: nodes come first and are damaged more often.
        for position in rng.integers(0, rng.choice([2500, len(content)]), 3):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_onnx(path)
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert 50 < refusals < 400


def test_old_opset(tmp_path):
    graph, output = linear()
    model = graph.model(output)
    model.opset_import[0].version = 12
    path = tmp_path / "old.onnx"
    path.write_bytes(model.SerializeToString())
    assert "opset 12; accepted: opset 13" in refused(path)


def external_model(tmp_path):
    graph, output = digits_like(np.random.default_rng(0))
    path = tmp_path / "folder" / "model.onnx"
    path.parent.mkdir()
    onnx.save(graph.model(output), path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def test_external_data_missing(tmp_path):
    path = external_model(tmp_path)
    (path.parent / "model.data").unlink()
    assert re.search(r"tensor '\w+' has its data in 'model.data', which cannot be read", refused(path))


def test_external_data_cut_short(tmp_path):
    path = external_model(tmp_path)
    data = path.parent / "model.data"
    data.write_bytes(data.read_bytes()[:100])
    assert "cut short" in refused(path)


@pytest.mark.parametrize("how", ["relative", "absolute", "link"])
def test_external_data_outside_the_folder(tmp_path, how):
    path = external_model(tmp_path)
    outside = tmp_path / "outside.data"
    (path.parent / "model.data").rename(outside)
    location = {"relative": "../outside.data", "absolute": str(outside), "link": "model.data"}[how]
    if how == "link":
        (path.parent / "model.data").symlink_to(outside)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    assert "outside the model's folder" in refused(path)


def test_models_of_gigabytes_are_not_read(tmp_path):
    """Files without content on the disk: what is as large as this is refused by its size."""
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    assert "3.0 GiB; accepted: at most 1 GiB" in refused(path)
    path = external_model(tmp_path)
    with (path.parent / "model.data").open("r+b") as file:
        file.truncate(5 * 2**30)
    model = onnx.load(path, load_external_data=False)
    for entry in [entry for tensor in model.graph.initializer for entry in tensor.external_data]:
        if entry.key == "length":
            entry.value = str(4 * 2**30)
    path.write_bytes(model.SerializeToString())
    assert re.search(r"tensor '\w+' in 'model.data': 4.0 GiB; accepted: at most 1 GiB", refused(path))


# --- inputs and outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (["N", 1, "H", 8], TensorProto.FLOAT, r"input 'input' has the shape \[\?, 1, \?, 8\]; accepted: fixed sizes"),
        (["N", 1, 0, 8], TensorProto.FLOAT, "fixed sizes"),
        ([4, 1, 8, 8], TensorProto.FLOAT, "batch of 4; accepted: 1, or a dynamic one"),
        (
            ["N", 1, 2, 8, 8],
            TensorProto.FLOAT,
            r"shape \[\?, 1, 2, 8, 8\]; accepted: \[batch, channels, height, width\]",
        ),
        (["N", 1, 8, 8], TensorProto.DOUBLE, "DOUBLE; accepted: FLOAT, UINT8 or INT8"),
    ],
)
def test_input(tmp_path, shape, dtype, message):
    graph = Graph(shape, dtype)
    assert re.search(message, refused(graph.save(tmp_path / "m.onnx", graph.node("Identity", "input"))))


def test_more_than_one_output(tmp_path):
    graph, output = linear()
    assert "2 outputs" in refused(graph.save(tmp_path / "m.onnx", output, "input_scale"))


def test_more_than_one_input(tmp_path):
    graph, output = linear()
    model = graph.model(output)
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert "2 inputs (input, more)" in refused(path)


def test_a_tensor_that_nothing_makes(tmp_path):
    graph = Graph(["N", 8])
    x = graph.node("MatMul", graph.quantise("input", 1.0), "gone", name="fc")
    assert "node fc (MatMul): its input 'gone' comes from no node" in refused(graph.save(tmp_path / "m.onnx", x))


# --- nodes -----------------------------------------------------------------------------------------

RNG = np.random.default_rng(4)


def linear(shape=("N", 8), **quantised):
    """A graph with one linear layer named fc, and its unquantised output."""
    graph = Graph(list(shape))
    x = graph.quantise("input", 1 / 16)
    return graph, graph.node("MatMul", x, graph.dequantised(random_weights(RNG, 8, 4), 1 / 64), name="fc")


def image(zero=UINT8_ZERO, channels=4):
    """A graph with a dequantised map of channels x 6 x 6."""
    graph = Graph(["N", channels, 6, 6])
    return graph, graph.quantise("input", 1 / 16, zero)


def conv(graph, x, weights=None, scale=1 / 64, **options):
    weights = random_weights(RNG, 5, 4, 3, 3) if weights is None else weights
    dequantised = {key: options.pop(key) for key in ("zero", "axis") if key in options}
    name = graph.dequantised(weights, scale, name="w", **dequantised)
    return graph.node("Conv", x, name, *options.pop("more", ()), name="conv1", **options)


CASES = {}


def case(message):
    """Registers a function that builds a graph (and returns it with its output) and the message it meets."""

    def register(function):
        CASES[function.__name__] = (function, message)
        return function

    return register


def scale_case(name, value, shown):
    def activation():
        graph = Graph(["N", 8])
        return graph, graph.quantise("input", value, name="q1")

    def weights():
        graph, x = image()
        return graph, conv(graph, x, scale=value)

    def one_channel():
        graph, x = image()
        return graph, conv(graph, x, scale=[1.0, 1.0, value, 1.0, 1.0])

    CASES[f"{name}_activation_scale"] = (
        activation,
        rf"node q1 \(QuantizeLinear\): scale 'q1_scale' is {shown}; accepted: a finite number above 0",
    )
    for kind, build in (("weight", weights), ("channel", one_channel)):
        CASES[f"{name}_{kind}_scale"] = (
            build,
            rf"node dequantizelinear_1 \(DequantizeLinear\): scale 'w_scale' is {shown}; accepted",
        )


scale_case("nan", np.nan, "nan")
scale_case("zero", 0.0, "0.0")
scale_case("negative", -0.5, "-0.5")
scale_case("infinite", np.inf, "inf")


@case(r"node conv1 \(Conv\): weight -128 at \[1, 2, 0, 1\] of 'w'; accepted: -127\.\.127")
def weight_of_minus_128():
    graph, x = image()
    weights = random_weights(RNG, 5, 4, 3, 3)
    weights[1, 2, 0, 1] = -128
    return graph, conv(graph, x, weights)


@case(r"weight 200 at \[0, 0, 0, 0\]")
def unsigned_weight_too_large():
    graph, x = image()
    return graph, conv(graph, x, np.full((5, 4, 3, 3), 200, dtype=np.uint8))


@case(r"node q1 \(QuantizeLinear\): zero point .* is uint8 \[3\]; accepted: uint8 with zero point 0 or 128, int8")
def zero_point_of_an_activation():
    graph = Graph(["N", 8])
    return graph, graph.quantise("input", 1.0, np.uint8(3), name="q1")


@case(r"zero point .* is int16 \[0\]; accepted: uint8")
def activation_of_16_bits():
    graph = Graph(["N", 8], opset=21)
    return graph, graph.quantise("input", 1.0, np.int16(0))


@case(r"\(DequantizeLinear\): zero point 'w_zero' of 'w' is 5; accepted: 0 or -128 for int8")
def zero_point_of_weights():
    graph, x = image()
    return graph, conv(graph, x, zero=np.int8(5))


@case(r"constant 'w' is int16; accepted: int8 weights")
def weights_of_16_bits():
    graph, x = image()
    return graph, conv(graph, x, np.zeros((5, 4, 3, 3), dtype=np.int16))


@case(r"node conv1 \(Conv\): weights with a scale for each index of axis 1; accepted: axis 0")
def weight_scales_along_the_inputs():
    graph, x = image()
    return graph, conv(graph, x, scale=[1.0, 0.5, 1.0, 1.0], axis=1)


@case(r"3 scales along axis 0 of 'w' \[5, 4, 3, 3\]")
def wrong_number_of_scales():
    graph, x = image()
    return graph, conv(graph, x, scale=[1.0, 0.5, 1.0])


@case(r"node conv1 \(Conv\): input 1 is a constant of float32 .*; accepted: int8 weights that come from a Deq")
def float_weights():
    graph, x = image()
    return graph, graph.node("Conv", x, graph.constant(np.ones((5, 4, 3, 3), dtype=np.float32)), name="conv1")


@case(r"node conv1 \(Conv\): input 0 is the graph's float input; accepted: an activation that comes from a Deq")
def unquantised_input():
    graph = Graph(["N", 4, 6, 6])
    return graph, conv(graph, "input")


@case(r"node fc2 \(MatMul\): input 0 is the unquantised result of fc; accepted")
def unquantised_between_layers():
    graph, x = linear()
    return graph, graph.node("MatMul", x, graph.dequantised(random_weights(RNG, 4, 4), 1.0), name="fc2")


@case(r"node conv1 \(Conv\): dilations = \[2, 2\]; accepted: dilations = \[1, 1\]")
def dilations():
    graph, x = image()
    return graph, conv(graph, x, dilations=[2, 2])


@case(r"pads = \[1, 1, -1, 0\]; accepted: four integers of at least 0")
def negative_padding():
    graph, x = image()
    return graph, conv(graph, x, pads=[1, 1, -1, 0])


@case(r"auto_pad = SAME; accepted: NOTSET, VALID, SAME_UPPER or SAME_LOWER")
def unknown_auto_pad():
    graph, x = image()
    return graph, conv(graph, x, auto_pad="SAME")


@case(r"strides = \[0, 1\]; accepted: two integers of at least 1")
def stride_of_zero():
    graph, x = image()
    return graph, conv(graph, x, strides=[0, 1])


@case(r"attribute strides = 2; accepted: a value like \[1, 1\]")
def attribute_of_another_type():
    graph, x = image()
    return graph, conv(graph, x, strides=2)


@case(r"node conv1 \(Conv\): attribute colour; accepted: auto_pad, dilations")
def unknown_attribute():
    graph, x = image()
    return graph, conv(graph, x, colour=1)


@case(r"node conv1 \(Conv\): weights for 8 input channels \(4 in each of 2 groups\), but the input has 4")
def groups_that_do_not_fit():
    graph, x = image()
    return graph, conv(graph, x, random_weights(RNG, 4, 4, 3, 3), group=2)


@case(r"node conv1 \(Conv\): kernel 7x7 is larger than the input 6x6")
def kernel_larger_than_the_input():
    graph, x = image()
    return graph, conv(graph, x, random_weights(RNG, 4, 4, 7, 7))


@case(r"kernel_shape = \[5, 5\]; accepted: \[3, 3\]")
def kernel_shape_against_its_weights():
    graph, x = image()
    return graph, conv(graph, x, kernel_shape=[5, 5])


@case(r"weights of the shape \[5, 4, 3\]; accepted: 4 dimensions")
def one_dimensional_convolution():
    graph, x = image()
    return graph, conv(graph, x, random_weights(RNG, 5, 4, 3))


@case(r"bias 'b' holds 1e\+09, .* steps of the sum's scale; accepted: values that fit 32 bits")
def bias_too_large():
    graph, x = image()
    bias = np.array([0, 1e9, 0, 0, 0], dtype=np.float32)
    return graph, conv(graph, x, more=[graph.constant(bias, "b")])


@case(r"bias 'b' holds nan")
def bias_of_nan():
    graph, x = image()
    return graph, conv(graph, x, more=[graph.constant(np.full(5, np.nan, dtype=np.float32), "b")])


@case(r"node q \(QuantizeLinear\): constant 'w' holds a value that is not finite; accepted: numbers")
def weight_of_nan():
    graph, x = image()
    weights = graph.constant(np.full((5, 4, 3, 3), np.nan, dtype=np.float32), "w")
    scale, zero = graph.constant(np.float32(1 / 64)), graph.constant(INT8_ZERO)
    codes = graph.node("QuantizeLinear", weights, scale, zero, name="q")
    return graph, graph.node("Conv", x, graph.node("DequantizeLinear", codes, scale, zero), name="conv1")


@case(r"bias 'b' of the shape \[3\]; accepted: one value for each of 5 outputs")
def bias_of_another_size():
    graph, x = image()
    return graph, conv(graph, x, more=[graph.constant(np.zeros(3, dtype=np.float32), "b")])


@case(r"bias 'b' of the shape \[4\]")
def bias_along_the_width():
    graph, x = image()
    x = graph.node("Add", conv(graph, x), graph.constant(np.zeros(4, dtype=np.float32), "b"))
    return graph, x


@case(r"node sum \(Add\): input 0 is the unquantised result of fc; accepted: two dequantised activations of one shape")
def unquantised_summands():
    graph, x = linear()
    return graph, graph.node("Add", x, x, name="sum")


@case(r"node sum \(Add\): adds \[1, 4, 6, 6\] and \[1, 5, 4, 4\]; accepted: two dequantised activations of one shape")
def summands_of_two_shapes():
    graph, x = image()
    return graph, graph.node("Add", x, graph.quantise(conv(graph, x), 1.0), name="sum")


@case(r"node sum \(Add\): its inputs come from two quantisations of the graph's input; accepted: one and the same")
def two_quantisations_of_the_input():
    graph, x = image()
    return graph, graph.node("Add", x, graph.quantise("input", 0.5, name="again"), name="sum")


@case(r"output '\w+' is a sum that nothing has quantised; accepted: a QuantizeLinear and DequantizeLinear behind it")
def sum_at_the_end():
    graph, x = image()
    return graph, graph.node("Add", x, graph.node("Relu", x), name="sum")


@case(r"node q2 \(QuantizeLinear\): scale \S+ is below \S+ \* 2\*\*-16, beside which it counts for nothing; accepted")
def summands_of_scales_too_far_apart():
    graph, x = image()
    y = graph.quantise(conv(graph, x, random_weights(RNG, 4, 4, 1, 1)), 2.0**-21, name="q1")
    return graph, graph.quantise(graph.node("Add", x, y, name="sum"), 1.0, name="q2")


@case(r"node avg \(AveragePool\): count_include_pad = 0 with padding \[1, 1, 1, 1\].*; accepted: count_include_pad = 1")
def average_that_leaves_padding_out():
    graph, x = image()
    x = graph.node("AveragePool", x, name="avg", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return graph, graph.quantise(x, 1.0)


@case(r"node avg \(AveragePool\): input 0 is the unquantised result of conv1; accepted: an activation that comes from")
def average_of_sums():
    graph, x = image()
    return graph, graph.node("AveragePool", conv(graph, x), name="avg", kernel_shape=[2, 2])


@case(r"output '\w+' is an average that nothing has quantised")
def average_at_the_end():
    graph, x = image()
    return graph, graph.node("GlobalAveragePool", x, name="avg")


@case(r"node bn \(BatchNormalization\): input 0 is a dequantised activation; accepted: the result of a Conv, Gemm")
def batch_normalised_activation():
    graph, x = image()
    ones = [graph.constant(np.ones(4, dtype=np.float32)) for _ in range(4)]
    return graph, graph.node("BatchNormalization", x, *ones, name="bn")


@case(r"node bn \(BatchNormalization\): mean 'm' of 3 values; accepted: 5 finite numbers, one a channel")
def batch_normalisation_of_another_size():
    graph, x = image()
    ones = [graph.constant(np.ones(5, dtype=np.float32)) for _ in range(3)]
    mean = graph.constant(np.ones(3, dtype=np.float32), "m")
    x = graph.node("BatchNormalization", conv(graph, x), ones[0], ones[1], mean, ones[2], name="bn")
    return graph, graph.quantise(x, 1.0)


@case(r"node sum \(Add\): input 0 is a dequantised activation; accepted: a constant bias straight after")
def constant_added_to_an_activation():
    graph, x = image()
    return graph, graph.node("Add", x, graph.constant(np.float32(1)), name="sum")


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("beta", 2.0), ("transA", 1)])
def test_gemm_attributes(tmp_path, name, value):
    graph = Graph(["N", 8])
    weights = graph.dequantised(random_weights(RNG, 8, 4), 1.0)
    x = graph.node("Gemm", graph.quantise("input", 1.0), weights, name="fc", **{name: value})
    assert f"node fc (Gemm): {name} = {value}; accepted: {name} = " in refused(graph.save(tmp_path / "m.onnx", x))


@case(r"node fc2 \(MatMul\): its input has the shape \[1, 4, 6, 6\]; accepted: \[batch, features\]")
def matmul_over_a_map():
    graph, x = image()
    return graph, graph.node("MatMul", x, graph.dequantised(random_weights(RNG, 6, 4), 1.0), name="fc2")


@case(r"weights for 9 input features, but its input has 144")
def features_that_do_not_fit():
    graph, x = image()
    x = graph.node("Flatten", x)
    return graph, graph.node("MatMul", x, graph.dequantised(random_weights(RNG, 9, 4), 1.0), name="fc2")


@case(r"node soft \(Softmax\): unsupported operator; accepted: Add, ArgMax, .*TopK")
def unsupported_operator():
    graph, x = linear()
    return graph, graph.node("Softmax", x, name="soft")


@case(r"node own \(Relu\): operator of the domain com\.example; accepted: operators of the ONNX standard")
def operator_of_another_domain():
    graph, x = linear()
    return graph, graph.node("Relu", x, name="own", domain="com.example")


@case(r"node p \(MaxPool\): ceil_mode = 1; accepted: ceil_mode = 0")
def max_pool_ceil_mode():
    graph, x = image()
    return graph, graph.node("MaxPool", x, name="p", kernel_shape=[2, 2], ceil_mode=1)


@case(r"node p \(MaxPool\): dilations = \[2, 1\]")
def max_pool_dilations():
    graph, x = image()
    return graph, graph.node("MaxPool", x, name="p", kernel_shape=[2, 2], dilations=[2, 1])


@case(r"node p \(MaxPool\): padding \(2, 0, 0, 0\) must be 0\.\.kernel-1")
def max_pool_padding():
    graph, x = image()
    return graph, graph.node("MaxPool", x, name="p", kernel_shape=[2, 2], pads=[2, 0, 0, 0])


@case(r"node p \(MaxPool\): input 0 is the graph's float input; accepted: a quantised activation")
def max_pool_unquantised():
    graph = Graph(["N", 4, 6, 6])
    return graph, graph.node("MaxPool", "input", name="p", kernel_shape=[2, 2])


@case(r"node k1 \(TopK\): k = 0; accepted: 1\.\.4 \(the number of channels\)")
def k_of_zero():
    graph, x = image()
    return graph, graph.kwta(x, 0, graph.zeros_like(x), name="k1")


@case(r"node k1 \(TopK\): k = 5; accepted: 1\.\.4 \(the number of channels\)")
def k_of_more_than_the_channels():
    graph, x = image()
    return graph, graph.kwta(x, 5, graph.zeros_like(x), name="k1")


@case(r"node k1 \(TopK\): k = 9; accepted: 1\.\.8 \(the number of features\)")
def k_of_more_than_the_features():
    graph = Graph(["N", 8])
    x = graph.quantise("input", 1.0)
    return graph, graph.kwta(x, 9, graph.zeros_like(x), name="k1")


@case(r"node k1 \(TopK\): largest = 0; accepted: largest = 1")
def the_smallest():
    graph, x = image()
    return graph, graph.kwta(x, 2, graph.zeros_like(x), name="k1", largest=0)


@case(r"node k1 \(TopK\): axis = 2 of \[1, 4, 6, 6\]; accepted: axis 1")
def top_k_along_the_height():
    graph, x = image()
    return graph, graph.kwta(x, 2, graph.zeros_like(x), name="k1", axis=2)


@case(r"node k1 \(TopK\): input 0 is the unquantised result of fc; accepted: an activation that comes from a Deq")
def top_k_of_unquantised_data():
    graph, x = linear()
    return graph, graph.kwta(x, 2, graph.zeros_like(x), name="k1")


@case(r"node k1 \(TopK\): input 0 is a quantised \(integer\) tensor; accepted: an activation that comes from a Deq")
def top_k_of_integers():
    graph = Graph(["N", 8])
    x = graph.quantise("input", 1.0, back=False)
    return graph, graph.kwta(x, 2, x, name="k1")


@case(r"node k1 \(TopK\): selects among signed values \(int8\); accepted: uint8")
def top_k_of_signed_data():
    graph, x = image(INT8_ZERO)
    return graph, graph.kwta(x, 2, graph.zeros_like(x), name="k1")


@case(r"node k1 \(TopK\): selects among the flattened features of 4 channels x 6 x 6; .*accepted: k-WTA along the chan")
def global_k_wta_over_a_flattened_map():
    graph, x = image()
    x = graph.node("Flatten", x)
    return graph, graph.kwta(x, 2, graph.zeros_like(x), name="k1")


@case(r"output '\w+' is the values of the TopK k1; accepted: a ScatterElements")
def top_k_that_is_the_output():
    graph, x = image()
    return graph, graph.node("TopK", x, graph.constant(np.array([2])), name="k1", outputs=2, axis=1)[0]


@case(r"node k1 \(TopK\): its values go to node r \(Relu\); accepted: a ScatterElements")
def top_k_that_is_not_scattered():
    graph, x = image()
    values, _ = graph.node("TopK", x, graph.constant(np.array([2])), name="k1", outputs=2, axis=1)
    return graph, graph.node("Relu", values, name="r")


@case(r"node s \(ScatterElements\): input 1 is a constant of int64 .*; accepted: the values and indices of one TopK")
def scatter_by_other_indices():
    graph, x = image()
    values, _ = graph.node("TopK", x, graph.constant(np.array([2])), name="k1", outputs=2, axis=1)
    indices = graph.constant(np.zeros((1, 2, 6, 6), dtype=np.int64))
    return graph, graph.node("ScatterElements", graph.zeros_like(x), indices, values, name="s", axis=1)


@case(r"node s \(ScatterElements\): scatters the values of the TopK k2 by the indices of the TopK k1; accepted")
def scatter_of_two_top_ks():
    graph, x = image()
    two = graph.constant(np.array([2]))
    _, indices = graph.node("TopK", x, two, name="k1", outputs=2, axis=1)
    values, _ = graph.node("TopK", x, two, name="k2", outputs=2, axis=1)
    return graph, graph.node("ScatterElements", graph.zeros_like(x), indices, values, name="s", axis=1)


@case(r"node k1_scatter \(ScatterElements\): its data 'z' holds other values than 0; accepted: zeros")
def scatter_into_ones():
    graph, x = image()
    return graph, graph.kwta(x, 2, graph.constant(np.ones((1, 4, 6, 6), dtype=np.float32), "z"), name="k1")


@case(r"its data 'z' has the shape \[1, 8, 6, 6\]; accepted: zeros of \[1, 4, 6, 6\]")
def scatter_into_more_channels():
    graph, x = image()
    return graph, graph.kwta(x, 2, graph.constant(np.zeros((1, 8, 6, 6), dtype=np.float32), "z"), name="k1")


@case(r"node k1_scatter \(ScatterElements\): input 0 is a dequantised activation; accepted: zeros")
def scatter_into_the_data():
    graph, x = image()
    return graph, graph.kwta(x, 2, x, name="k1")


@case(
    r"node class \(ArgMax\): compares the sums of fc2, whose channels differ in their scale; accepted: one weight sca"
)
def arg_max_over_scales_that_differ():
    graph = Graph(["N", 8])
    weights = graph.dequantised(random_weights(RNG, 4, 8), [1.0, 1.0, 0.5, 1.0])
    x = graph.node("Gemm", graph.quantise("input", 1.0), weights, name="fc2", transB=1)
    return graph, graph.node("ArgMax", x, name="class", axis=1)


@case(r"node class \(ArgMax\): over a map of 4 channels x 6 x 6; accepted: over features alone")
def arg_max_over_a_map():
    graph, x = image()
    return graph, graph.node("ArgMax", x, name="class", axis=1)


@case(r"node class \(ArgMax\): select_last_index = 1")
def arg_max_of_the_last():
    graph, x = linear()
    return graph, graph.node("ArgMax", x, name="class", axis=1, select_last_index=1)


@case(
    r"node q2 \(QuantizeLinear\): a Clip before it leaves 3\.\.255 steps of its scale; accepted: limits of Clip on both"
)
def clip_above_zero():
    graph, x = linear()
    x = graph.node("Clip", x, graph.constant(np.float32(3)))
    return graph, graph.quantise(x, 1.0, name="q2")


@case(r"output '\w+' is a cut activation that nothing has quantised; accepted: a QuantizeLinear")
def clip_between_two_steps():
    graph, x = image(INT8_ZERO)
    return graph, graph.node("Clip", x, graph.constant(np.float32(-0.1)), name="r")


@case(r"output '\w+' is the unquantised result of fc, with a MaxPool, Relu or Clip behind it")
def relu_at_the_end():
    graph, x = linear()
    return graph, graph.node("Relu", x)


@case(r"output '\w+' is a map flattened to features; accepted: the map itself")
def flattened_output():
    graph, x = image()
    return graph, graph.node("Flatten", graph.quantise(conv(graph, x), 1.0))


@case(r"node q2 \(QuantizeLinear\): scale .* is outside 2\*\*-47 \.\. 65535; accepted: input scale \* weight scale")
def ratio_of_scales_too_small():
    graph, x = linear()
    return graph, graph.quantise(x, 1e30, name="q2")


@case(r"zero point 128 for a tensor that was quantised with 0; accepted: the zero point of its QuantizeLinear")
def another_zero_point():
    graph = Graph(["N", 8])
    codes = graph.quantise("input", 1.0, back=False)
    return graph, graph.node("DequantizeLinear", codes, "input_scale", graph.constant(np.uint8(128)))


@case(r"node view \(Reshape\): from \[1, 4, 6, 6\] to \[1, 4, 36\]; accepted: \[batch, features\]")
def reshape_into_something_else():
    graph, x = image()
    return graph, graph.node("Reshape", x, graph.constant(np.array([0, 4, 36])), name="view")


@case(r"node view \(Reshape\): shape \[1, 7\] for an input of \[1, 4, 6, 6\]; accepted: a shape of as many values")
def reshape_to_another_size():
    graph, x = image()
    return graph, graph.node("Reshape", x, graph.constant(np.array([1, 7])), name="view")


@case(r"node t \(Transpose\): perm = \[0, 2, 3, 1\] of \[1, 4, 6, 6\]; accepted: an order that moves nothing")
def transposed_activation():
    graph, x = image()
    return graph, graph.node("Transpose", x, name="t", perm=[0, 2, 3, 1])


@case(r"node flat \(Flatten\): axis = 2; accepted: axis = 1")
def flatten_from_another_axis():
    graph, x = image()
    return graph, graph.node("Flatten", x, name="flat", axis=2)


@case(r"node big \(ConstantOfShape\): shape \[\d+, 4\]; accepted: sizes of at least 0 and at most")
def constant_without_bounds():
    graph, x = image()
    zeros = graph.node("ConstantOfShape", graph.constant(np.array([2**40, 4])), name="big")
    return graph, graph.kwta(x, 2, zeros)


@case(r"node g \(Gather\): cannot be computed \(.*\); accepted: shapes and axes that fit")
def constant_that_cannot_be_computed():
    graph, x = image()
    shape = graph.node("Gather", graph.constant(np.array([1, 2])), graph.constant(np.array([7])), name="g")
    return graph, graph.kwta(x, 2, graph.node("ConstantOfShape", shape))


@case(r"a network needs at least one layer")
def no_layer_at_all():
    return image()


@pytest.mark.parametrize("name", CASES)
def test_refusal(tmp_path, name, monkeypatch):
    build, message = CASES[name]
    graph, output = build()
    # Shape inference would refuse some of these graphs first.
    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", lambda model: model)
    found = refused(graph.save(tmp_path / "m.onnx", output))
    assert re.search(message, found), found

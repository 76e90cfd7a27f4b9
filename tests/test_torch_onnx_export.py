"""The integer network, evaluated in NumPy, equals its ONNX export under onnxruntime in every bit."""

from __future__ import annotations

import numpy as np
import pytest

from cs_hdl.torch import integer
from cs_hdl.torch.onnx_export import to_onnx


def random_network(
    generator: np.random.Generator, *, stride: int, padding: int, k: tuple[int, int]
) -> integer.IntegerNetwork:
    def weights(*shape: int) -> np.ndarray:
        return generator.integers(-127, 128, shape).astype(np.int8)

    def bias(size: int) -> np.ndarray:
        return generator.integers(-3000, 3000, size).astype(np.int32)

    convolution = integer.IntegerConv2d(
        name="conv",
        weights=weights(7, 2, 3, 3),
        bias=bias(7),
        weight_scale=2.0**-6,
        stride=(stride, stride),
        padding=(padding, padding),
    )
    side = ((9 + 2 * padding - 3) // stride + 1) // 2
    return integer.IntegerNetwork(
        name="random",
        input_shape=(2, 9, 9),
        input_scale=2.0**-2,
        layers=(
            convolution,
            integer.MaxPool(name="pool", size=2),
            integer.ToUint8(name="requantise1", scale=2.0),
            integer.Winners(name="kwta1", k=k[0]),
            integer.Flatten(name="flatten"),
            integer.IntegerLinear(
                name="linear1", weights=weights(11, 7 * side**2), bias=bias(11), weight_scale=2.0**-7
            ),
            integer.ToUint8(name="requantise2", scale=16.0),
            integer.Winners(name="kwta2", k=k[1]),
            integer.IntegerLinear(name="output", weights=weights(3, 11), bias=bias(3), weight_scale=2.0**-5),
        ),
    )


@pytest.mark.parametrize(("stride", "padding", "k"), [(1, 1, (2, 3)), (1, 0, (1, 1)), (2, 2, (7, 11)), (1, 2, (3, 5))])
@pytest.mark.parametrize("batch", [1, 5])
def test_numpy_equals_onnxruntime(stride: int, padding: int, k: tuple[int, int], batch: int) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: test)")
    generator = np.random.default_rng(stride * 10 + padding)
    network = random_network(generator, stride=stride, padding=padding, k=k)
    # Few different values: ties in both k-WTA.
    images = (generator.integers(0, 4, (batch, 2, 9, 9)) * 85).astype(np.uint8)
    model = to_onnx(network, output_name="scores", outputs=3, summary="random", metadata={})
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"image": (images * 2.0**-2).astype(np.float32)})
    accumulators, scale = integer.evaluate(network, images)
    assert np.array_equal(scores, accumulators * scale)


def test_nodes_have_the_layers_names() -> None:
    network = random_network(np.random.default_rng(0), stride=1, padding=1, k=(2, 3))
    model = to_onnx(network, output_name="scores", outputs=3, summary="random", metadata={"classes": ["a", "b", "c"]})
    operators = {node.name: node.op_type for node in model.graph.node}
    expected = {
        "conv": "Conv",
        "pool": "MaxPool",
        "kwta1": "TopK",
        "kwta2": "TopK",
        "linear1": "Gemm",
        "output": "Gemm",
    }
    assert expected.items() <= operators.items()
    assert {p.key: p.value for p in model.metadata_props} == {"classes": '["a", "b", "c"]'}
    assert model.graph.output[0].name == "scores"


def test_scale_that_no_multiplier_holds_is_refused() -> None:
    network = integer.IntegerNetwork(
        name="bad", input_shape=(1, 2, 2), input_scale=1.0, layers=(integer.ToUint8(name="fine", scale=2.0**-17),)
    )
    with pytest.raises(ValueError, match=r"fine: its scale .* is outside"):
        integer.evaluate(network, np.zeros((1, 1, 2, 2), np.uint8))

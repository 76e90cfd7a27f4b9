"""Small ONNX models for the tests, made with onnx.helper, and onnxruntime as their oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

UINT8_ZERO, INT8_ZERO = np.uint8(0), np.int8(0)


class Graph:
    """Builds a graph node by node; methods return the names of the tensors that they make."""

    def __init__(self, shape: list[Any], dtype: int = TensorProto.FLOAT, opset: int = 17) -> None:
        self.shape, self.dtype, self.opset = shape, dtype, opset
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.count = 0

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def constant(self, array: Any, name: str = "") -> str:
        name = name or self.fresh("constant")
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        results = [self.fresh(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), results, name=name, **attributes))
        return results[0] if outputs == 1 else results

    def quantise(self, x: str, scale: Any, zero: Any = UINT8_ZERO, name: str = "", back: bool = True) -> str:
        """QuantizeLinear and (where ``back``) DequantizeLinear."""
        scale_name, zero_name = self.constant(np.float32(scale), f"{name or x}_scale"), self.constant(zero)
        codes = self.node("QuantizeLinear", x, scale_name, zero_name, name=name)
        return self.node("DequantizeLinear", codes, scale_name, zero_name) if back else codes

    def dequantised(self, array: Any, scale: Any, zero: Any = None, axis: int = 0, name: str = "") -> str:
        """Integer weights or biases as a constant and its DequantizeLinear."""
        scale, array = np.asarray(scale, dtype=np.float32), np.asarray(array)
        zero = np.zeros(scale.shape, dtype=array.dtype) if zero is None else np.asarray(zero, dtype=array.dtype)
        name = name or self.fresh("weights")
        inputs = [
            self.constant(array, name),
            self.constant(scale, f"{name}_scale"),
            self.constant(zero, f"{name}_zero"),
        ]
        return self.node("DequantizeLinear", *inputs, **({"axis": axis} if scale.ndim else {}))

    def kwta(self, x: str, k: int, zeros: str, name: str = "", axis: int = 1, **attributes: Any) -> str:
        values, indices = self.node(
            "TopK", x, self.constant(np.array([k])), name=name, outputs=2, axis=axis, **attributes
        )
        return self.node("ScatterElements", zeros, indices, values, name=f"{name}_scatter", axis=axis)

    def zeros_like(self, x: str) -> str:
        return self.node("ConstantOfShape", self.node("Shape", x))

    def save(self, path: Path, output: str, *more: str) -> Path:
        path.write_bytes(self.model(output, *more).SerializeToString())
        return path

    def model(self, output: str, *more: str) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("input", self.dtype, self.shape)],
            [onnx.ValueInfoProto(name=name) for name in (output, *more)],
            self.tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        # onnxruntime wants the type of each output.
        inferred = onnx.shape_inference.infer_shapes(model)
        types = {item.name: item for item in [*inferred.graph.value_info, *inferred.graph.output]}
        for item in model.graph.output:
            if item.name in types:
                item.CopyFrom(types[item.name])
        return model


def random_weights(rng: np.random.Generator, *shape: int, largest: int = 127) -> np.ndarray:
    """int8 weights in -largest..largest."""
    return rng.integers(-largest, largest + 1, shape).astype(np.int8)


def onnxruntime_output(path: Path, data: np.ndarray) -> np.ndarray:
    """What onnxruntime gives for ``data``, word by word (so that a batch of 1 works too), unoptimised."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: word[np.newaxis]})[0] for word in data])


def nchw(words: np.ndarray) -> np.ndarray:
    """``[n, height, width, channels]`` as ONNX orders it."""
    return np.ascontiguousarray(words.transpose(0, 3, 1, 2))


def nhwc(data: np.ndarray) -> np.ndarray:
    """ONNX's ``[n, channels, height, width]`` or ``[n, features]`` in the network's order."""
    return data.transpose(0, 2, 3, 1) if data.ndim == 4 else data.reshape(len(data), 1, 1, -1)


def digits_like(
    rng: np.random.Generator, scales: tuple[float, ...] = (1 / 16, 1 / 64, 1 / 8, 1 / 16, 1 / 2)
) -> tuple[Graph, str]:
    """The structure of the shipped digits model, smaller: returns the graph and its output's name."""
    s_input, s_weight, s_conv, s_linear, s_weight2 = scales
    graph = Graph(["N", 1, 8, 8])
    x = graph.quantise("input", s_input, name="quantize_input")
    weights = graph.dequantised(random_weights(rng, 8, 1, 5, 5, largest=20), s_weight)
    bias = graph.dequantised(rng.integers(-50, 50, 8).astype(np.int32), np.float32(s_input) * np.float32(s_weight))
    x = graph.node("Conv", x, weights, bias, name="conv1", pads=[2, 2, 2, 2], kernel_shape=[5, 5])
    x = graph.node("MaxPool", x, name="pool1", kernel_shape=[2, 2], strides=[2, 2])
    x = graph.quantise(x, s_conv, name="quantize1")
    x = graph.kwta(x, 2, graph.zeros_like(x), name="kwta1")
    x = graph.node("Flatten", x)
    bias = graph.constant((rng.integers(-99, 99, 30) * (s_conv * s_weight2)).astype(np.float32))
    x = graph.node("Gemm", x, graph.dequantised(random_weights(rng, 30, 128, largest=9), s_weight2), bias,
                   name="linear1", transB=1)  # fmt: skip
    x = graph.quantise(x, s_linear, name="quantize2")
    x = graph.kwta(x, 5, graph.zeros_like(x), name="kwta2", axis=-1)
    weights = graph.dequantised(random_weights(rng, 30, 10), s_weight, axis=1)
    bias = graph.dequantised(rng.integers(-500, 500, 10).astype(np.int32), np.float32(s_linear) * np.float32(s_weight))
    x = graph.node("Add", graph.node("MatMul", x, weights, name="linear2"), bias)
    return graph, x


def conv_block(
    graph: Graph, rng: np.random.Generator, x: str, ins: int, outs: int, kernel: int, s_in: float, **attributes: Any
) -> str:
    """A convolution with a bias that keeps the size (at stride 1); gives its unquantised result."""
    groups = attributes.get("group", 1)
    weights = graph.dequantised(random_weights(rng, outs, ins // groups, kernel, kernel), 1 / 128)
    bias = graph.dequantised(rng.integers(-999, 999, outs).astype(np.int32), np.float32(s_in / 128))
    attributes.setdefault("pads", [kernel // 2] * 4)
    return graph.node("Conv", x, weights, bias, **attributes)


def basic_block(rng: np.random.Generator) -> tuple[Graph, str]:
    """ResNet's basic block with a downsampling shortcut, one with an identity behind it, and a global average."""
    graph = Graph(["N", 3, 8, 8])
    x = graph.quantise("input", 1 / 16, name="q0")
    x = graph.quantise(graph.node("Relu", conv_block(graph, rng, x, 3, 4, 3, 1 / 16, name="stem")), 1 / 8)
    y = conv_block(graph, rng, x, 4, 6, 3, 1 / 8, strides=[2, 2], name="conv1")
    y = graph.quantise(graph.node("Relu", y), 1 / 4)
    y = graph.quantise(conv_block(graph, rng, y, 6, 6, 3, 1 / 4, name="conv2"), 1 / 4, INT8_ZERO)
    shortcut = conv_block(graph, rng, x, 4, 6, 1, 1 / 8, strides=[2, 2], name="downsample")
    shortcut = graph.quantise(shortcut, 1 / 8, INT8_ZERO)
    x = graph.quantise(graph.node("Relu", graph.node("Add", y, shortcut, name="add1")), 1 / 4)
    y = graph.quantise(graph.node("Relu", conv_block(graph, rng, x, 6, 6, 3, 1 / 4, name="conv3")), 1 / 2)
    y = graph.quantise(conv_block(graph, rng, y, 6, 6, 3, 1 / 2, name="conv4"), 1 / 2, INT8_ZERO)
    x = graph.quantise(graph.node("Relu", graph.node("Add", x, y, name="add2")), 1 / 2)
    x = graph.quantise(graph.node("GlobalAveragePool", x, name="average"), 1 / 4)
    x = graph.node("Flatten", x)
    weights = graph.dequantised(random_weights(rng, 5, 6), 1 / 64)
    return graph, graph.node("Gemm", x, weights, name="fc", transB=1)


def inverted_residual(rng: np.random.Generator) -> tuple[Graph, str]:
    """MobileNetV2's block: pointwise, depthwise, pointwise; ReLU6 of steps, signed bottlenecks."""
    graph = Graph(["N", 4, 6, 5])
    zero, six = graph.constant(np.float32(0), "zero"), graph.constant(np.float32(6), "six")
    x = graph.quantise("input", 1 / 32, INT8_ZERO, name="q0")
    y = graph.quantise(
        graph.node("Clip", conv_block(graph, rng, x, 4, 12, 1, 1 / 32, name="expand"), zero, six), 1 / 32
    )
    y = conv_block(graph, rng, y, 12, 12, 3, 1 / 32, group=12, name="depthwise")
    y = graph.quantise(graph.node("Clip", y, zero, six), 1 / 32)
    y = graph.quantise(conv_block(graph, rng, y, 12, 4, 1, 1 / 32, name="project"), 1 / 8, INT8_ZERO)
    x = graph.quantise(graph.node("Add", x, y, name="add"), 1 / 16, INT8_ZERO, name="q1")
    y = conv_block(graph, rng, x, 4, 8, 3, 1 / 16, strides=[2, 2], name="last")
    return graph, graph.quantise(graph.node("Relu", y), 1 / 8)

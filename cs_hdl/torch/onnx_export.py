"""The integer network as a standard QDQ ONNX model: what onnxruntime runs and ``cs-hdl generate`` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cs_hdl.torch import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OPSET", "to_onnx"]

OPSET = 17
#: The oldest that goes with the opset, so that old runtimes read the file too.
IR_VERSION = 8


class _Graph:
    """Nodes and constants as they are added; remembers the tensor that comes next and its scale."""

    def __init__(self, tensor: str, scale: float) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.tensor = tensor
        self.scale = scale

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def scale_constant(self, name: str, scale: float) -> str:
        return self.constant(name, np.array(scale, dtype=np.float32))

    def add(self, operator: str, name: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node called ``name``; its first output, of the same name, is returned."""
        names = [name if i == 0 else f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, **attributes))
        return name

    def quantise(self, name: str, value: float) -> None:
        """QuantizeLinear and DequantizeLinear to uint8, zero point 0."""
        scale = self.scale_constant(f"{name}_scale", value)
        zero = self.constant(f"{name}_zero_point", np.array(0, dtype=np.uint8))
        quantised = self.add("QuantizeLinear", f"{name}_quantize", [self.tensor, scale, zero])
        self.tensor = self.add("DequantizeLinear", f"{name}_dequantize", [quantised, scale, zero])
        self.scale = value

    def parameter(self, name: str, array: NDArray[Any], scale: float) -> str:
        """Integers with their scale, dequantised; the zero point, left out, is 0."""
        stored = self.constant(f"{name}_quantized", array)
        return self.add("DequantizeLinear", name, [stored, self.scale_constant(f"{name}_scale", scale)])

    def weights(self, layer: integer.IntegerConv2d | integer.IntegerLinear) -> list[str]:
        weight = self.parameter(f"{layer.name}_weight", layer.weights, layer.weight_scale)
        self.scale *= layer.weight_scale
        return [self.tensor, weight, self.parameter(f"{layer.name}_bias", layer.bias, self.scale)]

    def winners(self, layer: integer.Winners) -> None:
        """TopK, scattered into zeros of the same shape, which the runtime makes for any batch."""
        name = layer.name
        k = self.constant(f"{name}_k", np.array([layer.k], dtype=np.int64))
        values = self.add("TopK", name, [self.tensor, k], outputs=2, axis=1, largest=1, sorted=1)
        shape = self.add("Shape", f"{name}_shape", [self.tensor])
        zero = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
        zeros = self.add("ConstantOfShape", f"{name}_zeros", [shape], value=zero)
        self.tensor = self.add("ScatterElements", f"{name}_scatter", [zeros, f"{name}_1", values], axis=1)


def to_onnx(
    network: integer.IntegerNetwork, *, output_name: str, outputs: int, summary: str, metadata: dict[str, Any]
) -> onnx.ModelProto:
    """The checked model: float input ``image`` ``[N, channels, height, width]`` that holds the integers times the
    input's scale, float output ``output_name`` ``[N, outputs]``: the accumulators times theirs.

    ``summary`` becomes the model's doc string, each value of ``metadata`` a property written as JSON.
    """
    graph = _Graph("image", network.input_scale)
    graph.quantise("image", network.input_scale)
    for layer in network.layers:
        _add_layer(graph, layer)
    graph.nodes[-1].output[0] = output_name
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *network.input_shape])],
            [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["N", outputs])],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cs-hdl",
        doc_string=summary,
    )
    helper.set_model_props(model, {key: json.dumps(value) for key, value in sorted(metadata.items())})
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_layer(graph: _Graph, layer: integer.IntegerLayer) -> None:
    match layer:
        case integer.IntegerConv2d():
            pads = [*layer.padding, *layer.padding]
            inputs = graph.weights(layer)
            kernel = list(layer.weights.shape[2:])
            # Left out where it is the default, as it always was: the shipped files stay the same.
            groups = {"group": layer.groups} if layer.groups > 1 else {}
            graph.tensor = graph.add(
                "Conv", layer.name, inputs, kernel_shape=kernel, pads=pads, strides=list(layer.stride), **groups
            )
        case integer.IntegerLinear():
            graph.tensor = graph.add("Gemm", layer.name, graph.weights(layer), transB=1)
        case integer.MaxPool():
            size = [layer.size, layer.size]
            graph.tensor = graph.add("MaxPool", layer.name, [graph.tensor], kernel_shape=size, strides=size)
        case integer.ToUint8():
            graph.quantise(layer.name, layer.scale)
        case integer.Winners():
            graph.winners(layer)
        case integer.Flatten():
            graph.tensor = graph.add("Flatten", layer.name, [graph.tensor], axis=1)

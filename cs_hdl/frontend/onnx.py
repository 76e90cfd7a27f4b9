"""Reads a quantised ONNX model (QDQ form) as a :class:`~cs_hdl.network.Network`.

The nodes that the output needs are walked in the graph's order. Each tensor becomes a value
(``values.py``) that says what it means: a constant, a dequantised activation, a layer's sums that
nothing has quantised yet. A handler for each operator (the ``OPERATORS`` tables) makes values from
values or refuses. A new operator is a new handler.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import onnx

from cs_hdl.errors import InputError
from cs_hdl.frontend import pending, quantisation, reorder, selection, weights, windows
from cs_hdl.frontend.folding import FOLDERS
from cs_hdl.frontend.onnx_file import attribute_value, parse_model, tensor_array
from cs_hdl.frontend.operation import Operation, Refusal
from cs_hdl.frontend.values import (
    Accumulators,
    Activation,
    Chain,
    ClassIndex,
    Codes,
    Constant,
    FloatInput,
    IntegerInput,
    Pending,
    Value,
    Winners,
)
from cs_hdl.network import Network, Residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cs_hdl.network import Layer

__all__ = ["OnnxModel", "read_onnx", "read_onnx_model"]

_OPERATORS = {
    name: operator
    for module in (pending, quantisation, reorder, selection, weights, windows)
    for name, operator in module.OPERATORS.items()
}


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A network with the scales that join its integers to the model's real numbers.

    The model's input = ``input_scale`` * integer; its output = ``output_scale`` (float64, one
    element or one a channel) * integer. ``output_scale`` is 1 for a class index.
    """

    network: Network
    input_scale: float
    output_scale: NDArray[np.float64]


def read_onnx(path: Path) -> Network:
    """The network of the ONNX model in ``path``, named after the file.

    Raises InputError, with the file, node, operator, what was found and what would be accepted, for
    whatever is not in the list of models that are read (docs), and for a file that is none.
    """
    return read_onnx_model(path).network


def read_onnx_model(path: Path) -> OnnxModel:
    """As :func:`read_onnx`, with the scales of input and output."""
    path = Path(path)
    model = parse_model(path)
    graph = model.graph
    if len(graph.output) != 1:
        names = ", ".join(output.name for output in graph.output) or "none"
        raise InputError(f"{path}: the graph has {len(graph.output)} outputs ({names}); accepted: exactly one")
    values: dict[str, Value] = {tensor.name: Constant(array=tensor_array(tensor, path)) for tensor in graph.initializer}
    values |= _graph_input(graph, path, set(values))
    needed = _needed(graph)
    for node, label in zip(graph.node, _labels(graph), strict=True):
        if needed.intersection(node.output):
            results = _run(_operation(node, label, values, path), node.domain)
            values |= {name: value for name, value in zip(node.output, results, strict=False) if name}
    try:
        chain, output_scale = _output(graph.output[0].name, values, path)
        network = Network(name=path.stem or "network", input=chain.input, layers=_unique_names(chain.layers))
    except Refusal:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return OnnxModel(network=network, input_scale=chain.input_scale, output_scale=output_scale)


def _graph_input(graph: Any, path: Path, constants: set[str]) -> dict[str, Value]:
    inputs = [item for item in graph.input if item.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(item.name for item in inputs) or "none"
        raise InputError(f"{path}: the graph has {len(inputs)} inputs ({names}); accepted: exactly one")
    name, kind = inputs[0].name, inputs[0].type.tensor_type
    if not kind.HasField("shape"):
        raise InputError(f"{path}: input {name!r} has no shape; accepted: [batch, channels, height, width]")
    sizes = [item.dim_value if item.HasField("dim_value") else None for item in kind.shape.dim]
    shown = "[" + ", ".join("?" if size is None else str(size) for size in sizes) + "]"
    if len(sizes) not in (2, 3, 4):
        raise InputError(
            f"{path}: input {name!r} has the shape {shown}; accepted: [batch, channels, height, width], "
            "[batch, channels, length] or [batch, features]"
        )
    if sizes[0] not in (None, 1):
        raise InputError(f"{path}: input {name!r} has a batch of {sizes[0]}; accepted: 1, or a dynamic one")
    shape = tuple(int(size) for size in sizes[1:] if size)
    if len(shape) != len(sizes) - 1 or min(shape) < 1:
        raise InputError(f"{path}: input {name!r} has the shape {shown}; accepted: fixed sizes in all but the batch")
    match kind.elem_type:
        case onnx.TensorProto.FLOAT:
            return {name: FloatInput(shape=shape)}
        case onnx.TensorProto.UINT8:
            return {name: IntegerInput(shape=shape, dtype="uint8")}
        case onnx.TensorProto.INT8:
            return {name: IntegerInput(shape=shape, dtype="int8")}
    found = onnx.TensorProto.DataType.Name(kind.elem_type)
    raise InputError(f"{path}: input {name!r} is {found}; accepted: FLOAT, UINT8 or INT8")


def _needed(graph: Any) -> set[str]:
    """Names of the tensors that the output depends on."""
    needed = {graph.output[0].name}
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(name for name in node.input if name)
    return needed


def _labels(graph: Any) -> list[str]:
    """A name for each node: its own, else its operator and how many of that kind came before."""
    labels: list[str] = []
    counts: dict[str, int] = {}
    for node in graph.node:
        count = counts.get(node.op_type, 0)
        counts[node.op_type] = count + 1
        labels.append(" ".join(node.name.split()) or f"{node.op_type.lower()}_{count}")
    return labels


def _operation(node: Any, label: str, values: dict[str, Value], path: Path) -> Operation:
    for name in node.input:
        if name and name not in values:
            raise InputError(
                f"{path}: node {label} ({node.op_type}): its input {name!r} comes from no node before it; "
                "export the model again"
            )
    return Operation(
        file=str(path),
        label=label,
        operator=node.op_type,
        inputs=tuple(values.get(name) if name else None for name in node.input),
        input_names=tuple(node.input),
        attributes={item.name: attribute_value(item, path) for item in node.attribute},
        outputs=sum(1 for name in node.output if name),
    )


def _run(operation: Operation, domain: str) -> tuple[Value, ...]:
    """The node's results."""
    foldable = operation.inputs and all(isinstance(value, Constant) for value in operation.inputs if value is not None)
    if domain not in ("", "ai.onnx"):
        raise operation.refusal(f"operator of the domain {domain}", "operators of the ONNX standard")
    if foldable and operation.operator in FOLDERS:
        entry = FOLDERS[operation.operator]
    elif operation.operator in _OPERATORS:
        entry = _OPERATORS[operation.operator]
    else:
        accepted = ", ".join(sorted(_OPERATORS.keys() | FOLDERS.keys()))
        raise operation.refusal("unsupported operator", accepted)
    for name in operation.attributes:
        if name not in entry.attributes:
            raise operation.refusal(f"attribute {name}", ", ".join(entry.attributes) or "no attributes")
    try:
        result = entry.handler(operation)
    except Refusal:
        raise
    except InputError as error:  # a layer that does not fit: its message begins with its name
        found = str(error).removeprefix(f"{operation.layer_name}: ")
        raise Refusal(f"{operation.file}: node {operation.label} ({operation.operator}): {found}") from None
    return result if isinstance(result, tuple) else (result,)


def _output(name: str, values: dict[str, Value], path: Path) -> tuple[Chain, NDArray[np.float64]]:
    """The chain that makes the graph's output, and the output's scale."""

    def refuse(found: str, accepted: str) -> NoReturn:
        raise Refusal(f"{path}: output {name!r} is {found}; accepted: {accepted}")

    value = pending.settle(values.get(name))
    if isinstance(value, Activation | Codes | Accumulators) and value.features_reordered:
        refuse("a map flattened to features", "the map itself, [batch, channels, height, width]")
    match value:
        case ClassIndex():
            return value.chain, np.ones(1)
        case Activation() | Codes():
            return value.chain, np.array([value.scale])
        case Accumulators():
            if not value.untouched:
                found = f"{value}, with a MaxPool, Relu or Clip behind it"
                refuse(found, "a QuantizeLinear and DequantizeLinear behind these")
            return value.chain.then(value.layer), value.scale
        case Pending():
            refuse(str(value), "a QuantizeLinear and DequantizeLinear behind it")
        case Winners():
            refuse(str(value), "a ScatterElements that puts the values into zeros by the indices (k-WTA)")
        case None:
            refuse("made by no node", "the result of a layer")
        case _:
            refuse(str(value), "the result of a layer")


def _unique_names(layers: tuple[Layer, ...], taken: set[str] | None = None) -> tuple[Layer, ...]:
    """The layers, a second one of the same name as name_2 and so on."""
    taken = set() if taken is None else taken
    result = []
    for layer in layers:
        if isinstance(layer, Residual):
            body, shortcut = _unique_names(layer.body, taken), _unique_names(layer.shortcut, taken)
            layer = dataclasses.replace(layer, body=body, shortcut=shortcut)
        name, count = layer.name, 1
        while name in taken:
            count += 1
            name = f"{layer.name}_{count}"
        taken.add(name)
        result.append(dataclasses.replace(layer, name=name))
    return tuple(result)

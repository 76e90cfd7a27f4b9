"""The models that the package ships. All that is said of a model is read from its ONNX file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, numpy_helper

from cs_hdl.errors import InputError
from cs_hdl.network import Tensor

__all__ = ["Model", "find_model", "find_onnx", "models"]

_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Model:
    """A shipped model.

    ``path`` is the absolute path of its ONNX file; ``input`` has the shape (height, width,
    channels) and the integer dtype that the first QuantizeLinear gives; ``output`` the shape
    (1, 1, scores) and the dtype of the ONNX graph (a generated design gives the accumulators that
    stand behind it); ``classes`` names the scores in their order; ``dataset`` is what it was trained
    on ("none..." where it was not); ``summary`` is one line.
    """

    name: str
    path: Path
    input: Tensor
    output: Tensor
    classes: tuple[str, ...]
    dataset: str
    summary: str

    @property
    def trained(self) -> bool:
        """Whether its answers mean anything."""
        return not self.dataset.startswith("none")


def models() -> tuple[Model, ...]:
    """All shipped models, sorted by name. Raises InputError where a file of the installation is damaged."""
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.onnx"), key=lambda path: path.stem))


def find_model(name: str) -> Model:
    """The shipped model called ``name``; raises InputError, which lists the known names, where there is none."""
    known = {model.name: model for model in models()}
    if name not in known:
        raise InputError(f"no shipped model is called {name!r}; there are: {', '.join(known)}")
    return known[name]


def find_onnx(model: str) -> Path | None:
    """The ONNX file that is meant by ``model``: a path (maybe of nothing), or a shipped model's; None for neither."""
    path = Path(model)
    if path.suffix == ".onnx" or path.exists():
        return path
    return next((known.path for known in models() if known.name == model), None)


@cache
def _read(path: Path) -> Model:
    try:
        model = onnx.load(path)
        properties = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        _, channels, height, width = _sizes(model.graph.input[0])
        _, scores = _sizes(model.graph.output[0])
        return Model(
            name=model.graph.name,
            path=path,
            input=Tensor((height, width, channels), _input_dtype(model.graph)),
            output=Tensor((1, 1, scores), _dtype_name(model.graph.output[0].type.tensor_type.elem_type)),
            classes=tuple(properties["classes"]),
            dataset=properties["dataset"],
            summary=model.doc_string,
        )
    except Exception as error:  # whatever onnx, json or the file system find wrong with it
        raise InputError(f"{path}: this shipped model cannot be read ({error}); install cs-hdl again") from error


def _sizes(value: Any) -> list[int]:
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def _input_dtype(graph: Any) -> str:
    """What the QuantizeLinear that reads the graph's input gives: its zero point has that type."""
    quantise = next(node for node in graph.node if graph.input[0].name in node.input)
    zero_point = next(constant for constant in graph.initializer if constant.name == quantise.input[2])
    return str(numpy_helper.to_array(zero_point).dtype)


def _dtype_name(element_type: int) -> str:
    return {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}[element_type]

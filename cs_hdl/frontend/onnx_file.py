"""Reads the bytes of an ONNX file and its tensors; knows nothing of what the graph means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper

from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAXIMUM_BYTES", "MINIMUM_OPSET", "attribute_value", "parse_model", "tensor_array"]

#: No network that an FPGA holds comes near this; what is larger is not read into memory at all.
MAXIMUM_BYTES = 2**30

#: QuantizeLinear takes one scale a channel from this operator set on.
MINIMUM_OPSET = 13


def parse_model(path: Path) -> Any:
    """The ModelProto in ``path``. InputError where it is no complete ONNX file of opset 13 or later."""
    try:
        size = path.stat().st_size
        if size > MAXIMUM_BYTES and path.is_file():
            raise InputError(f"{path}: {_too_many_bytes(size)}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of an ONNX model") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give the path of an ONNX model") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not content:
        raise InputError(f"{path}: the file is empty; give an ONNX model")
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception:  # protobuf's own DecodeError: a package that is not ours to import
        raise InputError(f"{path}: not an ONNX file, or one that was cut short; export it again") from None
    if not model.HasField("graph") or not model.ir_version:
        raise InputError(f"{path}: not an ONNX file (it holds no graph); export it again")
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise InputError(f"{path}: a name in the graph is no text, so the file is damaged; export it again")
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if not versions:
        raise InputError(f"{path}: names no operator set, so it may have been cut short; export it again")
    if max(versions) < MINIMUM_OPSET:
        raise InputError(f"{path}: opset {max(versions)}; accepted: opset {MINIMUM_OPSET} or later")
    return model


def tensor_array(tensor: Any, path: Path) -> NDArray[Any]:
    """The values of the TensorProto ``tensor`` of the model in ``path``; InputError where they are not there."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        content = _external_bytes(tensor, path)
        tensor = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=content)
    try:
        array: NDArray[Any] = numpy_helper.to_array(tensor)
    except Exception as error:  # whatever NumPy finds wrong with a damaged tensor
        raise InputError(f"{path}: tensor {tensor.name!r} is damaged ({error}); export the model again") from None
    return array


def attribute_value(attribute: Any, path: Path) -> Any:
    """An AttributeProto as int, float, str, list or (for a tensor) array."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return tensor_array(value, path)
    if isinstance(value, (int, float)):
        return value
    try:
        return list(value)
    except TypeError:  # a graph, a sparse tensor: no operator that we read has one
        return value


def _names(graph: Any) -> Iterator[Any]:
    """Every name in the graph; protobuf gives bytes for those that are not UTF-8."""
    for item in (*graph.initializer, *graph.input, *graph.output):
        yield item.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name


def _too_many_bytes(size: int) -> str:
    return (
        f"{size / 2**30:.1f} GiB; accepted: at most {MAXIMUM_BYTES / 2**30:g} GiB (an FPGA holds some millions of "
        "weights; take a smaller network)"
    )


def _external_bytes(tensor: Any, path: Path) -> bytes:
    fields = {entry.key: entry.value for entry in tensor.external_data}
    location = fields.get("location", "")
    folder = path.resolve().parent
    file = (folder / location).resolve()
    # A model must not be able to read files that merely lie on the same machine.
    if not location or not file.is_relative_to(folder):
        raise InputError(
            f"{path}: tensor {tensor.name!r} has its data in {location!r}, outside the model's folder; "
            "accepted: a file beside the model"
        )
    try:
        offset = int(fields.get("offset", 0))
        length = int(fields["length"]) if "length" in fields else -1
        size = length if length >= 0 else file.stat().st_size - offset
        if size > MAXIMUM_BYTES:
            raise InputError(f"{path}: tensor {tensor.name!r} in {location!r}: {_too_many_bytes(size)}")
        with file.open("rb") as stream:
            stream.seek(offset)
            content: bytes = stream.read(length)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: tensor {tensor.name!r} has its data in {location!r}, which cannot be read ({reason}); "
            "put that file beside the model"
        ) from None
    if len(content) < length:
        raise InputError(f"{path}: tensor {tensor.name!r} has its data in {location!r}, which is cut short")
    return content

"""What onnxruntime says of a model, so that accuracy does not rest on our own arithmetic alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["run_onnxruntime"]

_CHUNK = 64


def run_onnxruntime(model: Path | bytes, words: NDArray[Any], *, input_scale: float) -> NDArray[Any]:
    """The output of ``model`` (a file, or what one holds), ``[n, ...]`` as the graph has it.

    ``words`` are ``[n, height, width, channels]``.

    ``words`` are the network's integers. A float input is given ``input_scale`` times these, an integer one these
    themselves (with its zero point where that is one of the accepted rewrites). Graph optimisation is off, so that
    nothing is computed in another way than the file says. Raises ToolError where onnxruntime is missing, InputError
    where it refuses the model or the words.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ToolError("onnxruntime is not installed: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    file, name = (model, "the model") if isinstance(model, bytes) else (str(model), str(model))
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0]
        values = _as_input(words, feed.type, len(feed.shape), input_scale)
        batch = feed.shape[0] if isinstance(feed.shape[0], int) else _CHUNK
        parts = [session.run(None, {feed.name: values[i : i + batch]})[0] for i in range(0, len(values), batch)]
    except Exception as error:  # onnxruntime's own classes, one for each status
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: onnxruntime refuses it ({reason})") from None
    return np.concatenate([np.atleast_1d(part) for part in parts])


def _as_input(words: NDArray[Any], kind: str, rank: int, scale: float) -> NDArray[Any]:
    planes = np.moveaxis(words, 3, 1)
    count, channels, height, width = planes.shape
    shape = {2: (count, channels * height * width), 3: (count, channels, width)}.get(rank, planes.shape)
    values = planes.reshape(shape)
    if kind == "tensor(float)":
        return np.asarray(values.astype(np.float32) * np.float32(scale))
    wanted = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8}[kind]
    if values.dtype != wanted:  # zero points 128 and -128
        values = values.astype(np.int16) + (128 if wanted is np.uint8 else -128)
    return values.astype(wanted)

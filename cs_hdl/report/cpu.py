"""What this machine's processor does with a model in onnxruntime: the comparison that anybody can repeat."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import ToolError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cs_hdl.network import Network

__all__ = ["measure_onnxruntime", "random_images"]

#: Words given at once: one, as somebody who waits for it has it, and many, as is quickest.
_BATCHES = (1, 64)


def measure_onnxruntime(model: Path, words: NDArray[np.float32], *, seconds: float = 3.0) -> dict[str, Any]:
    """Words a second of ``model`` (float32 ``[batch, channels, height, width]`` in), for each size of batch.

    onnxruntime takes as many threads and as much optimisation as it likes; the best of as many runs as fit
    ``seconds`` counts. Raises ToolError where it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ToolError("onnxruntime is not installed: pip install onnxruntime") from None
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rates: dict[str, float] = {}
    for batch in _BATCHES:
        values = words[[index % len(words) for index in range(batch)]]
        best, started = float("inf"), time.perf_counter()
        while time.perf_counter() - started < seconds:
            before = time.perf_counter()
            session.run(None, {name: values})
            best = min(best, time.perf_counter() - before)
        rates[str(batch)] = round(batch / best, 1)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "onnxruntime": onnxruntime.__version__,
        "words_per_second_by_batch": rates,
    }


def random_images(network: Network, *, count: int = 64) -> NDArray[np.float32]:
    """Random inputs as an ONNX model takes them: ``[count, channels, height, width]``, 0 to 1."""
    import numpy as np

    height, width, channels = network.input.shape
    return np.random.default_rng(1).random((count, channels, height, width), dtype=np.float32)


def _processor() -> str:
    """The processor's name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())

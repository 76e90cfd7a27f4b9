"""What is shown of one word: scores, winners of each k-WTA, cycles; from the golden model, or a board as well."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cs_hdl.errors import InputError
from cs_hdl.golden.dense import run_layers
from cs_hdl.network import GlobalKWTA, LocalKWTA

if TYPE_CHECKING:
    from cs_hdl.host import Accelerator
    from cs_hdl.network import Network

__all__ = ["PIXELS", "Recogniser", "Timing", "check_digits"]

#: Height and width of an image, and the darkest ink: the digits of scikit-learn.
PIXELS, INK = 8, 16


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles from a word's first beat to its result's last, and between words; the clock that they count."""

    latency_cycles: int
    cycles_per_word: float
    clock_mhz: float


def check_digits(network: Network) -> None:
    """InputError where ``network`` does not take images of digits."""
    shape = network.input.shape
    if shape != (PIXELS, PIXELS, 1) or network.input.dtype != "uint8":
        text = "x".join(map(str, shape))
        raise InputError(
            f"{network.name}: takes {text} {network.input.dtype}; the page draws {PIXELS}x{PIXELS}x1 uint8 "
            "(digits, digits-tiny)"
        )


class Recogniser:
    """Infers one image at a time; ``board`` (else the golden model) gives the scores, ``source`` says what that is.

    Which channels won is computed by the golden model in any case: a board gives nothing but results. Both must agree,
    and the answer says whether they do.
    """

    def __init__(
        self, network: Network, *, timing: Timing, board: Accelerator | None = None, source: str = "golden model"
    ) -> None:
        check_digits(network)
        self._network, self._timing, self._board, self._source = network, timing, board, source
        # A board answers one question after the other; the page may ask several at once.
        self._lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """What the page shows before anything is drawn."""
        network = self._network
        winners = [
            {"name": layer.name, "winners": layer.winners, "shape": list(tensor.shape)}
            for layer, tensor in zip(network.layers, network.tensors[1:], strict=True)
            if isinstance(layer, LocalKWTA | GlobalKWTA)
        ]
        return {
            "network": network.name,
            "source": self._source,
            "pixels": PIXELS,
            "ink": INK,
            "classes": network.output.size,
            "k_wta": winners,
            "cycles_per_word": self._timing.cycles_per_word,
            "latency_cycles": self._timing.latency_cycles,
            "clock_mhz": self._timing.clock_mhz,
        }

    def infer(self, pixels: Any) -> dict[str, Any]:
        """``pixels``: 64 integers 0..16, row by row. Raises InputError for anything else, and what the board raises."""
        word = _image(pixels)
        started = time.monotonic()
        results = run_layers(self._network, word)
        scores = results[-1].reshape(-1).astype(np.int64)
        agrees = None
        if self._board is not None:
            with self._lock:
                given = self._board.infer(word).reshape(-1)
            agrees = bool((given == scores).all())
            scores = given
        timing = self._timing
        return {
            "scores": scores.tolist(),
            "digit": int(scores.argmax()),
            "agrees": agrees,
            "winners": self._winners(results),
            "cycles": timing.latency_cycles,
            "microseconds": round(timing.latency_cycles / timing.clock_mhz, 3),
            "seconds_here": round(time.monotonic() - started, 4),
        }

    def _winners(self, results: list[NDArray[Any]]) -> list[dict[str, Any]]:
        """Of each k-WTA: how often each channel won (a local one has many positions), and what it was worth in all."""
        found = []
        for layer, result in zip(self._network.layers, results, strict=True):
            if isinstance(layer, LocalKWTA | GlobalKWTA):
                values = result.reshape(-1, result.shape[-1]).astype(np.int64)
                found.append(
                    {
                        "name": layer.name,
                        "count": (values != 0).sum(axis=0).tolist(),
                        "sum": values.sum(axis=0).tolist(),
                        "positions": len(values),
                    }
                )
        return found


def _image(pixels: Any) -> NDArray[np.uint8]:
    count = PIXELS * PIXELS
    if not isinstance(pixels, list) or len(pixels) != count:
        raise InputError(f"pixels must be a list of {count} integers")
    if not all(type(value) is int and 0 <= value <= INK for value in pixels):
        raise InputError(f"pixels must be integers 0..{INK}")
    return np.array(pixels, dtype=np.uint8).reshape(1, PIXELS, PIXELS, 1)

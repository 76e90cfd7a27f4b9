"""What is shown of one word: scores, winners of each k-WTA, cycles; from the golden model, or a board as well."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cs_hdl.golden.dense import run_layers
from cs_hdl.network import GlobalKWTA, LocalKWTA

if TYPE_CHECKING:
    from cs_hdl.host import Accelerator
    from cs_hdl.network import Network

__all__ = ["Recogniser", "Timing"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles from a word's first beat to its result's last, and between words; the clock that they count.

    ``built`` says whether the clock is that of a bitstream; otherwise it is assumed.
    """

    latency_cycles: int
    cycles_per_word: float
    clock_mhz: float
    built: bool = False


class Recogniser:
    """Infers one word at a time; ``board`` (else the golden model) gives the scores, ``source`` says what that is.

    What a word means is not known here (a task of :mod:`cs_hdl.live.task` knows). ``summary`` is a line about the
    network; ``trained`` is False where its weights are random, which the page must say.

    Which channels won is computed by the golden model in any case: a board gives nothing but results. Both must agree,
    and the answer says whether they do.
    """

    def __init__(
        self,
        network: Network,
        *,
        timing: Timing,
        board: Accelerator | None = None,
        source: str = "golden model",
        summary: str = "",
        trained: bool = True,
    ) -> None:
        self._network, self._timing, self._board, self._source = network, timing, board, source
        self._summary, self._trained = summary, trained
        # A board answers one question after the other; the page may ask several at once.
        self._lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """What the page shows before it asks anything."""
        network = self._network
        winners = [
            {"name": layer.name, "winners": layer.winners, "shape": list(tensor.shape)}
            for layer, tensor in zip(network.layers, network.tensors[1:], strict=True)
            if isinstance(layer, LocalKWTA | GlobalKWTA)
        ]
        return {
            "network": network.name,
            "source": self._source,
            "summary": self._summary,
            "trained": self._trained,
            "k_wta": winners,
            "cycles_per_word": self._timing.cycles_per_word,
            "latency_cycles": self._timing.latency_cycles,
            "clock_mhz": self._timing.clock_mhz,
            "clock_built": self._timing.built,
        }

    def infer(self, word: NDArray[np.uint8]) -> dict[str, Any]:
        """Of ``word``, ``[1, *input shape]``: the word itself, scores, winners, time. Raises what the board raises."""
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
            "word": word.reshape(-1).tolist(),
            "scores": scores.tolist(),
            "best": int(scores.argmax()),
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

"""What a network is for, as far as the page knows: digits or speech; found by the network's input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cs_hdl.errors import InputError
from cs_hdl.live.digits import DigitsTask
from cs_hdl.live.speech import SpeechTask

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cs_hdl.network import Network

__all__ = ["Task", "find_task"]


class Task(Protocol):
    """How a request becomes a word, what the scores are called, and which words there are to try.

    ``shape`` (of uint8) is the word's, ``classes`` names the scores, ``most_bytes`` is the longest request.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def most_bytes(self) -> int: ...

    def describe(self) -> dict[str, Any]:
        """For the page: ``kind`` (which chooses its script), ``classes``, whether there are ``samples``, and more."""

    def read(self, body: bytes) -> NDArray[np.uint8]:
        """The word ``[1, *shape]`` that a request asks for; InputError, which says what is accepted, otherwise."""

    def sample(self, number: int) -> dict[str, Any]:
        """The sample with a number (modulo how many there are), ``label`` among it; InputError where there is none."""


def find_task(network: Network, *, clips: Path | None = None) -> Task:
    """The task that ``network`` fits; ``clips`` is a Speech Commands folder, for speech only. Raises InputError."""
    if _fits(network, SpeechTask):
        return SpeechTask(clips)
    if not _fits(network, DigitsTask):
        raise InputError(
            f"{network.name}: takes {_size(network.input.shape)} {network.input.dtype} and gives "
            f"{network.output.size} values; accepted: {_accepted(DigitsTask)} (digits, digits-tiny), "
            f"{_accepted(SpeechTask)} (speech: gsc)"
        )
    if clips is not None:
        raise InputError(f"--clips {clips}: {network.name} recognises digits; clips are for a speech network (gsc)")
    return DigitsTask()


def _fits(network: Network, task: type[DigitsTask | SpeechTask]) -> bool:
    return (network.input.shape, network.input.dtype, network.output.size) == (task.shape, "uint8", len(task.classes))


def _accepted(task: type[DigitsTask | SpeechTask]) -> str:
    return f"{_size(task.shape)} uint8 and {len(task.classes)} scores"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))

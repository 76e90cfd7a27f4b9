"""What the page asks a speech network: one second of sound, spoken, from a file, or a clip of the test split."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.datasets.mel import BANDS, FRAMES, log_mel
from cs_hdl.datasets.speech import read_clip
from cs_hdl.datasets.speech_commands import CLASSES, SAMPLE_RATE, list_clips, name_of_set
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SpeechTask"]

#: The order in which clips are shown: neighbours in a list of clips are the same word.
_SEED = 1
_SAMPLE = np.dtype("<i2")


class SpeechTask:
    """A request is one second: 16,000 samples, 16-bit integers, the low byte first, and nothing else.

    ``folder`` is a Speech Commands folder, whose test split gives the samples; without it there are none. Raises
    InputError, which names the folder, where it is none.
    """

    shape = (BANDS, FRAMES, 1)
    classes = CLASSES
    most_bytes = SAMPLE_RATE * _SAMPLE.itemsize

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        clips = () if folder is None else list_clips(folder, "test")
        self._clips = [clips[index] for index in np.random.default_rng(_SEED).permutation(len(clips))]

    def describe(self) -> dict[str, Any]:
        """What the page needs to record and play sound."""
        return {
            "kind": "speech",
            "classes": list(self.classes),
            "samples": len(self._clips) > 0,
            "clips": "" if self._folder is None else f"{name_of_set(self._folder)}, test split",
            "bands": BANDS,
            "frames": FRAMES,
            "rate": SAMPLE_RATE,
        }

    def read(self, body: bytes) -> NDArray[np.uint8]:
        """The features ``[1, 32, 32, 1]`` of the second that is sent, as in training. Raises InputError."""
        if len(body) != self.most_bytes:
            raise InputError(
                f"the request has {len(body)} bytes; accepted: {SAMPLE_RATE} samples of 16 bits, the low byte first "
                f"({self.most_bytes} bytes)"
            )
        return log_mel(np.frombuffer(body, dtype=_SAMPLE).astype(np.int16)[np.newaxis])

    def sample(self, number: int) -> dict[str, Any]:
        """Class, place and samples (as a request has them, in base 64) of a test clip, round and round."""
        if self._folder is None:
            raise InputError("no clips are here; start with cs-hdl live --clips FOLDER (a Speech Commands folder)")
        clip = self._clips[number % len(self._clips)]
        return {
            "label": self.classes[clip.label],
            "name": clip.path.relative_to(self._folder).as_posix(),
            "start": clip.start / SAMPLE_RATE,
            "samples": base64.b64encode(read_clip(clip).astype(_SAMPLE).tobytes()).decode(),
        }

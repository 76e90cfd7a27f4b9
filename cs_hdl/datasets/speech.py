"""Features and labels of a speech folder, computed once: the cache is found by the content of the clips."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import wavfile

from cs_hdl.datasets.mel import BANDS, FRAMES, log_mel
from cs_hdl.datasets.speech_commands import SAMPLE_RATE, Clip, SpeechSplit, list_clips
from cs_hdl.errors import InputError
from cs_hdl.files import cache_root, write_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["cache_folder", "load_speech_split", "read_clip"]

#: Changes whenever the features do, so that old caches are not found.
_VERSION = "1"
_CHUNK = 128


def cache_folder() -> Path:
    """Where features are kept: ``cs-hdl/features`` below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return cache_root() / "features"


def load_speech_split(
    folder: Path,
    split: SpeechSplit,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Features uint8 ``[n, 32, 32, 1]`` and labels int64 ``[n]`` (0..11) of ``split`` of a Speech Commands folder.

    The features are kept below ``cache`` (default: :func:`cache_folder`) under a hash of all clips' bytes, so that
    a changed folder is computed anew. ``progress`` is called with the clips done and their number. Raises
    InputError for a folder that is no such set, and for a file that is no 16-bit mono WAV of 16 kHz.
    """
    clips = list_clips(folder, split)
    file = (cache or cache_folder()) / f"{_digest(clips, folder)[:32]}.npz"
    labels = np.array([clip.label for clip in clips], dtype=np.int64)
    features = _read_cache(file, len(clips))
    if features is None:
        parts = []
        for chunk in _chunks(clips):
            parts.append(log_mel(np.stack([read_clip(clip) for clip in chunk])))
            if progress is not None:
                progress(sum(map(len, parts)), len(clips))
        features = np.concatenate(parts)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, features=features)
        write_aside(file, buffer.getvalue())
    return features, labels


def read_clip(clip: Clip) -> NDArray[np.int16]:
    """One second, int16 ``[16000]``; zeros follow a shorter file, a longer one is cut."""
    try:
        rate, samples = wavfile.read(clip.path, mmap=clip.start > 0)
    except Exception as error:  # SciPy raises whatever the damaged header leads to
        raise InputError(f"{clip.path}: not a WAV file that can be read ({error})") from None
    if rate != SAMPLE_RATE or samples.dtype != np.int16 or samples.ndim != 1:
        kind = f"{samples.dtype}, {samples.ndim} dimensions, {rate} Hz"
        raise InputError(f"{clip.path}: {kind}; accepted: 16-bit mono WAV of {SAMPLE_RATE} Hz")
    second = samples[clip.start : clip.start + SAMPLE_RATE]
    return np.pad(second, (0, SAMPLE_RATE - len(second)))


def _chunks(clips: tuple[Clip, ...]) -> Iterator[tuple[Clip, ...]]:
    for start in range(0, len(clips), _CHUNK):
        yield clips[start : start + _CHUNK]


def _digest(clips: tuple[Clip, ...], folder: Path) -> str:
    """SHA-256 over names, places, labels and the bytes of every file."""
    total, contents = hashlib.sha256(f"{_VERSION} {BANDS} {FRAMES}".encode()), dict[Path, bytes]()
    for clip in clips:
        if clip.path not in contents:
            try:
                contents[clip.path] = hashlib.sha256(clip.path.read_bytes()).digest()
            except OSError as error:
                raise InputError(f"{clip.path}: cannot be read ({error.strerror or error})") from None
        total.update(f"{clip.path.relative_to(folder)} {clip.start} {clip.label} ".encode() + contents[clip.path])
    return total.hexdigest()


def _read_cache(path: Path, count: int) -> NDArray[np.uint8] | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            features: NDArray[Any] = data["features"]
    except Exception:  # absent or damaged: as if it had never been there
        return None
    whole = features.dtype == np.uint8 and features.shape == (count, BANDS, FRAMES, 1)
    return features if whole else None

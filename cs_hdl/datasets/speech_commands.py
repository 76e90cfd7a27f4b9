"""Google Speech Commands as it is distributed: a folder a word, WAV files of one second, background noise.

The paths, the split by a hash of the file's name and the twelve classes are those of the data set's own
description (P. Warden, arXiv 1804.03209): ten words, "silence" cut from ``_background_noise_``, and "unknown"
drawn from all other words. ``unknown`` and ``silence`` are a tenth as many as the ten words together, in each split.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from cs_hdl.errors import InputError

__all__ = [
    "BACKGROUND",
    "CLASSES",
    "SAMPLE_RATE",
    "WORDS",
    "Clip",
    "SpeechSplit",
    "list_clips",
    "name_of_set",
    "which_split",
]

SpeechSplit = Literal["train", "validation", "test"]
SAMPLE_RATE = 16_000
BACKGROUND = "_background_noise_"
#: The words to be told apart.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
#: The twelve of the usual task, in the order of the network's scores.
CLASSES = (*WORDS, "silence", "unknown")
#: "silence" and "unknown", each, as a share of the ten words' clips.
_OTHERS = 0.1
# A name's hash counts modulo this; part of the data set's definition.
_HASH_RANGE = 2**27


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One second of sound: the file ``path``, from sample ``start`` on, that belongs to class ``label`` (0..11)."""

    path: Path
    label: int
    start: int = 0


def which_split(name: str, *, validation: float = 10.0, test: float = 10.0) -> SpeechSplit:
    """The split (shares in percent) of the file ``name``, by the hash of what stands before ``_nohash_``.

    That is the speaker, so that nobody is in two splits, and files that are added later move no other.
    """
    speaker = re.sub(r"_nohash_.*$", "", Path(name).name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % _HASH_RANGE
    percent = number * (100.0 / (_HASH_RANGE - 1))
    if percent < validation:
        return "validation"
    return "test" if percent < validation + test else "train"


def name_of_set(folder: Path) -> str:
    """What to call the data set in ``folder``: synthetic speech never passes for recordings."""
    kind = "synthetic speech" if (folder / "synthesis.json").is_file() else "speech"
    return f"{kind} in {folder.name}"


def list_clips(folder: Path, split: SpeechSplit, *, seed: int = 59185) -> tuple[Clip, ...]:
    """The clips of ``split``: all of the ten words, and drawn by ``seed`` as many others as the module says.

    Sorted by class and path. Raises InputError where ``folder`` is no such data set or lacks a word.
    """
    if split not in get_args(SpeechSplit):
        raise InputError(f"no split {split!r}: choose one of {', '.join(get_args(SpeechSplit))}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give an unpacked Speech Commands data set")
    missing = [word for word in WORDS if not (folder / word).is_dir()]
    if missing:
        raise InputError(
            f"{folder}: no folder {missing[0]!r}; a Speech Commands data set has one for each word ({', '.join(WORDS)})"
        )
    clips = [Clip(path=path, label=label) for label, word in enumerate(WORDS) for path in _files(folder / word, split)]
    if not clips:
        raise InputError(f"{folder}: none of its WAV files belongs to the split {split!r}")
    count = max(1, round(len(clips) * _OTHERS))
    # A generator for each split: what is drawn for one does not depend on the others.
    generator = np.random.default_rng([seed, get_args(SpeechSplit).index(split)])
    clips += _silence(folder, count, generator)
    return (*clips, *_unknown(folder, split, count, generator))


def _files(folder: Path, split: SpeechSplit) -> list[Path]:
    return [path for path in sorted(folder.glob("*.wav")) if which_split(path.name) == split]


def _unknown(folder: Path, split: SpeechSplit, count: int, generator: np.random.Generator) -> list[Clip]:
    others = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name not in WORDS]
    files = [file for other in others if not other.name.startswith("_") for file in _files(other, split)]
    if not files:
        return []
    chosen = generator.choice(len(files), size=min(count, len(files)), replace=False)
    return [Clip(path=files[index], label=CLASSES.index("unknown")) for index in sorted(chosen)]


def _silence(folder: Path, count: int, generator: np.random.Generator) -> list[Clip]:
    """Seconds at random places of the background noise."""
    files = sorted((folder / BACKGROUND).glob("*.wav"))
    # A WAV header has 44 bytes or more, a sample two: this many places at most lie whole within the file.
    rooms = [max(0, (file.stat().st_size - 44) // 2 - SAMPLE_RATE) for file in files]
    if not files:
        return []
    clips = []
    for number in generator.integers(len(files), size=count):
        start = int(generator.integers(rooms[number] + 1))
        clips.append(Clip(path=files[number], label=CLASSES.index("silence"), start=start))
    return clips

"""``--data``: words and labels to measure a model's accuracy on."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from cs_hdl.datasets.digits import load_digits_split
from cs_hdl.datasets.speech import load_speech_split
from cs_hdl.datasets.speech_commands import SpeechSplit, name_of_set
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LabelledWords", "load_labelled"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledWords:
    """``words`` integers ``[n, height, width, channels]``, ``labels`` int64 ``[n]``; ``name`` says what they are."""

    name: str
    words: NDArray[Any]
    labels: NDArray[np.int64]


def load_labelled(
    data: str, *, split: str = "test", progress: Callable[[int, int], None] | None = None
) -> LabelledWords:
    """The ``split`` of ``data``: "digits", a Speech Commands folder, or an .npz with x and y (which has no splits).

    Raises InputError, naming the file and what would be accepted, for anything else.
    """
    if split not in get_args(SpeechSplit):
        raise InputError(f"--split {split}: choose one of {', '.join(get_args(SpeechSplit))}")
    path = Path(data)
    if data == "digits":
        words, labels = load_digits_split(split)  # type: ignore[arg-type]
        return LabelledWords(name=f"digits, {split} split", words=words, labels=labels)
    if path.is_dir():
        words, labels = load_speech_split(path, split, progress=progress)  # type: ignore[arg-type]
        return LabelledWords(name=f"{name_of_set(path)}, {split} split", words=words, labels=labels)
    if path.suffix == ".npz":
        return _from_npz(path)
    raise InputError(f"--data {data}: give digits, a Speech Commands folder, or an .npz file with x and y")


def _from_npz(path: Path) -> LabelledWords:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("x", "y") if name not in arrays]
            if missing:
                found = ", ".join(arrays.files) or "nothing"
                raise InputError(
                    f"{path}: holds no array {missing[0]!r} (but {found}); numpy.savez(FILE, x=..., y=...)"
                )
            words, labels = arrays["x"], arrays["y"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not an .npz file of numbers ({error})") from None
    if words.dtype.kind not in "iu" or words.ndim != 4:
        raise InputError(
            f"{path}: x is {words.dtype} {list(words.shape)}; accepted: integers [words, height, width, channels]"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(words),) or not len(words):
        raise InputError(
            f"{path}: y is {labels.dtype} {list(labels.shape)}; accepted: integers [{len(words)}], a class a word"
        )
    return LabelledWords(name=path.name, words=words, labels=labels.astype(np.int64))

"""The data of the speech network's training: features and labels of each split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from torch import Tensor

from cs_hdl.datasets.evaluation import load_labelled
from cs_hdl.datasets.speech_commands import SpeechSplit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MEASURED", "Data", "as_tensor", "read_data"]

#: The splits that accuracies are told of.
MEASURED: tuple[SpeechSplit, ...] = ("validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Features uint8 ``[n, 32, 32, 1]`` and labels int64 ``[n]`` of each split."""

    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    validation: tuple[NDArray[np.uint8], NDArray[np.int64]]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all features and labels."""
        total = hashlib.sha256()
        for images, labels in (self.train, self.validation, self.test):
            total.update(images.tobytes() + labels.tobytes())
        return total.hexdigest()


def read_data(folder: Path) -> tuple[Data, str]:
    """The splits of a Speech Commands folder, and what the data are called. Errors as of load_labelled."""
    splits = {split: load_labelled(str(folder), split=split) for split in get_args(SpeechSplit)}
    return Data(**{split: (found.words, found.labels) for split, found in splits.items()}), splits["test"].name


def as_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 ``[n, height, width, 1]`` as a tensor of bytes ``[n, 1, height, width]``."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

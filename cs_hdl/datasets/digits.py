"""Handwritten digits: the 1,797 images of 8x8 pixels that scikit-learn carries, split by a fixed rule.

The rule looks at nothing but an image's place in scikit-learn's order, and was fixed before any
training: index % 5 == 4 is the test split, index % 5 == 3 the validation split, the rest is for
training. (scikit-learn's order goes writer by writer, so each writer is in all three splits: the
accuracy is that for writers who were seen in training.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "SPLIT_RULE", "Split", "load_digits_split"]

Split = Literal["train", "validation", "test"]

#: Number of classes: the digits 0 to 9.
CLASSES = 10

#: Which remainders of an image's index, divided by 5, belong to each split.
SPLIT_RULE: dict[Split, tuple[int, ...]] = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}


def load_digits_split(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 ``[n, 8, 8, 1]`` (0 background .. 16 ink) and labels int64 ``[n]`` (0..9), in index order.

    Raises InputError for a split that does not exist, and ToolError where scikit-learn is missing.
    """
    if split not in SPLIT_RULE:
        raise InputError(f"no split {split!r} of the digits: choose one of {', '.join(get_args(Split))}")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ToolError(
            "the handwritten digits come with scikit-learn, which is not installed: pip install 'cs-hdl[digits]'"
        ) from error
    data = load_digits()
    chosen = np.isin(np.arange(data.target.size) % 5, SPLIT_RULE[split])
    images = data.images[chosen].astype(np.uint8)[..., np.newaxis]
    return images, data.target[chosen].astype(np.int64)

"""What the page asks a network of digits: an image of 8x8 pixels, drawn or from the test split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.datasets.digits import CLASSES, load_digits_split
from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PIXELS", "DigitsTask"]

#: Height and width of an image, and the darkest ink: the digits of scikit-learn.
PIXELS, INK = 8, 16


class DigitsTask:
    """A request is ``{"pixels": [64 integers 0..16, row by row]}``; the samples are there with scikit-learn only."""

    shape = (PIXELS, PIXELS, 1)
    classes = tuple(map(str, range(CLASSES)))
    #: An image is some hundred bytes.
    most_bytes = 10_000

    def __init__(self) -> None:
        try:
            self._images, self._labels = load_digits_split("test")
        except ToolError:
            self._images, self._labels = np.zeros((0, *self.shape), np.uint8), np.zeros(0, np.int64)

    def describe(self) -> dict[str, Any]:
        """What the page needs to draw digits."""
        return {
            "kind": "digits",
            "classes": list(self.classes),
            "samples": len(self._images) > 0,
            "pixels": PIXELS,
            "ink": INK,
        }

    def read(self, body: bytes) -> NDArray[np.uint8]:
        """The image ``[1, 8, 8, 1]`` that is asked for. Raises InputError for anything else."""
        pixels = _pixels(body)
        count = PIXELS * PIXELS
        if not isinstance(pixels, list) or len(pixels) != count:
            raise InputError(f"pixels must be a list of {count} integers")
        if not all(type(value) is int and 0 <= value <= INK for value in pixels):
            raise InputError(f"pixels must be integers 0..{INK}")
        return np.array(pixels, dtype=np.uint8).reshape(1, *self.shape)

    def sample(self, number: int) -> dict[str, Any]:
        """Pixels and label of a test image, from the first on again behind the last."""
        if not len(self._images):
            raise InputError("the test images come with scikit-learn: pip install 'cs-hdl[digits]'")
        index = number % len(self._images)
        return {"pixels": self._images[index].reshape(-1).tolist(), "label": self.classes[self._labels[index]]}


def _pixels(body: bytes) -> Any:
    try:
        content = json.loads(body)
    except ValueError:
        raise InputError("the request is not JSON") from None
    if not isinstance(content, dict) or "pixels" not in content:
        raise InputError('the request must be {"pixels": [...]}')
    return content["pixels"]

"""``--scale``: the text of a requantisation to its multipliers and shifts."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.fixedpoint import MAX_MULTIPLIER, MAX_SHIFT, scale_to_multiplier
from cs_hdl.frontend.arrays import load_array
from cs_hdl.network import Requantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_scale"]

_RATIO = re.compile(r"(\d+)\s*/\s*(?:2\s*(?:\^|\*\*)\s*(\d+)|(\d+))")
_FORMS = "M/2^S (such as 3/2^10), a number above 0, or FILE.npy (float [channels], or int [channels, 2] of M and S)"


def parse_scale(text: str, *, channels: int) -> Requantise:
    """The uint8 requantisation that ``text`` means, for a layer of ``channels`` outputs.

    ``M/2^S`` (or ``M/N``, N a power of two) is taken as it is; a decimal number becomes the nearest
    M / 2**S; ``FILE.npy`` gives each channel its own. Raises InputError for anything else.
    """
    if text.endswith(".npy"):
        return _from_array(load_array(Path(text), what="scale"), text, channels)
    match = _RATIO.fullmatch(text.strip())
    if match:
        multiplier = int(match.group(1))
        shift = int(match.group(2)) if match.group(2) is not None else int(match.group(3)).bit_length() - 1
        if match.group(3) is not None and int(match.group(3)) != 1 << max(shift, 0):
            raise InputError(f"--scale {text}: {match.group(3)} is no power of two; give {_FORMS}")
        return _requantise([multiplier], [shift], f"--scale {text}")
    try:
        return _nearest([float(text)], f"--scale {text}")
    except ValueError:
        raise InputError(f"--scale {text}: give {_FORMS}") from None


def _from_array(array: NDArray[Any], path: str, channels: int) -> Requantise:
    if np.issubdtype(array.dtype, np.floating) and array.shape in ((), (1,), (channels,)):
        return _nearest([float(value) for value in np.atleast_1d(array)], path)
    if np.issubdtype(array.dtype, np.integer) and array.shape in ((1, 2), (channels, 2)):
        return _requantise(array[:, 0].tolist(), array[:, 1].tolist(), path)
    raise InputError(
        f"{path}: {array.dtype} {list(array.shape)}; a scale is float [{channels}] or int [{channels}, 2] (M and S)"
    )


def _nearest(scales: list[float], where: str) -> Requantise:
    pairs = []
    for index, scale in enumerate(scales):
        try:
            pairs.append(scale_to_multiplier(scale))
        except ValueError as error:
            raise InputError(f"{where}: channel {index}: {error}" if len(scales) > 1 else f"{where}: {error}") from None
    return _requantise([m for m, _ in pairs], [s for _, s in pairs], where)


def _requantise(multipliers: list[int], shifts: list[int], where: str) -> Requantise:
    pairs = [_reduced(*pair) for pair in zip(multipliers, shifts, strict=True)]
    for multiplier, shift in pairs:
        if not (1 <= multiplier <= MAX_MULTIPLIER and 0 <= shift <= MAX_SHIFT):
            raise InputError(
                f"{where}: M = {multiplier}, S = {shift}; M must be 1..{MAX_MULTIPLIER} and S 0..{MAX_SHIFT}"
            )
    return Requantise(multiplier=np.array([m for m, _ in pairs]), shift=np.array([s for _, s in pairs]))


def _reduced(multiplier: int, shift: int) -> tuple[int, int]:
    """The same M / 2**S in lowest terms: a power of two costs the hardware only a shift."""
    if multiplier < 1 or not 0 <= shift < 1024:
        return multiplier, shift
    ratio = Fraction(multiplier, 1 << shift)
    return ratio.numerator, ratio.denominator.bit_length() - 1

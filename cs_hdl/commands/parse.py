"""The texts of options to numbers: ``5x5``, ``T,L,B,R``, ``N:STRIDE:PADDING``."""

from __future__ import annotations

import re

from cs_hdl.errors import InputError
from cs_hdl.frontend.kernel import PoolOptions

__all__ = ["parse_max_pool", "parse_padding", "parse_pair"]


def parse_pair(option: str, text: str, *, single: bool = False) -> tuple[int, int]:
    """``HxW`` as (H, W); with ``single`` a lone number counts for both."""
    match = re.fullmatch(r"(\d+)\s*[xX]\s*(\d+)", text.strip())
    if match:
        return int(match.group(1)), int(match.group(2))
    if single and re.fullmatch(r"\d+", text.strip()):
        return int(text), int(text)
    form = "a number, or two as in 2x1" if single else "two numbers as in 5x5 (height x width)"
    raise InputError(f"{option} {text}: give {form}")


def parse_padding(text: str) -> tuple[int, int, int, int]:
    """``N`` for all sides, or ``TOP,LEFT,BOTTOM,RIGHT``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 4) or not all(re.fullmatch(r"\d+", part) for part in parts):
        raise InputError(f"--padding {text}: give one number for all sides, or TOP,LEFT,BOTTOM,RIGHT")
    numbers = [int(part) for part in parts]
    top, left, bottom, right = numbers * 4 if len(numbers) == 1 else numbers
    return top, left, bottom, right


def parse_max_pool(text: str) -> PoolOptions:
    """``N``, ``N:STRIDE`` or ``N:STRIDE:PADDING``; the stride is N unless it is given."""
    match = re.fullmatch(r"(\d+)(?::(\d+)(?::(\d+))?)?", text.strip())
    if not match:
        raise InputError(f"--max-pool {text}: give N, N:STRIDE or N:STRIDE:PADDING")
    kernel = int(match.group(1))
    stride = int(match.group(2)) if match.group(2) else kernel
    return PoolOptions(kernel=kernel, stride=stride, padding=int(match.group(3) or 0))

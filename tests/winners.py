"""The rule of every k-WTA, as the tests of its components know it."""

from __future__ import annotations


def golden(values: list[int], winners: int) -> list[tuple[int, int]]:
    """(index, value) of the winners in the order of indices: largest first, of equal ones the lower index."""
    ranked = sorted(range(len(values)), key=lambda index: (-values[index], index))
    return sorted((index, values[index]) for index in ranked[:winners])

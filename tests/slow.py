"""Cases that scripts/test leaves to scripts/prove, so that it stays below a quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["quick_first"]


def quick_first(cases: Iterable[Any], count: int) -> list[Any]:
    """``cases``, those behind the first ``count`` marked as slow."""
    return [
        case if number < count else pytest.param(*_arguments(case), marks=pytest.mark.slow_proof)
        for number, case in enumerate(cases)
    ]


def _arguments(case: Any) -> tuple[Any, ...]:
    """What a case gives to each of the names that it is for."""
    return case if isinstance(case, tuple) else (case,)

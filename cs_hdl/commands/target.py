"""``--board`` and ``--device``: what is planned for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cs_hdl.board.catalogue import device_limits, find_board
from cs_hdl.errors import InputError
from cs_hdl.plan.device_limits import DeviceLimits

__all__ = ["DEFAULT_BOARD", "Target", "cycles_for_rate", "find_target"]

DEFAULT_BOARD = "ulx3s-85f"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to plan for; ``clock_mhz`` is None where no board was named."""

    limits: DeviceLimits
    clock_mhz: float | None


def find_target(*, board: str | None, device: str | None) -> Target:
    """The board's or the device's limits (the default board's without either); InputError for unknown names."""
    if board is not None and device is not None:
        raise InputError("--board and --device exclude each other: a board has its device")
    if device is None:
        found = find_board(board or DEFAULT_BOARD)
        return Target(limits=found.limits, clock_mhz=found.clock_mhz)
    return Target(limits=device_limits(device), clock_mhz=None)


def cycles_for_rate(target: Target, words_per_second: float, cycles: int | None) -> int:
    """The most cycles a word that still give ``words_per_second`` at the target's clock."""
    if cycles is not None:
        raise InputError("--cycles and --words-per-second exclude each other")
    if target.clock_mhz is None:
        raise InputError("--words-per-second needs --board: a device alone has no clock")
    if not (math.isfinite(words_per_second) and words_per_second > 0):
        raise InputError(f"--words-per-second {words_per_second}: must be above 0")
    most = math.floor(target.clock_mhz * 1e6 / words_per_second)
    if most < 1:
        raise InputError(
            f"--words-per-second {words_per_second:g}: more than one word a cycle at {target.clock_mhz:g} MHz"
        )
    return most

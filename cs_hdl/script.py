"""How a script that is no command of cs-hdl ends: a user's mistake is one line and its exit code, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cs_hdl.errors import INTERRUPTED, CsHdlError

__all__ = ["run_script", "say", "say_passing"]

_BEGIN = "\r\033[K"  # the begin of the line, which is cleared


def run_script(name: str, work: Callable[[], object]) -> int:
    """Do ``work``; gives the exit code, errors go to standard error behind the script's ``name``."""
    try:
        work()
    except CsHdlError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """A line to standard error, in the place of what was passing there."""
    print(f"{_BEGIN}{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


def say_passing(text: str) -> None:
    """Progress to standard error: on a terminal the next one takes its place, in a file each is a line."""
    print(f"{_BEGIN}{text}" if sys.stderr.isatty() else f"{text}\n", end="", file=sys.stderr, flush=True)

"""How a script that is no command of cs-hdl ends: a user's mistake is one line and its exit code, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cs_hdl.errors import CsHdlError

__all__ = ["run_script"]


def run_script(name: str, work: Callable[[], object]) -> int:
    """Do ``work``; gives the exit code, errors go to standard error behind the script's ``name``."""
    try:
        work()
    except CsHdlError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0

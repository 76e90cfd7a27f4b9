"""Runs one tool in the build folder, its output in a log file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from cs_hdl.build.tools import Tool
from cs_hdl.errors import ToolError

__all__ = ["run_tool", "stop_tools"]

_TAIL_LINES = 12
#: The processes that run now, maybe in several threads.
_running: set[subprocess.Popen[str]] = set()


def stop_tools() -> None:
    """Kill all tools that run, for whoever started them in threads: only the main one gets Ctrl-C."""
    for process in tuple(_running):
        process.kill()


def run_tool(
    tool: Tool,
    arguments: list[str],
    *,
    folder: Path,
    log: str,
    watch: Callable[[str], None] = lambda line: None,
) -> None:
    """Run ``tool`` in ``folder``; ``arguments`` name files relative to it.

    (The tools of YoWASP see a /tmp of their own, so no absolute paths.) What it prints goes to
    ``folder / log`` and, line by line as it comes, to ``watch``. Raises ToolError, with the end of
    that, where it fails.
    """
    path = folder / log
    try:
        process = subprocess.Popen(
            [*tool.command, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A hash seed of the user's must not change what a tool gives.
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
    except OSError as error:
        raise ToolError(f"{tool.name} ({tool.origin}) cannot be started: {error}") from None
    with process, path.open("w", buffering=1) as output:  # line by line: somebody may be reading it
        _running.add(process)
        try:
            for line in process.stdout or ():
                output.write(line)
                watch(line)
        except BaseException:  # Ctrl-C as well: the tool must not go on alone
            process.kill()
            raise
        finally:
            _running.discard(process)
    if process.returncode:
        lines = path.read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]
        tail = "\n".join(errors[-3:] or lines[-_TAIL_LINES:])
        raise ToolError(f"{tool.name} failed (exit {process.returncode}):\n{tail}")

"""Standard output for results, standard error for progress and errors."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cs_hdl.errors import CsHdlError

__all__ = ["Steps", "end_with_us", "errors", "human_time", "output", "print_json", "run_command", "show_error"]

#: Where the output is no terminal it gets this width, so that no table is squeezed.
_WIDTH = 100


def output() -> Console:
    """The console of the results."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


def errors() -> Console:
    """The console of progress and errors."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH, highlight=False)


def print_json(content: dict[str, Any]) -> None:
    """``content`` as the only object on standard output."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def human_time(seconds: float) -> str:
    """``seconds`` as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def end_with_us() -> None:
    """Let SIGTERM end this program as Ctrl-C does: what runs below it ends with it, and half-written folders go."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def run_command(command: Callable[..., None]) -> NoReturn:
    """Run the Typer ``command`` of a script of its own; errors and signals end it as they end cs-hdl."""
    end_with_us()
    try:
        typer.run(command)
    except CsHdlError as error:
        show_error(str(error))
        sys.exit(error.exit_code)
    sys.exit(0)


def show_error(message: str) -> None:
    """``message`` on standard error, as it is (brackets are no markup)."""
    text = Text("Error: ", style="bold red")
    text.append(message, style="not bold default")
    errors().print(text, soft_wrap=True)


class Steps:
    """Tells on standard error what is being done and how long each step took.

    Used as ``with Steps() as step: step("packing"); ...``: a step ends where the next one begins.
    Between, a terminal shows a spinner with the time elapsed.
    """

    def __init__(self) -> None:
        self._console = errors()
        self._name = ""
        self._detail = ""
        self._since = 0.0
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(failed=kind is not None)

    def __call__(self, name: str) -> None:
        """Begin the step ``name``; the same name again goes on with the step.

        What follows a " · " in the name tells how far the step is, and what came of it.
        """
        name, _, detail = name.partition(" · ")
        if name == self._name:
            self._detail = detail
            if self._progress is not None:
                self._progress.update(self._task, description=self._text)
            return
        self._end(failed=False)
        self._name, self._detail, self._since = name, detail, time.monotonic()
        if self._console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._progress.start()
            self._task = self._progress.add_task(self._text, total=None)

    @property
    def _text(self) -> str:
        return f"{self._name} · {self._detail}" if self._detail else self._name

    def _end(self, *, failed: bool) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._name:
            mark = "[red]✗[/]" if failed else "[green]✓[/]"
            elapsed = human_time(time.monotonic() - self._since)
            self._console.print(f" {mark} {self._text}[dim] · {elapsed}[/]", soft_wrap=True)
            self._name = ""

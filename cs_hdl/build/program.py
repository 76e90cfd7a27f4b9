"""Loads a bitstream into a board with openFPGALoader."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cs_hdl.board.catalogue import Board
from cs_hdl.build.family import FAMILIES
from cs_hdl.build.tools import Tool, require_tool
from cs_hdl.errors import InputError, ToolError

__all__ = ["find_bitstream", "program_arguments", "program_board"]

_RULES = "https://trabucayre.github.io/openFPGALoader/guide/install.html#udev-rules"
#: What openFPGALoader (or the system) says, and what helps.
_ADVICE = (
    (
        ("error while loading shared libraries",),
        "a library is missing; on Debian or Ubuntu: apt-get install libusb-1.0-0 libftdi1-2",
    ),
    (
        ("usb_open() failed", "LIBUSB_ERROR_ACCESS", "Permission denied", "inappropriate permissions"),
        f"your user may not open the USB device: add openFPGALoader's udev rules ({_RULES}), plug the board in again",
    ),
    (
        ("device not found", "No such device", "cable not found", "can't open", "JTAG init failed"),
        "no board was found: is it connected (with a cable that has data lines), and is it this one?",
    ),
)
_TAIL_LINES = 4


def find_bitstream(design: Path, board: Board) -> Path:
    """The bitstream that ``cs-hdl build`` made of ``design`` for ``board``; InputError where there is none."""
    path = design / "build" / board.name / FAMILIES[board.family].bitstream
    if not path.is_file():
        raise InputError(f"{path}: no bitstream; make it: cs-hdl build {design} --board {board.name}")
    return path


def program_arguments(board: Board, bitstream: Path, *, flash: bool, cable: str | None) -> list[str]:
    """openFPGALoader's; InputError where it neither knows the board nor was told of a ``cable``."""
    options = list(board.program)
    if cable is not None:
        if "--cable" in options:
            at = options.index("--cable")
            del options[at : at + 2]
        options += ["--cable", cable]
    if not options:
        raise InputError(
            f"openFPGALoader has no entry for {board.name}: name your programmer with --cable (openFPGALoader "
            "--list-cables), or load the bitstream with the board's own tool"
        )
    # An iCE40's configuration is always read from the flash by the boards that are known here.
    return [*options, *(["--write-flash"] if flash else []), str(bitstream)]


def program_board(arguments: Sequence[str], *, tool: Tool | None = None) -> str:
    """Run openFPGALoader; gives what it printed. Raises ToolError, saying what helps, where it is missing or fails."""
    found = tool or require_tool("openFPGALoader")
    try:
        result = subprocess.run(
            [*found.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ToolError(f"openFPGALoader ({found.origin}) cannot be started: {error}") from None
    if result.returncode:
        raise ToolError(_failure(result.stdout, result.returncode))
    return result.stdout


def _failure(text: str, code: int) -> str:
    tail = " / ".join(line.strip() for line in text.strip().splitlines()[-_TAIL_LINES:])
    advice = next((help for words, help in _ADVICE if any(word in text for word in words)), "")
    return f"openFPGALoader failed (exit {code}): {tail or 'it said nothing'}" + (f"; {advice}" if advice else "")

"""The table of all boards: what was built for each, from the records below docs/results."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import InputError
from cs_hdl.report.marked import put_between

if TYPE_CHECKING:
    from cs_hdl.board.catalogue import Board

__all__ = ["BEGIN", "END", "board_table", "find_record", "marked_boards", "with_table"]

BEGIN, END = "<!-- boards: begin -->", "<!-- boards: end -->"
_HEAD = (
    "| board | chip | model | cycles an image | clock | images/s | LUT | DSP | block RAM | Fmax |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
_MARK = "†"
_EARLIER = (
    f"{_MARK} Built from the Verilog of an earlier version, whose commit the record names: what cs-hdl makes now was "
    "not placed and routed for this board yet. `scripts/boards BOARD` does it."
)


def find_record(results: Path, board: Board) -> dict[str, Any] | None:
    """What is on record for ``board``: its own build, or the evidence of its largest model; None without either.

    Raises InputError for a damaged record.
    """
    own = results / "boards" / f"{board.name}.json"
    evidence = (results / f"{model}-{board.name}.json" for model in board.models)
    for path in (own, *evidence):
        if path.is_file():
            return _read(path)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        report = record["report"]
        for key in ("board", "cycles_per_word", "clock_mhz", "words_per_second", "fmax_mhz", "available"):
            report[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the record of a build ({error!r}); make it again: scripts/boards") from None
    # Evidence of scripts/evidence says the model in its name.
    return {"model": path.stem.removesuffix(f"-{report['board']}")} | record


def board_table(boards: Sequence[Board], results: Path, *, earlier: Collection[str] = ()) -> str:
    """Markdown: a line for each of ``boards``; those in ``earlier`` are marked as built from Verilog of before."""
    lines = [_line(board, find_record(results, board), mark=board.name in earlier) for board in boards]
    return "\n".join((*_HEAD, *lines, *(("", _EARLIER) if earlier else ())))


def marked_boards(page: str) -> set[str]:
    """The boards that the table in ``page`` says to have a record of earlier Verilog."""
    return set(re.findall(rf"^\| `([^`]+)` {_MARK} \|", page, flags=re.MULTILINE))


def _line(board: Board, record: dict[str, Any] | None, *, mark: bool) -> str:
    cells = [f"`{board.name}`{f' {_MARK}' if mark else ''}", board.device]
    if record is None:
        models = ", ".join(board.models) or "none"
        return f"| {' | '.join([*cells, f'not built yet (fits: {models})', *[''] * 7])} |"
    report, available = record["report"], record["report"]["available"]
    source = " (oscillator)" if report.get("clock_source") == "oscillator" else ""
    used = [
        f"{report[kind]:,} of {available[kind]:,}" if available[kind] else "none on the chip"
        for kind in ("lut", "dsp", "block_ram")
    ]
    cells += [
        record["model"],
        f"{report['cycles_per_word']:,}",
        f"{report['clock_mhz']:.1f} MHz{source}",
        f"**{report['words_per_second']:,.0f}**",
        *used,
        f"{report['fmax_mhz']:.1f} MHz",
    ]
    return f"| {' | '.join(cells)} |"


def with_table(page: str, table: str) -> str:
    """``page`` with ``table`` between its two marks; InputError where they are missing."""
    return put_between(page, table, marks=(BEGIN, END), name="docs/boards.md", what="table")

"""The table of all boards: what is on record, and what of it is of Verilog of before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cs_hdl.board.catalogue import boards
from cs_hdl.commands import board_table as command
from cs_hdl.errors import InputError
from cs_hdl.report.board_table import BEGIN, END, board_table, find_record, marked_boards, with_table

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def test_the_table_of_the_docs_is_that_of_the_records():
    page = (RESULTS.parent / "boards.md").read_text()
    made = with_table(page, board_table(boards(), RESULTS, earlier=marked_boards(page)))
    assert made == page, "scripts/boards makes it anew"


def test_boards_of_earlier_verilog_are_marked_and_explained():
    names = [board.name for board in boards()]
    table = board_table(boards(), RESULTS, earlier=names[1:3])
    assert marked_boards(table) == set(names[1:3]) and "† Built from" in table
    assert marked_boards(with_table(f"† `other`\n{BEGIN}\n{END}\n", table)) == set(names[1:3])
    plain = board_table(boards(), RESULTS)
    assert marked_boards(plain) == set() and "†" not in plain


def test_a_damaged_record_is_told_with_its_name(tmp_path):
    board = boards()[0]
    (tmp_path / "boards").mkdir()
    assert find_record(tmp_path, board) is None and "not built yet" in board_table([board], tmp_path)
    path = tmp_path / "boards" / f"{board.name}.json"
    path.write_text('{"report": {}}')
    with pytest.raises(InputError, match=f"{board.name}.json: not the record of a build"):
        board_table([board], tmp_path)


def test_the_mark_of_a_board_goes_with_its_own_build(tmp_path, monkeypatch):
    docs, names = tmp_path / "docs", [board.name for board in boards()[:3]]
    shutil.copytree(RESULTS / "boards", docs / "results" / "boards")
    page = docs / "boards.md"
    page.write_text(with_table(f"{BEGIN}\n{END}\n", board_table(boards(), docs / "results", earlier=names)))

    def build(board, **options):
        if board.name == names[1]:
            raise InputError("no")

    monkeypatch.setattr(command, "_build", build)
    with pytest.raises(InputError, match="no"):
        command.board_table_command(boards=names[:2], docs=docs)
    assert marked_boards(page.read_text()) == set(names[1:])

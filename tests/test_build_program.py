"""Loading a bitstream: which options openFPGALoader gets, and what is said where it fails (with stand-ins for it)."""

from __future__ import annotations

import json
import sys

import pytest

from cs_hdl.board.catalogue import find_board
from cs_hdl.build import program
from cs_hdl.build.program import find_bitstream, program_arguments, program_board
from cs_hdl.build.tools import Tool
from cs_hdl.cli import run
from cs_hdl.errors import InputError, ToolError


def stand_in(text: str, code: int) -> Tool:
    source = f"import sys; print({text!r}); sys.exit({code})"
    return Tool(
        name="openFPGALoader", needed_for="", command=(sys.executable, "-c", source), origin="here", version="1"
    )


def test_arguments(tmp_path):
    bits = tmp_path / "top.bit"
    assert program_arguments(find_board("ulx3s-85f"), bits, flash=False, cable=None) == ["--board", "ulx3s", str(bits)]
    flash = program_arguments(find_board("tang-nano-9k"), bits, flash=True, cable=None)
    assert flash == ["--board", "tangnano9k", "--write-flash", str(bits)]
    other = program_arguments(find_board("upduino-v3"), bits, flash=False, cable="ft2232")
    assert other == ["--board", "ice40_generic", "--cable", "ft2232", str(bits)]
    with pytest.raises(InputError, match="openFPGALoader has no entry for tinyfpga-bx: name your programmer"):
        program_arguments(find_board("tinyfpga-bx"), bits, flash=False, cable=None)


def test_the_bitstream_of_a_design(tmp_path):
    board = find_board("icebreaker")
    with pytest.raises(InputError, match=r"build/icebreaker/top\.bin: no bitstream; make it: cs-hdl build .* --board"):
        find_bitstream(tmp_path, board)
    folder = tmp_path / "build" / "icebreaker"
    folder.mkdir(parents=True)
    (folder / "top.bin").write_bytes(b"x")
    assert find_bitstream(tmp_path, board) == folder / "top.bin"


@pytest.mark.parametrize(
    ("text", "help"),
    [
        # What openFPGALoader 1.1.1 says without a board, and what libftdi says where the user may not open it.
        ("unable to open ftdi device: -3 (device not found)\nJTAG init failed with: ...", "no board was found"),
        ("unable to open ftdi device: -4 (usb_open() failed)\nJTAG init failed with: ...", "udev rules"),
        ("openFPGALoader: error while loading shared libraries: libusb-1.0.so.0", "apt-get install libusb-1.0-0"),
        ("", "it said nothing"),
    ],
)
def test_failures_say_what_helps(text, help):
    with pytest.raises(ToolError, match=r"openFPGALoader failed \(exit 1\)") as caught:
        program_board(["x"], tool=stand_in(text, 1))
    assert help in str(caught.value) and "\n" not in str(caught.value)


def test_a_tool_that_cannot_be_started():
    with pytest.raises(ToolError, match="cannot be started"):
        program_board([], tool=Tool(name="openFPGALoader", needed_for="", command=("/no/such/tool",), origin="there"))


def test_the_command(tmp_path, capsys, monkeypatch):
    bits = tmp_path / "x.bit"
    assert run(["program", "--board", "ulx3s-85f", "--bitstream", str(bits)]) == 2
    assert "x.bit: no such file" in capsys.readouterr().err
    assert run(["program", "--board", "ulx3s-85f"]) == 2
    assert "give the design directory, or --bitstream FILE" in capsys.readouterr().err
    bits.write_bytes(b"bits")
    monkeypatch.setattr(program, "require_tool", lambda name: stand_in("done", 0))
    assert run(["program", "--board", "ulx3s-85f", "--bitstream", str(bits), "--flash", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"board": "ulx3s-85f", "bitstream": str(bits), "flash": True}

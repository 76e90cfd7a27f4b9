# amaranth: UnusedElaboratable=no
"""The boards: every file is right, amaranth-boards agrees, and each top level elaborates with its pins."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cs_hdl.board.catalogue import boards, device_limits, find_board, load_board
from cs_hdl.board.clocks import settings_for
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.top import BoardTop, make_platform
from cs_hdl.build.family import FAMILIES
from cs_hdl.errors import InputError, ToolError
from cs_hdl.resources import data_folder

NAMES = [board.name for board in boards()]
#: Those that the users' scripts name.
CONTRACT_TEXT = """
    ulx3s-12f ulx3s-25f ulx3s-45f ulx3s-85f ecpix5-45f ecpix5-85f orangecrab-r0.2-25f orangecrab-r0.2-85f
    colorlight-5a75b versa-ecp5 logicbone ecp5-5g-evn icebreaker icebreaker-bitsy upduino-v3 hx8k-evn up5k-evn
    tinyfpga-bx tang-nano-9k tang-primer-20k
"""
GOOD = (data_folder("boards") / "ulx3s-85f.toml").read_text()


def test_names():
    assert set(CONTRACT_TEXT.split()) < set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    for path in data_folder("boards").glob("*.toml"):
        assert tomllib.loads(path.read_text())["name"] == path.stem


def test_find_board():
    assert find_board("ULX3S-85F").device == "LFE5U-85F"
    with pytest.raises(InputError, match=r"board ulx4s: unknown; known are colorlight-5a75b, .*ulx3s-85f"):
        find_board("ulx4s")


def test_a_board_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('name = "ulx3s-85f"', 'name = "mine"'))
    assert find_board(str(path)).name == "mine"
    with pytest.raises(InputError, match=r"other\.toml: cannot be read \(No such file"):
        find_board(str(tmp_path / "other.toml"))


def test_limits_are_the_same_for_a_board_and_its_device():
    for board in boards():
        assert device_limits(board.device) == board.limits


def test_device_limits():
    # Known although no board has it.
    assert device_limits("LFE5UM-85F").dsp == 156
    limits = device_limits("lfe5u-85f")
    assert (limits.name, limits.lut, limits.dsp, limits.block_ram) == ("LFE5U-85F", 83640, 156, 208)
    with pytest.raises(InputError, match=r"device XC7A35T: unknown; known are GW1NR-.*, LFE5U-12F, "):
        device_limits("XC7A35T")


def test_the_catalogue_does_without_amaranth():
    code = "import sys, cs_hdl.board.catalogue as c; c.boards(); sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


#: A port and its pin in the constraints of each family.
LOCATIONS = {
    "ecp5": r'LOCATE COMP "(\w+)" SITE "(\w+)"',
    "ice40": r"set_io (\S+) (\w+)",
    "gowin": r'IO_LOC "(\w+)" (\w+);',
}


@pytest.mark.parametrize("name", NAMES)
def test_the_platform_is_the_same_board_and_takes_the_top_level(name):
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is missing")
    board = find_board(name)
    platform = make_platform(board)
    assert (platform.part if board.family == "gowin" else platform.device) == board.device
    resource = platform.lookup(board.clock_resource)
    assert resource.clock.frequency == board.oscillator_mhz * 1e6
    port = {"shape": [1, 8, 8], "dtype": "uint8", "values_per_beat": 4, "beats": 16}
    ports = DesignPorts.from_manifest(
        {
            "top": "t",
            "input": port,
            "output": port,
            "sources": {"design.v": "00" * 32},
            "latency_cycles": 90_000,
            "cycles_per_word": 900,
        }
    )
    pll = settings_for(board, board.clock_mhz)
    files = platform.prepare(BoardTop(board=board, ports=ports, pll=pll), "top").files
    text = files[FAMILIES[board.family].constraints]
    constraints = text.decode() if isinstance(text, bytes) else text
    located = re.findall(LOCATIONS[board.family], constraints)
    assert any("rx" in name for name, _ in located) and any("tx" in name for name, _ in located)
    # No two ports on one pin.
    sites = [site for _, site in located]
    assert len(set(sites)) == len(sites)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('device = "LFE5U-85F"', "", r"b\.toml: device is missing"),
        ("lut = 83640", "lut = 0", r"b\.toml: limits\.lut must be a positive integer, not 0"),
        ("lut = 83640", "lut = true", r"b\.toml: limits\.lut must be of type int, not True"),
        ('name = "ulx3s-85f"', 'name = "../x"', r"b\.toml: name '\.\./x' must be of small letters"),
        ('name = "ulx3s-85f"', "name = 3", r"b\.toml: name must be of type str, not 3"),
        ("mhz = 25.0", "mhz = nan", r"b\.toml: clock\.mhz must be a frequency in MHz, not nan"),
        ("mhz = 25.0", 'mhz = "25"', r"b\.toml: clock\.mhz must be a frequency in MHz, not '25'"),
        ("design_mhz = 100.0", "design_mhz = 0", r"b\.toml: clock\.design_mhz must be a frequency in MHz, not 0"),
        ("design_mhz = 100.0", "", r"b\.toml: clock\.design_mhz is missing"),
        ('resource = "clk25"', "", r"b\.toml: clock\.resource is missing"),
        ('resource = "uart"', 'connector = ["io", "0"]', r"b\.toml: serial\.connector must be \[name, number\]"),
        ('["gsc", "digits", "digits-tiny"]', "[3]", r"b\.toml: models must be a list of names"),
        ("1_000_000", "2_200_000", r"b\.toml: serial\.baud: 2200000 cannot be made from 25\.0 MHz; .* 2272727"),
        ('family = "ecp5"', 'family = "xc7"', "family 'xc7' cannot be built; it must be one of ecp5, gowin, ice40"),
        ('resource = "uart"', "", "serial needs resource, or receive_pin and transmit_pin"),
        ("baud = 1_000_000", "baud = 12_000_000", "a clock of 25.0 MHz is too slow for 12000000 baud"),
        ('"amaranth_boards.ulx3s:ULX3S_85F_Platform"', '"ulx3s"', "platform 'ulx3s' must be module:class"),
        ("dsp = 156", "dsp = -1", r"b\.toml: limits\.dsp must be 0 or a positive integer, not -1"),
        ("mhz = 25.0", "mhz = 25.0\npll_pad = 3", r"b\.toml: clock\.pll_pad must be true or false, not 3"),
        ('["--board", "ulx3s"]', "[1]", r"b\.toml: program\.openfpgaloader must be a list of texts, not \[1\]"),
        ("[clock]", "[clock", "cannot be read as TOML"),
        ("[clock]", "clock = 3\n[x]", r"b\.toml: clock must be a table, not 3"),
    ],
)
def test_a_wrong_file(tmp_path: Path, old, new, message):
    path = tmp_path / "b.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_board(path)


def test_a_platform_that_is_not_there(tmp_path):
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is missing")
    path = tmp_path / "b.toml"
    path.write_text(GOOD.replace("ULX3S_85F_Platform", "ULX9_Platform"))
    with pytest.raises(ToolError, match=r"amaranth-boards has no amaranth_boards\.ulx3s:ULX9_Platform"):
        make_platform(load_board(path))
    path.write_text(GOOD.replace("amaranth_boards.ulx3s", "amaranth_boards.ulx9"))
    with pytest.raises(ToolError, match=r"amaranth-boards has no amaranth_boards\.ulx9:ULX3S_85F_Platform"):
        make_platform(load_board(path))

"""A real bitstream of a small design for each family, and its clock changed after routing."""

from __future__ import annotations

import json
import math

import pytest
from build_tools import need_build_tools
from stand_in import write_negative

from cs_hdl.board.catalogue import find_board
from cs_hdl.board.clocks import settings_for
from cs_hdl.board.pll_gowin import gowin_pll
from cs_hdl.board.pll_ice40 import ice40_pll
from cs_hdl.build.bitstream import build_bitstream
from cs_hdl.build.family import FAMILIES
from cs_hdl.build.set_clock import set_clock
from cs_hdl.build.spill import find_memories, registers_for
from cs_hdl.build.synthesis import read_netlist
from cs_hdl.errors import InputError, ToolError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "begins"),
    [("icebreaker", b"\xff\x00\x00\xff\x7e\xaa\x99\x7e"), ("tang-nano-9k", b"1" * 64)],
)
def test_a_real_bitstream(tmp_path, name, begins):
    board = find_board(name)
    family = FAMILIES[board.family]
    need_build_tools(*family.tools)
    write_negative(tmp_path / "design", lanes=4, rest=5)
    report = build_bitstream(tmp_path / "design", board)
    folder = tmp_path / "design" / "build" / name
    assert json.loads((folder / "report.json").read_text()) == report.as_json()
    bits = (folder / family.bitstream).read_bytes()
    assert len(bits) > 50_000 and bits.startswith(begins)
    assert report.timing_met and report.clock_source == "pll"
    assert 0.9 * report.fmax_mhz < report.clock_mhz <= report.fmax_mhz
    assert 300 < report.lut < 2500 and 300 < report.ff < 2000 and report.dsp == 0
    assert report.available["lut"] == board.limits.lut and report.available["block_ram"] == board.limits.block_ram
    assert set(report.tools) == set(family.tools)


@pytest.mark.parametrize(("oscillator", "wanted"), [(12.0, 21.0), (12.0, 48.3), (16.0, 40.0), (12.0, 17.0)])
def test_ice40_pll(oscillator, wanted):
    pll = ice40_pll(oscillator, wanted)
    assert pll.source == "pll" and 0.95 * wanted < pll.output_mhz <= wanted * (1 + 1e-9)
    values = pll.parameters()
    assert all(0 <= values[name] < 1 << bits for name, bits in pll.widths().items())
    vco = oscillator / (values["DIVR"] + 1) * (values["DIVF"] + 1)
    assert 533 <= vco <= 1066 and math.isclose(pll.output_mhz, vco / 2 ** values["DIVQ"])


def test_ice40_below_the_pll_runs_at_the_oscillator():
    pll = ice40_pll(12.0, 14.7)
    assert pll.source == "oscillator" and pll.output_mhz == 12.0
    with pytest.raises(InputError, match=r"a clock of 11 MHz: the PLL gives 16\.\.275 MHz from 12 MHz"):
        ice40_pll(12.0, 11.0)
    with pytest.raises(InputError, match="a clock of 300 MHz"):
        ice40_pll(12.0, 300.0)


@pytest.mark.parametrize("wanted", [5.5, 27.0, 54.0, 81.3, 200.0])
def test_gowin_pll(wanted):
    pll = gowin_pll(27.0, wanted)
    assert 0.9 * wanted < pll.output_mhz <= wanted * (1 + 1e-9)
    assert 500 <= pll.output_mhz * pll.output_divider <= 1000 and 27.0 / pll.input_divider >= 3
    with pytest.raises(InputError, match="a clock of 1 MHz: the PLL gives 4"):
        gowin_pll(27.0, 1.0)


def test_the_routed_pll_is_changed_and_nothing_else(tmp_path):
    board = find_board("tang-nano-9k")
    path = tmp_path / "routed.json"
    cells = {"p": {"type": "rPLL", "parameters": {"FCLKIN": "27", "IDIV_SEL": "0" * 32}}, "x": {"type": "LUT4"}}
    content = {"modules": {"top": {"cells": cells}}}
    path.write_text(json.dumps(content))
    pll = settings_for(board, 60.0)
    set_clock(path, pll)
    changed = json.loads(path.read_text())
    parameters = changed["modules"]["top"]["cells"]["p"]["parameters"]
    assert {name: int(parameters[name], 2) for name in pll.parameters()} == pll.parameters()
    assert parameters["FCLKIN"] == "27" and changed["modules"]["top"]["cells"]["x"] == {"type": "LUT4"}
    path.write_text(json.dumps({"modules": {"top": {"cells": {}}}}))
    with pytest.raises(ToolError, match="the routed design has 0 PLLs, not 1"):
        set_clock(path, pll)


DESIGN = """\
module part(clk);
  reg [7:0] small [15:0];
  reg [15:0] large [1023:0];
endmodule

module top(clk);
  reg [19:0] \\odd.name  [1:0];
  part one (
  part two (
endmodule
"""


def test_the_smallest_memories_become_registers_first():
    memories = {memory.name: memory for memory in find_memories(DESIGN)}
    assert {name: (memory.bits, memory.blocks, memory.copies) for name, memory in memories.items()} == {
        "small": (128, 1, 2), "large": (16384, 4, 2), "\\odd.name": (40, 2, 1),
    }  # fmt: skip
    assert registers_for(DESIGN, 1) == ["top/m:odd.name"]
    assert registers_for(DESIGN, 3) == ["top/m:odd.name", "part/m:small"]
    # The large one would cost more registers than it is worth.
    assert registers_for(DESIGN, 100) == ["top/m:odd.name", "part/m:small"]


def test_a_clock_that_no_pll_makes(tmp_path):
    write_negative(tmp_path / "design", lanes=4, rest=5)
    board = find_board("icebreaker")
    with pytest.raises(InputError, match="a clock of 400 MHz"):
        build_bitstream(tmp_path / "design", board, clock_mhz=400.0)
    assert not (tmp_path / "design" / "build").exists()


def test_a_netlist_without_a_pll_has_one_clock(tmp_path):
    path = tmp_path / "top.json"
    flops = {f"f{number}": {"type": "SB_DFFSR", "connections": {"C": [7]}} for number in range(3)}
    content = {"modules": {"top": {"cells": flops, "netnames": {"clk": {"bits": [7]}, "x": {"bits": [8]}}}}}
    path.write_text(json.dumps(content))
    netlist = read_netlist(path, family=FAMILIES["ice40"])
    assert netlist.design_clock == netlist.serial_clock == ("clk",)
    flops["f3"] = {"type": "SB_DFF", "connections": {"C": [8]}}
    path.write_text(json.dumps(content))
    with pytest.raises(ToolError, match="not the netlist that a build expects"):
        read_netlist(path, family=FAMILIES["ice40"])
    # An ECP5's design always has its PLL.
    with pytest.raises(ToolError, match="not the netlist that a build expects"):
        read_netlist(path)


def test_the_top_level_at_the_oscillator_has_no_pll():
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is missing")
    from cs_hdl.board.design_ports import DesignPorts
    from cs_hdl.board.top import BoardTop, make_platform

    board = find_board("icebreaker")
    port = {"shape": [1, 1, 8], "dtype": "uint8", "values_per_beat": 4, "beats": 2}
    ports = DesignPorts.from_manifest(
        {
            "top": "t", "input": port, "output": port, "sources": {"design.v": "00" * 32}, "latency_cycles": 9,
            "cycles_per_word": 9,
        }
    )  # fmt: skip
    texts = {}
    for wanted in (12.5, 21.0):
        top = BoardTop(board=board, ports=ports, pll=settings_for(board, wanted))
        text = make_platform(board).prepare(top, "top", emit_src=False).files["top.il"]
        texts[wanted] = text.decode() if isinstance(text, bytes) else text
    assert "SB_PLL40" not in texts[12.5] and "SB_PLL40_2_PAD" in texts[21.0]

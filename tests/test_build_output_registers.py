"""Registers behind block RAM go into it where they are its own, and stay where anything else depends on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cs_hdl.build.alone import synthesise_alone
from cs_hdl.build.output_registers import absorb_into_netlist
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import CsHdlError, ToolError

MEMORY = """
module bench(input clk, input en, input rst, input [9:0] address, input [9:0] place, input write, input [8:0] value,
             output {kind} [8:0] result{more});
  (* ram_style = "block", no_rw_check *) reg [8:0] memory [0:1023];
  reg [8:0] read;
  always @(posedge clk) begin
    if (write) memory[place] <= value;
    read <= memory[address];
  end
{behind}
endmodule
"""
REGISTER = "  always @(posedge clk) result <= read;"


def synthesised(behind: str, folder: Path, *, kind: str = "reg", more: str = "") -> dict[str, Any]:
    try:
        require_tool("yosys")
    except CsHdlError as error:
        pytest.skip(str(error))
    text = MEMORY.format(behind=behind, kind=kind, more=more)
    assert synthesise_alone(text, top="bench", folder=folder).block_ram == 1
    gone = absorb_into_netlist(folder / "top.json")
    cells = json.loads((folder / "top.json").read_text())["modules"]["bench"]["cells"].values()
    (memory,) = (cell for cell in cells if cell["type"] == "DP16KD")
    modes = {memory["parameters"]["REGMODE_A"], memory["parameters"]["REGMODE_B"]}
    return {"gone": gone, "modes": modes, "ff": sum(cell["type"] == "TRELLIS_FF" for cell in cells)}


def test_a_register_of_its_own_goes_into_the_block(tmp_path: Path) -> None:
    assert synthesised(REGISTER, tmp_path) == {"gone": 9, "modes": {"NOREG", "OUTREG"}, "ff": 0}


def test_of_two_registers_in_a_row_the_first_one_goes(tmp_path: Path) -> None:
    behind = "  reg [8:0] first;\n  always @(posedge clk) begin first <= read; result <= first; end"
    assert synthesised(behind, tmp_path) == {"gone": 9, "modes": {"NOREG", "OUTREG"}, "ff": 9}


@pytest.mark.parametrize(
    "behind, kind, more",
    [
        pytest.param("  always @(posedge clk) if (en) result <= read;", "reg", "", id="enabled"),
        pytest.param("  always @(posedge clk) result <= rst ? 9'd0 : read;", "reg", "", id="reset"),
        pytest.param("  initial result = 9'd1;\n" + REGISTER, "reg", "", id="not zero at first"),
        pytest.param(REGISTER + "\n  assign bit = read[3];", "reg", ", output bit", id="one bit read by another"),
        pytest.param("  always @(posedge clk) result <= ~read;", "reg", "", id="logic between"),
        pytest.param("  assign result = read;", "wire", "", id="no register"),
        pytest.param("  always @(negedge clk) result <= read;", "reg", "", id="the other edge"),
    ],
)
def test_what_is_not_a_plain_copy_stays(behind: str, kind: str, more: str, tmp_path: Path) -> None:
    found = synthesised(behind, tmp_path, kind=kind, more=more)
    assert (found["gone"], found["modes"]) == (0, {"NOREG"})


def test_a_file_that_is_no_netlist_is_told(tmp_path: Path) -> None:
    (tmp_path / "top.json").write_text('{"modules": {"a": 1}}')
    with pytest.raises(ToolError, match=r"top\.json: not a netlist of Yosys"):
        absorb_into_netlist(tmp_path / "top.json")

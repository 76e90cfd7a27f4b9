"""Modules that are equal but for names are made one; what differs, or is of another kind, stays."""

from __future__ import annotations

import re

from cs_hdl.estimate.elaborate import elaborate
from cs_hdl.estimate.equal_modules import merge_equal_modules
from cs_hdl.estimate.features import features_of, total

LANE = """module \\top.{name} (clk, a, q);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] q;
  reg [7:0] q;
  wire [7:0] _0_;
  wire [7:0] _1_;
  assign _1_ = 8'h{place};
  assign _0_ = a {operation} _1_;
  always @(posedge clk)
    q <= _0_;
endmodule
"""


def design(*lanes: tuple[str, str, str]) -> str:
    """A top module with ``lanes`` (name, constant, operation) side by side."""
    top = ["module top (clk, a, q);", "  input clk;", "  wire clk;", "  input [7:0] a;", "  wire [7:0] a;"]
    top += [f"  output [{8 * len(lanes) - 1}:0] q;", f"  wire [{8 * len(lanes) - 1}:0] q;"]
    for number, (name, _, _) in enumerate(lanes):
        ports = f"    .clk(clk),\n    .a(a),\n    .q(q[{8 * number + 7}:{8 * number}])\n  );"
        top.append(f"  \\top.{name}  i{number} (\n{ports}")
    modules = [LANE.format(name=name, place=place, operation=operation) for name, place, operation in lanes]
    return "\n".join([*top, "endmodule\n"]) + "".join(modules)


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\S+)", text, re.MULTILINE)


def test_lanes_that_differ_in_their_place_only_become_one_and_count_as_often_as_they_stand():
    text = design(("engine_0.lane_0", "03", "+"), ("engine_1.lane_0", "05", "+"), ("engine_2.lane_0", "07", "+"))
    merged = merge_equal_modules(text)
    assert modules(merged) == ["top", "\\top.engine_0.lane_0"]
    assert len(re.findall(r"^  \\top.engine_0.lane_0 ", merged, re.MULTILINE)) == 3
    found = total(features_of(elaborate(text, top="top"), "top").values())
    assert (found.ff, found.carry) == (24, 12)


def test_lanes_that_do_something_else_stay():
    text = design(("engine_0.lane_0", "03", "+"), ("engine_1.lane_0", "03", "&"))
    assert merge_equal_modules(text) == text
    assert len(modules(merge_equal_modules(text))) == 3


def test_modules_of_other_kinds_are_merged_only_where_all_is_equal():
    same = design(("scale_0", "03", "+"), ("scale_1", "03", "+"))
    assert modules(merge_equal_modules(same)) == ["top", "\\top.scale_0"]
    other = design(("scale_0", "03", "+"), ("scale_1", "05", "+"))
    assert len(modules(merge_equal_modules(other))) == 3
    # Synthesis keeps lanes as modules of their own, so one never stands for anything else.
    kinds = design(("scale_0", "03", "+"), ("lane_0", "03", "+"))
    assert len(modules(merge_equal_modules(kinds))) == 3

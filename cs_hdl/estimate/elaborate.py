"""Reads a design.v as far as its words, registers and memories: no gate and no LUT yet."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from cs_hdl.build.alone import device_text
from cs_hdl.build.run import run_tool
from cs_hdl.build.synthesis import SEPARATE_LANES
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import ToolError
from cs_hdl.estimate.equal_modules import merge_equal_modules

__all__ = ["elaborate", "without_tables"]

_MEMORY = re.compile(
    r'(?P<head>^  (?:\(\* rom_style = "(?P<style>\w+)" \*\)\n  )?reg \[\d+:0\] (?P<name>\\?\S+) +\[\d+:0\];\n'
    r"  initial begin\n)(?P<rows>(?:    \\?\S+? ?\[\d+\] = \d+'h[0-9a-f]+;\n)+)(?P<tail>  end\n)",
    re.MULTILINE,
)
_ROW = re.compile(r"= (\d+)'h([0-9a-f]+);")


def elaborate(text: str, *, top: str) -> dict[str, Any]:
    """The modules of the Verilog ``text``, flattened but for the lanes, as in Yosys' JSON.

    Memories stand there as the device's blocks (DP16KD, TRELLIS_DPR16X4), but tables that go into
    LUTs as $mem_v2 with their contents; arithmetic as $alu, the rest as cells of whole words. Raises
    ToolError where Yosys is missing or fails.
    """
    yosys = require_tool("yosys")
    script = (
        f"read_verilog design.v\n{SEPARATE_LANES}synth_ecp5 -top {top} -run begin:map_ffram\n"
        "opt -fast -mux_undef -undriven -fine\nmaccmap\nopt_clean\nblackbox =A:whitebox\nwrite_json words.json\n"
    )
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(without_tables(merge_equal_modules(device_text(text))))
        (folder / "elaborate.ys").write_text(script)
        run_tool(yosys, ["elaborate.ys"], folder=folder, log="elaborate.log")
        try:
            modules: dict[str, Any] = json.loads((folder / "words.json").read_text())["modules"]
        except (OSError, ValueError, KeyError) as error:
            raise ToolError(f"words.json: not a netlist of {top} ({error!r})") from None
    return modules


def without_tables(text: str) -> str:
    """``text`` with two rows a memory, which is quicker to read; tables for LUTs keep all of theirs.

    The first row is the AND, the second the OR of all, so that constant columns stay constant.
    """

    def shorten(match: re.Match[str]) -> str:
        rows = match["rows"].splitlines(keepends=True)
        numbers = [int(digits, 16) for _, digits in _ROW.findall(match["rows"])]
        if match["style"] == "logic" or (match["style"] is None and any(numbers)) or len(rows) <= 2:
            return match[0]
        low = high = numbers[0]
        for number in numbers:
            low, high = low & number, high | number
        kept = [_ROW.sub(rf"= \g<1>'h{value:x};", row) for row, value in zip(rows[:2], (low, high), strict=True)]
        return match["head"] + "".join(kept) + match["tail"]

    return _MEMORY.sub(shorten, text)

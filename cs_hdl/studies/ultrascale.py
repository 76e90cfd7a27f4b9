"""What Yosys makes of a design for UltraScale+, which no open tool routes: counts of cells, to be called estimates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cs_hdl.board.catalogue import device_limits
from cs_hdl.build.alone import cells_of
from cs_hdl.build.synthesis import SEPARATE_LANES
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.errors import InputError
from cs_hdl.plan.planner import make_plan

if TYPE_CHECKING:
    from cs_hdl.network import Network

__all__ = ["TOP", "count_ultrascale", "recorded_design"]

#: The module of a design.
TOP = "cs_accelerator"
#: synth_xilinx as it is, but ABC in place of ABC9: within 0.5 % of its LUTs on digits-tiny in a quarter of the time,
#: and ABC9 had not ended after 16 minutes of the whole speech network.
_SCRIPT = f"""\
read_verilog design.v
{SEPARATE_LANES}
synth_xilinx -family xcup -noiopad -top {{top}} -run begin:map_luts
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5
clean
xilinx_srl -fixed -minlen 3
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
synth_xilinx -family xcup -noiopad -top {{top}} -run finalize:edif
write_json top.json
"""
#: LUTs that a cell of LUT RAM or a shift register takes (AMD/Xilinx UG574, UltraScale CLB user guide).
_LUTS = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8, "RAM32M": 4,
    "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "SRL16E": 1, "SRLC32E": 1,
}  # fmt: skip


def count_ultrascale(text: str, *, top: str) -> dict[str, int]:
    """LUTs, flip-flops, DSP48E2 and block RAMs (of 18 kbit) of the Verilog ``text``, its top module being ``top``.

    Raises ToolError where Yosys is missing or fails.
    """
    cells = cells_of(text, top=top, script=_SCRIPT.format(top=top))
    return {
        "LUT": sum(count * _luts(kind) for kind, count in cells.items()),
        "FF": sum(count for kind, count in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?", kind)),
        "DSP": cells.get("DSP48E2", 0),
        "block RAM": cells.get("RAMB18E2", 0) + 2 * cells.get("RAMB36E2", 0),
    }


def _luts(kind: str) -> int:
    return 1 if re.fullmatch(r"LUT[1-6]|INV", kind) else _LUTS.get(kind, 0)


def recorded_design(record: Mapping[str, Any], network: Network) -> str:
    """The Verilog that ``record`` (of ``scripts/evidence``) placed and routed; InputError where it changed since."""
    from cs_hdl.rtl.accelerator import Accelerator

    plan = make_plan(network, limits=device_limits(record["report"]["device"]))
    text = emit_verilog(Accelerator(plan), name=TOP)
    if hashlib.sha256(text.encode()).hexdigest() != record["digests"]["design.v"]:
        raise InputError("the design is no longer the one on record; make that again: scripts/evidence gsc ulx3s-85f")
    return text

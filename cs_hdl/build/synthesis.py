"""Yosys: from design.v and the board's top level to a netlist of the device's cells."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.build.output_registers import ABSORBS, absorb_into_netlist
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ResultError, ToolError
from cs_hdl.plan.planner import DeviceLimits

__all__ = ["SCRIPT", "SEPARATE_LANES", "Netlist", "check_fit", "count_cells", "read_netlist", "synthesise"]

#: Lanes, and the parts of wide queues, have equal control: Yosys would merge their equal registers, and one
#: register with a wire to all of them is slow. So each stays a module of its own. (In such a module the names
#: of wires are hidden: Yosys 0.70 fails where abc9 makes one new name out of two, \x and $x. So are all names
#: with an index in brackets, which it takes for bits of a wire.)
_DIGIT = "[0123456789]"  # (Yosys knows no ranges in patterns.)
_APART = tuple(f"*.{name}_{_DIGIT * digits}" for name in ("lane", "part") for digits in (1, 2, 3))

#: Between reading and synthesis; the same for a design on a board and for one alone.
SEPARATE_LANES = f"""\
setattr -mod -set keep_hierarchy 1 {" ".join(_APART)}
rename -hide {" ".join(f"{name}/w:*" for name in _APART)} */w:*\\[*
"""

SCRIPT = f"""\
# (Afterwards: {ABSORBS}.)
read_verilog design.v
read_rtlil top.il
{SEPARATE_LANES}synth_ecp5 -top top -json top.json
"""


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """What a build must know of a netlist.

    ``cells`` counts the device's cells by type, submodules included; ``design_clock`` and
    ``serial_clock`` hold all names of the two clocks' nets.
    """

    cells: dict[str, int]
    design_clock: tuple[str, ...]
    serial_clock: tuple[str, ...]


def synthesise(yosys: Tool, folder: Path) -> Netlist:
    """Make ``top.json`` of ``design.v`` and ``top.il`` in ``folder``. Raises ToolError where Yosys fails."""
    (folder / "synthesis.ys").write_text(SCRIPT)
    run_tool(yosys, ["synthesis.ys"], folder=folder, log="synthesis.log")
    absorb_into_netlist(folder / "top.json")
    return read_netlist(folder / "top.json")


def read_netlist(path: Path) -> Netlist:
    """What :class:`Netlist` holds, of a netlist that Yosys wrote as JSON."""
    try:
        modules = json.loads(path.read_text())["modules"]
        top = modules["top"]
        (pll,) = (cell for cell in top["cells"].values() if cell["type"] == "EHXPLLL")
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{path.name}: not the netlist that a build expects ({error!r})") from None
    return Netlist(
        cells=count_cells(modules, "top"),
        design_clock=_names(top, pll["connections"]["CLKOS"][0]),
        serial_clock=_names(top, pll["connections"]["CLKI"][0]),
    )


def count_cells(modules: dict[str, Any], top: str) -> dict[str, int]:
    """The device's cells in the module ``top`` of Yosys' JSON and in all below it, by type."""
    return dict(sorted(_count(modules, top).items()))


def check_fit(netlist: Netlist, limits: DeviceLimits) -> None:
    """ResultError, before minutes of placing, where the device surely cannot hold ``netlist``."""
    count = Counter(netlist.cells)
    # Two LUTs are a carry cell's; a 16x4 RAM takes those of four outputs and its write port's two.
    lut = count["LUT4"] + 2 * count["CCU2C"] + 4 * count["TRELLIS_DPR16X4"]
    needs = (
        ("LUT", lut, limits.lut),
        ("DSP", count["MULT18X18D"], limits.dsp),
        ("block RAM", count["DP16KD"], limits.block_ram),
    )
    over = [f"{need:,} {name} of {limit:,}" for name, need, limit in needs if need > limit]
    if over:
        raise ResultError(
            f"the design does not fit the {limits.name}: it needs {', '.join(over)}; "
            "generate it for this board (--board), or with more cycles a word (--cycles)"
        )


def _count(modules: dict[str, Any], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for cell in modules[name]["cells"].values():
        kind = cell["type"]
        # Library modules are boxes, whatever they hold.
        box = (
            kind not in modules
            or "blackbox" in modules[kind]["attributes"]
            or "whitebox" in modules[kind]["attributes"]
        )
        if not box:
            total += _count(modules, kind)
        elif not kind.startswith("$"):
            total[kind] += 1
    return total


def _names(module: dict[str, Any], bit: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, net in module["netnames"].items() if net["bits"] == [bit]))

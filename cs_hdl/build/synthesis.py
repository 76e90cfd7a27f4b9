"""Yosys: from design.v and the board's top level to a netlist of the device's cells."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.build.family import FAMILIES, Family
from cs_hdl.build.output_registers import ABSORBS, absorb_into_netlist
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ResultError, ToolError
from cs_hdl.plan.device_limits import DeviceLimits

__all__ = [
    "SCRIPT",
    "SEPARATE_LANES",
    "Netlist",
    "check_fit",
    "count_cells",
    "read_netlist",
    "run_yosys",
    "script",
    "synthesise",
]

ECP5 = FAMILIES["ecp5"]

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

#: What Yosys warns of, and goes on.
_CONFLICT = re.compile(r"^Warning: (Driver-driver conflict|multiple conflicting drivers) ")

_READ = "read_verilog design.v\nread_rtlil top.il\n"


def script(family: Family, *, variant: str = "", dsp: bool = True, registers: Sequence[str] = ()) -> str:
    """Yosys' script for ``family``.

    ``variant`` goes to the synthesis command where that has one; ``dsp`` is False for chips without multipliers.
    ``registers`` are the memories (``module/m:name``) that shall not be block RAM.
    """
    if family.name == "ecp5":
        return f"# (Afterwards: {ABSORBS}.)\n{_READ}{SEPARATE_LANES}{family.script}\n"
    command = family.script.format(variant=variant)
    if not dsp:
        command = command.replace(" -dsp", "")
    # What the planner wants as RAM made of LUTs becomes block RAM where it can, and registers otherwise.
    spread = "setattr -unset ram_style */m:*\n" if family.name == "ice40" else ""
    spread += "".join(f'setattr -set ram_style "registers" {name}\n' for name in registers)
    return f"{_READ}{spread}rename -hide */w:*\\[*\n{command}\n"


#: That of the ECP5.
SCRIPT = script(ECP5)


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """What a build must know of a netlist.

    ``cells`` counts the device's cells by type, submodules included; ``design_clock`` and
    ``serial_clock`` hold all names of the two clocks' nets.
    """

    cells: dict[str, int]
    design_clock: tuple[str, ...]
    serial_clock: tuple[str, ...]


def synthesise(yosys: Tool, folder: Path, *, text: str = SCRIPT, family: Family = ECP5) -> Netlist:
    """Make ``top.json`` of ``design.v`` and ``top.il`` in ``folder`` with the script ``text``.

    Raises ToolError where Yosys fails, or makes another circuit of it.
    """
    run_yosys(yosys, text, folder=folder)
    if family.name == "ecp5":
        absorb_into_netlist(folder / "top.json")
    return read_netlist(folder / "top.json", family=family)


def run_yosys(yosys: Tool, text: str, *, folder: Path) -> None:
    """Run the script ``text`` in ``folder``, as ``synthesis.ys``; what it prints goes to ``synthesis.log``.

    Raises ToolError where that fails, and where Yosys warns of a wire with two drivers: our Verilog has none, so one of
    its passes went wrong, and what it made is not the circuit that was simulated.
    """
    (folder / "synthesis.ys").write_text(text)
    conflicts: list[str] = []

    def watch(line: str) -> None:
        if _CONFLICT.search(line):
            conflicts.append(line.strip())

    run_tool(yosys, ["synthesis.ys"], folder=folder, log="synthesis.log", watch=watch)
    if conflicts:
        raise ToolError(
            f"{yosys.name} ({yosys.version}) gave two drivers to {len(conflicts)} wires: the netlist is another "
            f"circuit than the design. {conflicts[0]}\nAnother version of Yosys may do; please report it."
        )


def read_netlist(path: Path, *, family: Family = ECP5) -> Netlist:
    """What :class:`Netlist` holds, of a netlist that Yosys wrote as JSON."""
    try:
        modules = json.loads(path.read_text())["modules"]
        top = modules["top"]
        plls = [cell for cell in top["cells"].values() if cell["type"] in family.plls]
        if plls:
            (pll,) = plls
            ports = family.plls[pll["type"]]
            bits = [pll["connections"][port][0] for port in (ports.design, ports.serial)]
        else:
            # Without a PLL the design runs at the oscillator; on an ECP5 there always is one.
            bits = [_one_clock(modules, family)] * 2
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{path.name}: not the netlist that a build expects ({error!r})") from None
    return Netlist(
        cells=count_cells(modules, "top"), design_clock=_names(top, bits[0]), serial_clock=_names(top, bits[1])
    )


def _one_clock(modules: dict[str, Any], family: Family) -> int:
    """The net that clocks all flip-flops; ValueError where there is none, or more than one."""
    clocks = {
        cell["connections"]["C"][0]
        for cell in modules["top"]["cells"].values()
        if family.name == "ice40" and cell["type"].startswith("SB_DFF")
    }
    (clock,) = clocks
    return int(clock)


def count_cells(modules: dict[str, Any], top: str) -> dict[str, int]:
    """The device's cells in the module ``top`` of Yosys' JSON and in all below it, by type."""
    return dict(sorted(_count(modules, top).items()))


def check_fit(netlist: Netlist, limits: DeviceLimits) -> None:
    """ResultError, before minutes of placing, where the device surely cannot hold ``netlist``."""
    family = FAMILIES[limits.family]
    needs = (
        ("LUT", family.count("lut", netlist.cells), limits.lut),
        ("flip-flops", family.count("ff", netlist.cells), limits.ff),
        ("DSP", family.count("dsp", netlist.cells), limits.dsp),
        ("block RAM", family.count("block_ram", netlist.cells), limits.block_ram),
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

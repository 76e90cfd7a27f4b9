"""Small designs, synthesised for the ECP5 as ``cs-hdl build`` does, and their netlists as Verilog that simulates."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.board.catalogue import device_limits
from cs_hdl.build.cells import swap_cells
from cs_hdl.build.output_registers import absorb_into_netlist
from cs_hdl.build.run import run_tool
from cs_hdl.build.synthesis import SCRIPT
from cs_hdl.build.tools import require_tool
from cs_hdl.emit.design import write_design
from cs_hdl.network import Network
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.planner import make_plan

__all__ = ["Synthesised", "make_design", "netlist_folder", "synthesise_design"]

MODELS = Path(__file__).parent / "models"
#: The boxes of Yosys's library for which there is a model of our own.
_OWN_MODELS = ("MULT18X18D", "DP16KD")


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """A design directory, its plan, and the netlist's modules as Yosys writes them to JSON."""

    design: Path
    plan: Plan
    folder: Path
    modules: dict[str, Any]

    def cells(self) -> list[tuple[str, dict[str, Any]]]:
        """All of the device's cells, each with its place in the hierarchy."""
        return list(_cells(self.modules, "cs_accelerator", ""))

    def count(self, kind: str) -> int:
        return sum(cell["type"] == kind for _, cell in self.cells())


def _cells(modules: dict[str, Any], name: str, place: str) -> Any:
    for label, cell in modules[name]["cells"].items():
        inner = modules.get(cell["type"])
        if inner is None or {"blackbox", "whitebox"} & set(inner["attributes"]):
            yield f"{place}{label}", cell
        else:
            yield from _cells(modules, cell["type"], f"{place}{label}.")


def make_design(network: Network, folder: Path, *, cycles: int, mode: str | None = None) -> Plan:
    plan = make_plan(network, limits=device_limits("LFE5U-85F"), cycles=cycles, mode=mode)
    write_design(plan, folder)
    return plan


def synthesise_design(plan: Plan, design: Path, folder: Path) -> Synthesised:
    """The script of a build, without the board's top level around the accelerator."""
    folder.mkdir(parents=True)
    (folder / "design.v").write_text(swap_cells((design / "design.v").read_text(), "ecp5"))
    script = SCRIPT.replace("read_rtlil top.il\n", "").replace("-top top ", "-top cs_accelerator ")
    assert script.count("cs_accelerator") == 1 and "top.il" not in script
    (folder / "synthesis.ys").write_text(script)
    run_tool(require_tool("yosys"), ["synthesis.ys"], folder=folder, log="synthesis.log")
    absorb_into_netlist(folder / "top.json")
    (folder / "verilog.ys").write_text("read_json top.json\nwrite_verilog -noattr netlist.v\n")
    run_tool(require_tool("yosys"), ["verilog.ys"], folder=folder, log="verilog.log")
    modules = json.loads((folder / "top.json").read_text())["modules"]
    return Synthesised(design=design, plan=plan, folder=folder, modules=modules)


def netlist_folder(built: Synthesised, folder: Path) -> Path:
    """A design directory whose design.v is the netlist with models of all its cells."""
    shutil.copytree(built.design, folder, ignore=shutil.ignore_patterns("build", "simulation.json"))
    texts = [(built.folder / "netlist.v").read_text(), *((MODELS / f"{name}.v").read_text() for name in _OWN_MODELS)]
    (folder / "design.v").write_text("\n".join([*texts, _library()]))
    return folder


def _library() -> str:
    """Yosys's own models of the ECP5's logic cells, without the boxes."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None and spec.origin is not None
    share = Path(spec.origin).parent / "share" / "ecp5"
    text = "".join((share / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
    text = re.sub(r"^`include.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*specify\b.*?^\s*endspecify\b", "", text, flags=re.MULTILINE | re.DOTALL)  # delays alone
    wanted = ("LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "LUT2")
    pattern = r"^module (\w+)\b.*?^endmodule"
    found = {match[1]: match[0] for match in re.finditer(pattern, text, flags=re.MULTILINE | re.DOTALL)}
    return "\n".join(found[name] for name in wanted) + "\n"

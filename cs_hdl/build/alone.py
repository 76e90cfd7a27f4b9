"""A component alone on an LFE5U-85F of speed grade 6: what it takes, and how fast it is once routed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import require_tool
from cs_hdl.emit.verilog import emit_verilog

__all__ = ["Alone", "component_cells", "route_alone"]

_DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")


@dataclass(frozen=True, kw_only=True)
class Alone:
    """``fmax_mhz`` of a routed component between registered ports, and its critical path in words."""

    fmax_mhz: float
    critical_path: tuple[str, ...]


class _RegisteredPorts(wiring.Component):
    """A component with streams ``i`` and ``o`` between registers, its payloads shifted through one pin each.

    Every port of the component comes from a register or goes into one, and those have a second one towards
    the pins, so that no path to a pin counts. (Handshakes are delayed and so no longer work: this is for timing.)
    """

    def __init__(self, component: Any) -> None:
        self._component = component
        super().__init__({name: In(1) for name in ("i_data", "i_valid", "o_ready")} | {"o_data": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.component = part = self._component
        m.d.comb += Cat(part.i.valid, part.o.ready, Value.cast(part.i.payload)).eq(
            self._shift_in(m, 2 + len(Value.cast(part.i.payload)))
        )
        results = Cat(part.i.ready, part.o.valid, Value.cast(part.o.payload))
        captured, mixed = Signal(len(results)), Signal(len(results))
        # Mixed, not selected: no enable with a large fan-out, and nothing can be optimised away.
        m.d.sync += [captured.eq(results), mixed.eq(captured ^ Cat(self.i_valid, mixed)), self.o_data.eq(mixed[-1])]
        return m

    def _shift_in(self, m: Module, width: int) -> Signal:
        shifted, offered = Signal(width), Signal(width)
        m.d.sync += [shifted.eq(Cat(self.i_data ^ self.o_ready, shifted)), offered.eq(shifted)]
        return offered


def component_cells(component: Any, folder: Path) -> dict[str, int]:
    """Cells of the ECP5 by type, and under ``comb`` the LUTs that all of them take, without place and route."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alone.v").write_text(emit_verilog(component, name="alone"))
    script = "read_verilog alone.v\nsynth_ecp5 -top alone -json alone.json\ntee -o alone.stat stat -json\n"
    (folder / "alone.ys").write_text(script)
    run_tool(require_tool("yosys"), ["alone.ys"], folder=folder, log="alone.log")
    text = (folder / "alone.stat").read_text()
    # Yosys puts a headline above the JSON.
    design = json.loads(text[text.index("{") : text.rindex("}") + 1])["design"]
    cells = Counter({name: int(count) for name, count in design["num_cells_by_type"].items() if name[0] != "$"})
    # Two LUTs are a carry cell's; a 16x4 RAM takes those of four outputs and its write port's two.
    cells["comb"] = cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells["TRELLIS_DPR16X4"]
    return dict(sorted(cells.items()))


def route_alone(component: Any, folder: Path, *, seed: int = 1) -> Alone:
    """Place and route ``component`` between registered ports. Raises ToolError where a tool fails."""
    component_cells(_RegisteredPorts(component), folder)
    options = ["--json", "alone.json", "--report", "alone.nextpnr.json", "--seed", str(seed), "--router", "router2"]
    # A pin of the clock network: any other may have no way to it.
    (folder / "alone.lpf").write_text('LOCATE COMP "clk" SITE "G2";\n')
    options += ["--lpf", "alone.lpf", "--timing-allow-fail", "--lpf-allow-unconstrained", "--freq", "150"]
    run_tool(require_tool("nextpnr-ecp5"), [*_DEVICE, *options], folder=folder, log="nextpnr.log")
    report = json.loads((folder / "alone.nextpnr.json").read_text())
    (clock,) = report["fmax"].values()
    path = next(entry["path"] for entry in report["critical_paths"] if entry["from"] == entry["to"])
    return Alone(fmax_mhz=float(clock["achieved"]), critical_path=tuple(map(_step, path)))


def _step(step: dict[str, Any]) -> str:
    places = f"{step['from']['cell']}.{step['from']['port']} -> {step['to']['cell']}.{step['to']['port']}"
    return f"{step['delay']:5.2f} ns {step['type']:8} {places}"

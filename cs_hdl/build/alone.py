"""A design without any board around it: what Yosys makes of it, and how fast it is once it is routed."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cs_hdl.build.cells import swap_cells
from cs_hdl.build.output_registers import absorb_into_netlist
from cs_hdl.build.place_route import device_options
from cs_hdl.build.run import run_tool
from cs_hdl.build.slowest import PathPart, critical_path
from cs_hdl.build.synthesis import SEPARATE_LANES, count_cells, run_yosys
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import InputError, ToolError
from cs_hdl.rtl.primitives.multiplier import MULTIPLIER_MODULE

__all__ = [
    "BENCH_DEVICE",
    "GOAL_MHZ",
    "Cells",
    "Routed",
    "alone_digest_parts",
    "cells_of",
    "device_text",
    "route_alone",
    "synthesise_alone",
    "wrapped",
]

#: Where designs are routed alone: the device, its package and its speed grade.
BENCH_DEVICE = ("LFE5U-85F", "BG381", "6")
#: What every leaf component should hold there.
GOAL_MHZ = 120
_CLOCKS = ("aclk", "clk")
_PORT = re.compile(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\\?\S+) ?;", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of an ECP5.

    ``lut4`` counts LUT4 alone; ``carry`` CCU2C (two LUTs each) and ``lut_ram`` TRELLIS_DPR16X4 (16 x 4
    bits, four LUTs each) come on top of it: ``comb`` is all of them.
    """

    lut4: int = 0
    carry: int = 0
    lut_ram: int = 0
    ff: int = 0
    dsp: int = 0
    block_ram: int = 0

    def __add__(self, other: Cells) -> Cells:
        return Cells(**{key: getattr(self, key) + getattr(other, key) for key in self.__dataclass_fields__})

    @property
    def comb(self) -> int:
        """LUTs of all kinds."""
        return self.lut4 + 2 * self.carry + 4 * self.lut_ram

    @staticmethod
    def of(counts: Mapping[str, int]) -> Cells:
        """From counts by cell type."""
        return Cells(
            lut4=counts.get("LUT4", 0),
            carry=counts.get("CCU2C", 0),
            lut_ram=counts.get("TRELLIS_DPR16X4", 0),
            ff=counts.get("TRELLIS_FF", 0),
            dsp=counts.get("MULT18X18D", 0),
            block_ram=counts.get("DP16KD", 0),
        )


def _script(top: str) -> str:
    return f"read_verilog design.v\n{SEPARATE_LANES}synth_ecp5 -top {top} -json top.json\n"


def alone_digest_parts(text: str, top: str) -> dict[str, str]:
    """All that the cells of ``text`` depend on: for the name of a result that is kept."""
    return {"design": device_text(text), "script": _script(top), "yosys": require_tool("yosys").version}


def device_text(text: str) -> str:
    """``text`` with the ECP5's own modules behind the technology seam, where it has the portable ones."""
    return swap_cells(text, "ecp5") if re.search(rf"^module {MULTIPLIER_MODULE}\b", text, re.MULTILINE) else text


def synthesise_alone(text: str, *, top: str, folder: Path | None = None) -> Cells:
    """The cells that ``cs-hdl build``'s synthesis makes of the Verilog ``text``, its top module being ``top``.

    The files (design.v, top.json, synthesis.log) stay in ``folder`` if there is one. Raises ToolError
    where Yosys is missing or fails.
    """
    return Cells.of(cells_of(device_text(text), top=top, script=_script(top), folder=folder))


def cells_of(text: str, *, top: str, script: str, folder: Path | None = None) -> dict[str, int]:
    """The cells, by type, that Yosys makes of the Verilog ``text``: ``script`` reads design.v and writes top.json.

    Files and errors as of :func:`synthesise_alone`.
    """
    yosys = require_tool("yosys")
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        place = folder or Path(name)
        (place / "design.v").write_text(text)
        run_yosys(yosys, script, folder=place)
        try:
            return count_cells(json.loads((place / "top.json").read_text())["modules"], top)
        except (OSError, ValueError, KeyError) as error:
            raise ToolError(f"top.json: not a netlist of {top} ({error!r})") from None


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A design routed alone: its Fmax, and the path that sets it."""

    fmax_mhz: float
    path: tuple[PathPart, ...]


def route_alone(text: str, *, top: str, seed: int = 1) -> Routed:
    """The Verilog ``text`` after routing, alone on :data:`BENCH_DEVICE`, all ports registered.

    Raises ToolError where Yosys or nextpnr is missing or fails.
    """
    nextpnr = require_tool("nextpnr-ecp5")
    device, package, speed = BENCH_DEVICE
    # No absolute path below /tmp: YoWASP's tools have a /tmp of their own.
    with tempfile.TemporaryDirectory(prefix="cs-hdl-") as name:
        folder = Path(name)
        synthesise_alone(wrapped(text, top), top="bench", folder=folder)
        absorb_into_netlist(folder / "top.json")
        (folder / "top.lpf").write_text(f'FREQUENCY PORT "clk" {GOAL_MHZ} MHz;\n')
        options = ["--json", "top.json", "--lpf", "top.lpf", "--lpf-allow-unconstrained", "--report", "nextpnr.json"]
        options += ["--seed", str(seed), "--router", "router2", "--timing-allow-fail"]
        run_tool(
            nextpnr,
            [*device_options(device, package=package, speed=speed), *options],
            folder=folder,
            log="nextpnr.log",
        )
        try:
            report = json.loads((folder / "nextpnr.json").read_text())
            ((clock, found),) = report["fmax"].items()
            return Routed(fmax_mhz=round(float(found["achieved"]), 2), path=critical_path(report, clock))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ToolError(f"nextpnr.json: not the report of one clock ({error!r})") from None


def wrapped(text: str, top: str) -> str:
    """``text`` and a module ``bench`` around ``top``, whose ports are all registers but few pins.

    The inputs come from one long shift register; the outputs go into registers that ``load`` fills and
    that shift out otherwise (one LUT each, so that nothing slow stands behind the design).
    """
    match = re.search(rf"^module {re.escape(top)}\b.*?^endmodule", text, re.DOTALL | re.MULTILINE)
    if match is None:
        raise InputError(f"design.v has no module {top}; generate the design again")
    inputs: list[tuple[str, int]] = []
    outputs: list[tuple[str, int]] = []
    clock = ""
    for direction, high, name in _PORT.findall(match[0]):
        if name in _CLOCKS:
            clock = name
        else:
            (inputs if direction == "input" else outputs).append((name, int(high or 0) + 1))
    if len(inputs) + len(outputs) + bool(clock) != len(re.findall(r"^  (?:input|output)\b", match[0], re.MULTILINE)):
        raise ToolError(f"design.v: a port of the module {top} is written in a way that is not known here")
    count_in, count_out = (max(1, sum(width for _, width in ports)) for ports in (inputs, outputs))
    ports = [f".{clock}(clk)"] if clock else []
    for source, group in (("taken", inputs), ("given", outputs)):
        first = 0
        for name, width in group:
            ports.append(f".{name} ({source}[{first + width - 1}:{first}])")
            first += width
    bench = f"""
module bench(input wire clk, input wire si, input wire load, output wire so);
  reg [{count_in}:0] taken;
  wire [{count_out - 1}:0] given;
  reg [{count_out - 1}:0] caught;
  always @(posedge clk) begin
    taken <= {{taken[{count_in - 1}:0], si}};
    caught <= load ? given : (caught >> 1);
  end
  assign so = caught[0];
  {top} dut ({", ".join(ports)});
endmodule
"""
    return text + bench

"""What differs between the families of FPGAs when a bitstream is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cs_hdl.plan.device_limits import GOWIN_FLIP_FLOPS_PER_RAM, GOWIN_LUTS_PER_RAM

__all__ = ["FAMILIES", "ClockPorts", "Family"]


@dataclass(frozen=True, kw_only=True)
class ClockPorts:
    """Ports of a PLL: the design's clock comes out of ``design``, the oscillator's stands at ``serial``."""

    design: str
    serial: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of FPGAs.

    ``nextpnr`` and ``packer`` name the tools. ``constraints`` is what amaranth-boards writes for pins and clocks,
    ``config`` what nextpnr writes and ``bitstream`` what goes to the board. ``script`` is Yosys' script between
    reading and the netlist. ``plls`` has the ports of each PLL cell. ``cells`` says how many of ``lut``, ``dsp``,
    ``block_ram``, ``ff`` and ``carry`` each type of cell takes in a netlist (an entry that ends in ``*`` counts for
    all types that begin so), ``report`` the same for the names of nextpnr's report, the first of them being what there
    is on the chip. Kinds that are not in it are counted in the netlist; ``in_place_of`` names what there is of them.
    """

    name: str
    nextpnr: str
    packer: str
    constraints: str
    config: str
    bitstream: str
    script: str
    plls: Mapping[str, ClockPorts]
    cells: Mapping[str, Mapping[str, int]]
    report: Mapping[str, Mapping[str, int]]
    in_place_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def tools(self) -> tuple[str, ...]:
        """All tools of a build, in their order."""
        return ("yosys", self.nextpnr, self.packer)

    def count(self, kind: str, cells: Mapping[str, int]) -> int:
        """How many of ``kind`` the ``cells`` of a netlist take."""
        total = 0
        for pattern, each in self.cells[kind].items():
            for cell, number in cells.items():
                if cell == pattern or (pattern.endswith("*") and cell.startswith(pattern[:-1])):
                    total += each * number
        return total


_ECP5 = Family(
    name="ecp5",
    nextpnr="nextpnr-ecp5",
    packer="ecppack",
    constraints="top.lpf",
    config="top.config",
    bitstream="top.bit",
    script="synth_ecp5 -top top -json top.json",
    plls={"EHXPLLL": ClockPorts(design="CLKOS", serial="CLKI")},
    cells={
        # Two LUTs are a carry cell's; a 16x4 RAM takes those of four outputs (its write port's two are elsewhere).
        "lut": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        "dsp": {"MULT18X18D": 1},
        "block_ram": {"DP16KD": 1},
        "ff": {"TRELLIS_FF": 1},
        "carry": {"CCU2C": 1},
    },
    report={
        "lut": {"TRELLIS_COMB": 1},
        "ff": {"TRELLIS_FF": 1},
        "dsp": {"MULT18X18D": 1},
        "block_ram": {"DP16KD": 1},
    },
)

_ICE40 = Family(
    name="ice40",
    nextpnr="nextpnr-ice40",
    packer="icepack",
    constraints="top.pcf",
    config="top.pnr.json",
    bitstream="top.bin",
    # (-dsp: SB_MAC16, which only the UltraPlus has; the build leaves it out for the others.)
    script="synth_ice40 -dsp -device {variant} -top top -json top.json",
    plls={
        "SB_PLL40_CORE": ClockPorts(design="PLLOUTGLOBAL", serial="REFERENCECLK"),
        "SB_PLL40_2_PAD": ClockPorts(design="PLLOUTGLOBALB", serial="PLLOUTGLOBALA"),
    },
    cells={
        "lut": {"SB_LUT4": 1},
        "dsp": {"SB_MAC16": 1},
        "block_ram": {"SB_RAM40_4K*": 1},
        "ff": {"SB_DFF*": 1},
        "carry": {"SB_CARRY": 1},
    },
    report={"lut": {"ICESTORM_LC": 1}, "dsp": {"ICESTORM_DSP": 1}, "block_ram": {"ICESTORM_RAM": 1}},
    # A logic cell has one of each.
    in_place_of={"ff": "ICESTORM_LC"},
)

_GOWIN = Family(
    name="gowin",
    nextpnr="nextpnr-himbaechel-gowin",
    packer="gowin_pack",
    constraints="top.cst",
    config="top.pnr.json",
    bitstream="top.fs",
    script="synth_gowin -family {variant} -top top -json top.json",
    plls={"rPLL": ClockPorts(design="CLKOUT", serial="CLKIN")},
    cells={
        # A carry cell is a LUT's place; a 16x4 RAM takes several, and flip-flops' too (as nextpnr counts).
        "lut": {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": GOWIN_LUTS_PER_RAM},
        # One of 18 bits takes the place of two of 9.
        "dsp": {"MULT9X9": 1, "MULT18X18": 2, "MULT36X36": 8},
        "block_ram": {"SDPB": 1, "SDPX9B": 1, "DPB": 1, "DPX9B": 1, "pROM": 1, "pROMX9": 1},
        "ff": {"DFF*": 1, "RAM16SDP4": GOWIN_FLIP_FLOPS_PER_RAM},
        "carry": {"ALU": 1},
    },
    report={
        # (All of them: those of carry cells and RAM too.)
        "lut": {"LUT4": 1},
        "ff": {"DFF": 1},
        "dsp": {"MULT9X9": 1, "MULT18X18": 2, "MULT36X36": 8},
        "block_ram": {"BSRAM": 1},
    },
)

#: All of them, by name.
FAMILIES: dict[str, Family] = {family.name: family for family in (_ECP5, _ICE40, _GOWIN)}

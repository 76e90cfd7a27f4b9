"""FPGAs that designs can be planned for though cs-hdl builds no bitstream for them.

Plans for them are estimates: the planner's cost is that of an ECP5, whose LUTs have four inputs and whose block RAMs
hold 18 kbit. An UltraScale+ LUT has six inputs and is counted as one of four; a DSP48E2 as one product of 8 x 8 bits;
a block RAM of 36 kbit as two of 18. UltraRAM is left out: a bitstream cannot fill it, and weights are constants.
"""

from __future__ import annotations

from cs_hdl.plan.device_limits import DeviceLimits

__all__ = ["PLANNED_DEVICES", "SOURCES"]

#: LUTs, DSP slices and block RAMs of 36 kbit, from the product tables.
_ULTRASCALE_PLUS = {
    "XCZU3EG": (70_560, 360, 216),
    "XCZU9EG": (274_080, 2_520, 912),
    "XCKU5P": (216_960, 1_824, 480),
    "XCU250": (1_728_000, 12_288, 2_688),
    "XCVU13P": (1_728_000, 12_288, 2_688),
    "XCVU19P": (4_085_760, 3_840, 2_160),
}
_PER_36K = 2

#: Where the figures of each family are published.
SOURCES = {
    "LFE5U": "Lattice FPGA-DS-02012, ECP5 and ECP5-5G Family Data Sheet, table 1.1 (LUTs as nextpnr counts them)",
    "XCZU": "AMD/Xilinx DS891, Zynq UltraScale+ MPSoC Data Sheet: Overview",
    "XCKU": "AMD/Xilinx DS890, UltraScale Architecture and Product Data Sheet: Overview",
    "XCVU": "AMD/Xilinx DS890, UltraScale Architecture and Product Data Sheet: Overview",
    "XCU250": "AMD/Xilinx DS962, Alveo U200 and U250 Data Sheet (the whole chip, an XCVU13P of four dies)",
}

#: By how a plan counts.
PLANNED_DEVICES = tuple(
    DeviceLimits(name=name, lut=lut, dsp=dsp, block_ram=_PER_36K * block_ram)
    for name, (lut, dsp, block_ram) in _ULTRASCALE_PLUS.items()
)

"""What a device has, how much of it may be planned for, and what a cost on an ECP5 comes to on another family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cs_hdl.plan.cost import LUTS_PER_LUT_RAM, LUTS_PER_MULTIPLIER, LUTS_PER_REGISTER_BIT

if TYPE_CHECKING:
    from cs_hdl.plan.cost import Cost

__all__ = ["GOWIN_FLIP_FLOPS_PER_RAM", "GOWIN_LUTS_PER_RAM", "DeviceLimits", "fits", "needs", "usable"]


@dataclass(frozen=True, kw_only=True)
class DeviceLimits:
    """What a device has; ``lut`` counts 4-input LUTs, ``block_ram`` blocks of its ``family``'s own size.

    An ``ice40`` has no RAM made of LUTs and blocks of 4 kbit; ``dsp`` is 0 where multipliers are made of LUTs.
    """

    name: str
    lut: int
    dsp: int
    block_ram: int
    family: str = "ecp5"

    @property
    def ff(self) -> int:
        """Flip-flops: one beside each LUT, but for a Gowin chip."""
        return round(self.lut * _FLIP_FLOPS_PER_LUT) if self.family == "gowin" else self.lut


#: Share of the device's LUTs that may be planned for. On an ECP5, routing gets slow and clocks low beyond it; on the
#: others, whose boards' top level is counted, nextpnr finds no place beyond it (iCE40UP5K: 84 % was placed, 92 % was
#: not).
_LUT_SHARE = 0.75
_LUT_SHARE_OF = {"ice40": 0.9, "gowin": 0.8}
#: Block RAMs that a board's own top level takes (a request, the stored words, what waits between the clocks), on
#: small chips, where they count; and its LUTs, with the flip-flops that share no cell with one.
_BOARD_BLOCK_RAMS = {"ice40": 5, "gowin": 3}
_BOARD_LUTS = {"ice40": 930, "gowin": 1000}
#: iCE40: a cell has a LUT and a flip-flop. So many of the flip-flops find no LUT to share a cell with (nextpnr's
#: packing of digits-tiny in five foldings: 0.58 to 0.63).
_LONE_FLIP_FLOPS = 0.61
#: Gowin: places of LUTs and of flip-flops that nextpnr takes for a memory of 16 x 4 bits (exact over four designs).
GOWIN_LUTS_PER_RAM, GOWIN_FLIP_FLOPS_PER_RAM = 8, 6
#: Gowin: flip-flops beside each LUT, and LUTs for each place where such a memory can be.
_FLIP_FLOPS_PER_LUT, _LUTS_PER_RAM_PLACE = 0.75, 32
#: Gowin: what Yosys makes of the same logic, by what it makes of it for an ECP5; and how many flip-flops take the place
#: of a LUT, since nextpnr puts one only beside the very LUT that feeds it (its packing of digits and digits-tiny in
#: five foldings, 96 % to 152 % of a chip: within 4 %).
_GOWIN_LUTS, _GOWIN_LONE_FLIP_FLOPS = 1.1, 0.88


def usable(limits: DeviceLimits) -> dict[str, int]:
    """By kind, what of a device may be planned for."""
    block_ram = max(0, limits.block_ram - _BOARD_BLOCK_RAMS.get(limits.family, 0))
    share = _LUT_SHARE_OF.get(limits.family, _LUT_SHARE)
    return {"LUT": int(limits.lut * share), "DSP": limits.dsp, "block RAM": block_ram}


def needs(cost: Cost, limits: DeviceLimits) -> dict[str, int]:
    """By the same kinds, what ``cost`` asks for on such a device.

    LUTs stand for whatever of logic binds there: on an iCE40 cells of a LUT and a flip-flop, on a Gowin chip the same,
    or the LUTs among which there are so many flip-flops, or so many places for RAM.
    """
    lut, dsp, block_ram = cost.lut, cost.dsp, cost.block_ram
    if limits.dsp == 0:
        lut, dsp = lut + dsp * LUTS_PER_MULTIPLIER, 0
    if limits.family == "ice40":
        block_ram = cost.small_ram
        lut += cost.register_bits * LUTS_PER_REGISTER_BIT + _LONE_FLIP_FLOPS * cost.ff
    elif limits.family == "gowin":
        lut = _GOWIN_LUTS * (lut + (GOWIN_LUTS_PER_RAM - LUTS_PER_LUT_RAM) * cost.lut_ram)
        lut = max(
            lut + _GOWIN_LONE_FLIP_FLOPS * cost.ff,
            (cost.ff + GOWIN_FLIP_FLOPS_PER_RAM * cost.lut_ram) / _FLIP_FLOPS_PER_LUT,
            _LUTS_PER_RAM_PLACE * cost.lut_ram,
        )
    lut += _BOARD_LUTS.get(limits.family, 0)
    return {"LUT": round(lut), "DSP": dsp, "block RAM": block_ram}


def fits(cost: Cost, limits: DeviceLimits) -> bool:
    """Whether ``cost`` is within what of the device may be planned for."""
    there = usable(limits)
    return all(need <= there[kind] for kind, need in needs(cost, limits).items())

"""The devices' own versions of the modules behind the technology seam."""

from __future__ import annotations

import re
from pathlib import Path

from cs_hdl.errors import InputError
from cs_hdl.rtl.primitives.carry_adders import ADDER_MODULES
from cs_hdl.rtl.primitives.multiplier import MULTIPLIER_MODULE

__all__ = ["device_verilog", "swap_cells"]

_MODULES = (MULTIPLIER_MODULE, *ADDER_MODULES)


def device_verilog(module: str, family: str) -> str | None:
    """``module`` for ``family`` (``ecp5``), or None where that has no version of its own: then Yosys makes of the
    portable one what it can."""
    path = Path(__file__).with_name(f"{module.removeprefix('cs_')}_{family}.v")
    return path.read_text() if path.is_file() else None


def swap_cells(design: str, family: str) -> str:
    """``design`` (the text of design.v) with the portable modules behind the seam exchanged for the family's own, where
    it has them.

    Raises InputError where the design has not exactly one multiplier, or another of them twice.
    """
    for module in _MODULES:
        before, *after = re.split(rf"^module {module}\b.*?^endmodule[^\n]*\n?", design, flags=re.DOTALL | re.MULTILINE)
        count = len(after)
        if count > 1 or (count == 0 and module == MULTIPLIER_MODULE):
            raise InputError(f"design.v has {count} modules {module}, not 1; generate the design again")
        text = device_verilog(module, family)
        if after and text is not None:
            design = before + text + after[0]
    return design

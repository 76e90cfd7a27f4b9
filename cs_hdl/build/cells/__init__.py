"""The devices' own versions of the modules behind the technology seam."""

from __future__ import annotations

import re
from pathlib import Path

from cs_hdl.errors import InputError
from cs_hdl.rtl.primitives.multiplier import MULTIPLIER_MODULE

__all__ = ["multiplier_verilog", "swap_multiplier"]


def multiplier_verilog(family: str) -> str:
    """The registered multiplier for ``family`` (``ecp5``); KeyError where it has no version of its own."""
    path = Path(__file__).with_name(f"registered_multiplier_{family}.v")
    if not path.is_file():
        raise KeyError(family)
    return path.read_text()


def swap_multiplier(design: str, family: str) -> str:
    """``design`` (the text of design.v) with the portable multiplier exchanged for the family's own.

    Raises InputError where the design has not exactly one such module.
    """
    text, count = re.subn(
        rf"^module {MULTIPLIER_MODULE}\b.*?^endmodule[^\n]*\n?",
        lambda _: multiplier_verilog(family),
        design,
        flags=re.DOTALL | re.MULTILINE,
    )
    if count != 1:
        raise InputError(f"design.v has {count} modules {MULTIPLIER_MODULE}, not 1; generate the design again")
    return text

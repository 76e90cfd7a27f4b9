"""The devices' own versions of the modules behind the technology seam."""

from __future__ import annotations

import re
from pathlib import Path

from cs_hdl.errors import InputError
from cs_hdl.rtl.primitives.multiplier import MULTIPLIER_MODULE

__all__ = ["has_multiplier", "multiplier_verilog", "swap_multiplier"]


def has_multiplier(family: str) -> bool:
    """Whether ``family`` has a version of its own; otherwise Yosys makes of the portable one what it can."""
    return _path(family).is_file()


def multiplier_verilog(family: str) -> str:
    """The registered multiplier for ``family`` (``ecp5``); KeyError where it has no version of its own."""
    if not has_multiplier(family):
        raise KeyError(family)
    return _path(family).read_text()


def _path(family: str) -> Path:
    return Path(__file__).with_name(f"registered_multiplier_{family}.v")


def swap_multiplier(design: str, family: str) -> str:
    """``design`` (the text of design.v) with the portable multiplier exchanged for the family's own, if it has one.

    Raises InputError where the design has not exactly one such module.
    """
    text, count = re.subn(
        rf"^module {MULTIPLIER_MODULE}\b.*?^endmodule[^\n]*\n?",
        lambda match: multiplier_verilog(family) if has_multiplier(family) else match[0],
        design,
        flags=re.DOTALL | re.MULTILINE,
    )
    if count != 1:
        raise InputError(f"design.v has {count} modules {MULTIPLIER_MODULE}, not 1; generate the design again")
    return text

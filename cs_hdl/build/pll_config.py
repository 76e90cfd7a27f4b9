"""Changes the clock of a design that is routed already: the PLL's dividers are plain configuration."""

from __future__ import annotations

import re

from cs_hdl.board.pll import PllSettings
from cs_hdl.errors import ToolError

__all__ = ["set_pll"]


def set_pll(config: str, settings: PllSettings) -> str:
    """``config`` (what nextpnr-ecp5 writes) with its one PLL set to ``settings``; nothing else changes.

    Raises ToolError where there is not exactly one PLL.
    """
    sections = re.split(r"(?m)^(?=\.)", config)
    plls = [index for index, section in enumerate(sections) if re.search(r"(?m)^word: CLKOP_DIV ", section)]
    if len(plls) != 1:
        raise ToolError(f"the routed design has {len(plls)} PLLs, not 1")
    section = sections[plls[0]]
    for name, value in settings.parameters().items():
        # Dividers are stored less one, phases as they are.
        stored = value - 1 if name.endswith("_DIV") else value
        section, count = re.subn(rf"(?m)^word: {name} [01]+$", f"word: {name} {stored:07b}", section)
        if count != 1:
            raise ToolError(f"the routed design's PLL has {count} fields {name}, not 1")
    sections[plls[0]] = section
    return "".join(sections)

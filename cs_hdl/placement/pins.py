"""Which input of a LUT a net comes in by, after nextpnr-ecp5 has routed it."""

from __future__ import annotations

import re

__all__ = ["count_swapped"]

#: The last step into a LUT: from any of its inputs' wires to the one that the netlist names.
_LAST_STEP = re.compile(r"X(\d+)/Y(\d+)/0_0_([A-D])(\d)->0_0_([A-D])\4_SLICE")


def count_swapped(text: str) -> int:
    """How many nets come into a LUT by another input than the netlist says, in what nextpnr writes of a design.

    Its router may choose among the four where it changes the table along; a RAM or a carry would do something else.
    """
    return sum(step[3] != step[5] for step in _LAST_STEP.finditer(text))

"""Tells components whether they are elaborated to be simulated or to be written as Verilog."""

from __future__ import annotations

__all__ = ["EmitPlatform"]


class EmitPlatform:
    """The platform that ``emit`` elaborates with.

    With it, a component behind the technology seam becomes an instance of a named Verilog module,
    which ``build`` may exchange for a device's own. Without a platform (Amaranth's simulator) it
    is plain logic.
    """

    emit = True

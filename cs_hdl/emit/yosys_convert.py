"""RTLIL to Verilog by pyosys; run as a script in a process of its own, since Yosys prints a line a pass.

Usage: ``python yosys_convert.py INPUT.il OUTPUT.v`` in a working folder of its own. A native Yosys
on the PATH is deliberately not used: the text must be the same on every machine.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["main"]

#: Taken out: absolute paths, and Amaranth's notes to itself. What steers synthesis stays.
_REMOVED = ("src", "top", "generator", "amaranth.hierarchy", "amaranth.decoding")


def main(source: str, target: str) -> None:
    """Convert the RTLIL file ``source`` to the Verilog file ``target``."""
    from pyosys import libyosys as ys

    shutil.copyfile(Path(__file__).with_name("equal_widths.v"), "equal_widths.v")  # Yosys splits a path at spaces
    design = ys.Design()
    removed = " ".join(f"-remove {name}" for name in _REMOVED)
    for command in (
        f"read_rtlil {source}",
        "proc -norom",
        "techmap -map equal_widths.v",
        "memory_collect",
        f"attrmap {removed}",
        f"attrmap -modattr {removed}",
        f"write_verilog {target}",
    ):
        ys.run_pass(command, design)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Proves that a fault which no test caught is none: the circuits with and without it are equal in every cycle.

Yosys makes both into one circuit whose only output says that they differ; ABC's signal correspondence
and ``dprove`` show that it never does, from the first state on, for every sequence of inputs, resets
among them - or find the inputs for which it does. Registers without a first state start at 0.

As a script: ``python equivalence.py TOP SECONDS`` in a folder with right.v and faulty.v.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["compare"]

_READ = (
    "hierarchy -top {top}", "proc -norom", "flatten", "memory", "setundef -zero -init", "setundef -zero", "opt -full",
    "opt_clean -purge",
)  # fmt: skip
_MITER = (
    "miter -equiv -flatten right faulty miter", "hierarchy -top miter", "delete right faulty", "opt_clean",
    "dffunmap", "opt_expr", "techmap", "opt_clean", "dfflegalize -cell $_DFF_P_ 01", "aigmap", "opt_clean",
    "setundef -zero -init", "setundef -zero", "write_aiger -zinit miter.aig",
)  # fmt: skip
_PROOF = "read_aiger miter.aig; strash; scorr -F 1; dprove; print_status"


def compare(right: str, faulty: str, top: str, *, seconds: float) -> str:
    """Whether the modules ``top`` with all that they hold are "equal", "different" or (after ``seconds``) "unknown"."""
    with tempfile.TemporaryDirectory(prefix="cs-hdl-mutate-") as folder:
        Path(folder, "right.v").write_text(right)
        Path(folder, "faulty.v").write_text(faulty)
        command = [sys.executable, __file__, top, str(seconds)]
        with Path(folder, "log").open("w") as log:
            result = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
        text = Path(folder, "log").read_text(errors="replace")
        if result.returncode:
            return f"unknown (Yosys: {text.strip().splitlines()[-1]})"
    return text.strip().split("\n")[-1]


def main(top: str, seconds: str) -> None:
    """Print the answer as the last line."""
    from pyosys import libyosys as ys

    for name in ("right", "faulty"):
        design = ys.Design()
        commands = [command.format(top=top) for command in _READ]
        for command in (f"read_verilog {name}.v", *commands, f"rename {top} {name}", f"write_rtlil {name}.il"):
            ys.run_pass(command, design)
    design = ys.Design()
    for command in ("read_rtlil right.il", "read_rtlil faulty.il", *_MITER):
        ys.run_pass(command, design)
    print(_prove(float(seconds)))


def _prove(seconds: float) -> str:
    import pyosys

    own = Path(pyosys.__file__).with_name("yosys-abc")
    abc = str(own) if own.exists() else shutil.which("yosys-abc") or "yosys-abc"
    try:
        result = subprocess.run([abc, "-c", _PROOF], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "unknown"
    print(result.stdout)
    status = re.search(r"Status = (-?\d)", result.stdout)
    return {"1": "equal", "0": "different"}.get(status.group(1) if status else "", "unknown")


if __name__ == "__main__":
    main(*sys.argv[1:])

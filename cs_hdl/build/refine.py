"""Rounds of better places and another routing for a design that nextpnr-ecp5 has placed and routed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cs_hdl.build.family import Family
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ToolError

__all__ = ["KEEP_PLACEMENT", "Checkpoints", "begin", "refine", "state_files"]

_PLACED, _DELAYS = "placed.json", "delays.sdf"
#: nextpnr's options that leave behind what a round begins with.
KEEP_PLACEMENT = ["--write", _PLACED, "--sdf", _DELAYS]
#: A clock in MHz that no design has: where some paths miss it the router knows which wires to lead straight, where none
#: does it treats all alike. How far it is missed makes no difference.
_AIM_MHZ = 400.0
_REPORT, _LOG, _STATE = "nextpnr.json", "nextpnr.log", "rounds.json"


class Checkpoints(Protocol):
    """Keeps the files of each round somewhere, so that an interrupted build goes on, and more rounds follow later."""

    def restore(self, folder: Path) -> bool:
        """Put the files of the latest round that is there into ``folder``; False where there is none."""

    def keep(self, folder: Path, done: int) -> None:
        """Keep the files of ``folder``, in which so many rounds are done."""


def state_files(family: Family) -> list[str]:
    """All that a next round, or the end, needs of the rounds before it."""
    return [family.config, _REPORT, _LOG, _PLACED, _DELAYS, _STATE]


def begin(folder: Path, checkpoints: Checkpoints | None) -> None:
    """nextpnr's own design is in ``folder``: no round is done yet."""
    _done(folder, 0, best=0, checkpoints=checkpoints)


def refine(
    nextpnr: Tool,
    folder: Path,
    *,
    options: list[str],
    family: Family,
    seed: int,
    rounds: int,
    fmax: Callable[[Path], float],
    enough_mhz: float,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[str], None] = lambda phase: None,
) -> int:
    """Move cells of the design in ``folder`` and route it anew, until ``rounds`` are done; the fastest stays.

    ``folder`` has what ``begin`` or a checkpoint left there. ``options`` are those with which nextpnr ran but
    its input and seed; ``fmax`` reads the clock in MHz out of a report, and from ``enough_mhz`` on no further round is
    made. Returns the round whose design is in ``folder`` at the end, 0 for nextpnr's own. Raises ToolError where
    nextpnr fails or has written something else than is expected.
    """
    done, best = _read_state(folder)
    best_mhz = fmax(folder / _REPORT)
    for number in range(done + 1, rounds + 1):
        if best_mhz >= enough_mhz:
            break
        work = folder / "round"
        work.mkdir()
        _move(folder, work / "moved.json", _telling(progress, f"moving cells, round {number}"))
        step = f"routing, round {number}"
        progress(step)
        shutil.copyfile(folder / family.constraints, work / family.constraints)
        # Another seed each time: much of what a routing holds is luck.
        this = ["--json", "moved.json", "--no-pack", "--no-place", "--seed", str(seed + number), *KEEP_PLACEMENT]
        run_tool(nextpnr, [*options, *this], folder=work, log=_LOG)
        mhz = fmax(work / _REPORT)
        progress(f"{step} · {mhz:.1f} MHz")
        # The next round goes on from this one, faster or not.
        kept = [_PLACED, _DELAYS]
        if mhz > best_mhz:
            best, best_mhz = number, mhz
            kept += [family.config, _REPORT, _LOG]
        for name in kept:
            (work / name).replace(folder / name)
        shutil.rmtree(work)
        _done(folder, number, best=best, checkpoints=checkpoints)
    for name in (_PLACED, _DELAYS, _STATE):
        (folder / name).unlink()
    return best


def _done(folder: Path, number: int, *, best: int, checkpoints: Checkpoints | None) -> None:
    (folder / _STATE).write_text(json.dumps({"done": number, "best": best}))
    if checkpoints is not None:
        checkpoints.keep(folder, number)


def _read_state(folder: Path) -> tuple[int, int]:
    try:
        state = json.loads((folder / _STATE).read_text())
        return int(state["done"]), int(state["best"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{_STATE}: not what a round leaves behind ({error!r})") from None


def _telling(progress: Callable[[str], None], step: str) -> Callable[[int, int, float], None]:
    def tell(turn: int, turns: int, expected_ps: float) -> None:
        progress(f"{step} · {turn} of {turns} turns, {1e6 / expected_ps:.1f} MHz expected")

    progress(step)
    return tell


def _move(routed: Path, result: Path, progress: Callable[[int, int, float], None]) -> None:
    # (SciPy takes its time to be imported, and most commands do without.)
    from cs_hdl.placement.delays import read_delays
    from cs_hdl.placement.improve import improve
    from cs_hdl.placement.placed import PlacedDesign

    design = PlacedDesign(routed / _PLACED)
    improve(design, read_delays(routed / _DELAYS), progress=progress)
    design.write(result, target_mhz=_AIM_MHZ)

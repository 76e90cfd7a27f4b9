"""Rounds of better places and another routing for a design that nextpnr-ecp5 has placed and routed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from cs_hdl.build.family import Family
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool

__all__ = ["KEEP_PLACEMENT", "refine"]

_PLACED, _DELAYS = "placed.json", "delays.sdf"
#: nextpnr's options that leave behind what a round begins with.
KEEP_PLACEMENT = ["--write", _PLACED, "--sdf", _DELAYS]
#: A clock in MHz that no design has: where some paths miss it the router knows which wires to lead straight, where none
#: does it treats all alike. How far it is missed makes no difference.
_AIM_MHZ = 400.0
_REPORT, _LOG = "nextpnr.json", "nextpnr.log"


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
    progress: Callable[[str], None] = lambda phase: None,
) -> int:
    """Move cells of the design in ``folder`` and route it anew, up to ``rounds`` times; the fastest stays.

    nextpnr has left its files there, and what ``KEEP_PLACEMENT`` asks for. ``options`` are those with which it ran but
    its input and seed; ``fmax`` reads the clock in MHz out of a report, and from ``enough_mhz`` on no further round is
    made. Returns the round whose design is in ``folder`` at the end, 0 for nextpnr's own. Raises ToolError where
    nextpnr fails or has written something else than is expected.
    """
    best, best_mhz = 0, fmax(folder / _REPORT)
    for number in range(1, rounds + 1):
        if best_mhz >= enough_mhz:
            break
        work = folder / "round"
        work.mkdir()
        progress(f"moving cells, round {number}")
        _move(folder, work / "moved.json")
        progress(f"routing, round {number}")
        shutil.copyfile(folder / family.constraints, work / family.constraints)
        # Another seed each time: much of what a routing holds is luck.
        this = ["--json", "moved.json", "--no-pack", "--no-place", "--seed", str(seed + number), *KEEP_PLACEMENT]
        run_tool(nextpnr, [*options, *this], folder=work, log=_LOG)
        mhz = fmax(work / _REPORT)
        # The next round goes on from this one, faster or not.
        kept = [_PLACED, _DELAYS]
        if mhz > best_mhz:
            best, best_mhz = number, mhz
            kept += [family.config, _REPORT, _LOG]
        for name in kept:
            (work / name).replace(folder / name)
        shutil.rmtree(work)
    for name in (_PLACED, _DELAYS):
        (folder / name).unlink()
    return best


def _move(routed: Path, result: Path) -> None:
    # (SciPy takes its time to be imported, and most commands do without.)
    from cs_hdl.placement.delays import read_delays
    from cs_hdl.placement.improve import improve
    from cs_hdl.placement.placed import PlacedDesign

    design = PlacedDesign(routed / _PLACED)
    improve(design, read_delays(routed / _DELAYS))
    design.write(result, target_mhz=_AIM_MHZ)

"""Rounds of better places and another routing for a design that nextpnr-ecp5 has placed and routed."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cs_hdl.build.family import Family
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ToolError
from cs_hdl.placement.pins import count_swapped
from cs_hdl.placement.placed import PlacedDesign

__all__ = ["KEEP_PLACEMENT", "Checkpoints", "begin", "read_state", "refine", "state_files"]

_PLACED, _DELAYS, _MOVED = "placed.json", "delays.sdf", "moved.json"
#: nextpnr's options that leave behind what a round begins with.
KEEP_PLACEMENT = ["--write", _PLACED, "--sdf", _DELAYS]
#: The clock that a routing aims at, as a share of what its places promise if every wire that matters is led as the best
#: of its kind; at least so much more than the fastest design has; and what is aimed at if that was too much.
#: (A share of 0.88 took five times as many passes as 0.86, and routing on gets further than either.)
_OF_PROMISED, _OF_BEST, _LESS = 0.86, 1.02, 0.975
#: What is aimed at first once inputs are settled, as a share of what held before: those that come in differently now
#: have to be led anew among all others.
_SETTLED = 0.985
#: The next clock from where a routing got, with the other wires where they are; the second once the first is too much.
_FURTHER = (1.02, 1.01)
#: A pass of router2, how many wires are shared after it, and how many are too slow.
_PASS = re.compile(r"\biter=(\d+) .*\boverused=(\d+) .*\btmgfail=(\d+)")
#: So many passes running with wires that are too slow, or so many in all, and the aim is given up: nextpnr itself goes
#: on for 1,500.
_MOST_SLOW, _MOST_PASSES = 40, 300
#: What gets there comes down to hardly any slow wire early on: to none between these passes in three routings that did,
#: to 35, 44 and 114 at best in three that did not after hundreds.
_EARLY, _FEW = range(4, 13), 25
_REPORT, _LOG, _STATE = "nextpnr.json", "nextpnr.log", "rounds.json"

#: Rounds that are done, the one that made the design that is kept, and whether no further one can help.
_BEGUN = {"done": 0, "best": 0, "ended": 0}


class Checkpoints(Protocol):
    """Keeps the files of each round somewhere, so that an interrupted build goes on, and more rounds follow later."""

    def restore(self, folder: Path) -> bool:
        """Put the files of the latest round that is there into ``folder``; False where there is none."""

    def keep(self, folder: Path, done: int) -> None:
        """Keep the files of ``folder``, in which so many rounds are done."""


def state_files(family: Family) -> list[str]:
    """All that a next round, or the end, needs of the rounds before it."""
    return [*_routed_files(family), _STATE]


def _routed_files(family: Family) -> list[str]:
    """What nextpnr leaves behind of a routed design."""
    return [family.config, _REPORT, _LOG, _PLACED, _DELAYS]


def _take(source: Path, target: Path, family: Family) -> None:
    """Put the routed design of ``source`` in the place of that of ``target``."""
    for name in _routed_files(family):
        (source / name).replace(target / name)


def begin(folder: Path, checkpoints: Checkpoints | None) -> None:
    """nextpnr's own design is in ``folder``: no round is done yet."""
    _keep(folder, _BEGUN, checkpoints)


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
    made, nor behind one whose aims were all given up. Returns the round whose design is in ``folder`` at the end, 0 for
    nextpnr's own. Raises ToolError where nextpnr fails or has written something else than is expected.
    """
    state = read_state(folder)
    best_mhz = fmax(folder / _REPORT)
    for number in range(state["done"] + 1, rounds + 1):
        if best_mhz >= enough_mhz or state["ended"]:
            break
        work = folder / "round"
        work.mkdir()
        design, promised_mhz = _move(folder, _telling(progress, f"moving cells, round {number}"))
        shutil.copyfile(folder / family.constraints, work / family.constraints)
        # Another seed each time: much of what a routing holds is luck.
        this = [*options, "--json", _MOVED, "--no-pack", "--no-place", "--seed", str(seed + number), *KEEP_PLACEMENT]
        aim, routed = max(_OF_PROMISED * promised_mhz, _OF_BEST * best_mhz), False
        while not routed and aim > best_mhz:
            design.write(work / _MOVED, target_mhz=aim)
            step = f"routing for {aim:.1f} MHz, round {number}"
            routed = _route(nextpnr, work, options=this, step=step, progress=progress)
            aim *= _LESS
        mhz = 0.0
        if routed:
            progress(f"{step} · {fmax(work / _REPORT):.1f} MHz")
            mhz = _settle(
                nextpnr, work, options=this, family=family, fmax=fmax, more_than_mhz=best_mhz, enough_mhz=enough_mhz,
                name=f"round {number}", progress=progress,
            )  # fmt: skip
        state |= {"done": number, "ended": not mhz}
        if mhz:
            state["best"], best_mhz = number, mhz
            _take(work, folder, family)
        shutil.rmtree(work)
        _keep(folder, state, checkpoints)
    for name in (_PLACED, _DELAYS, _STATE):
        (folder / name).unlink()
    return state["best"]


def _keep(folder: Path, state: dict[str, int], checkpoints: Checkpoints | None) -> None:
    (folder / _STATE).write_text(json.dumps(state))
    if checkpoints is not None:
        checkpoints.keep(folder, state["done"])


def read_state(folder: Path) -> dict[str, int]:
    """How far the rounds in ``folder`` are; raises ToolError where it has no such file."""
    try:
        state = json.loads((folder / _STATE).read_text())
        return {name: int(state[name]) for name in _BEGUN}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{_STATE}: not what a round leaves behind ({error!r})") from None


class _GivenUp(Exception):
    """A routing does not get where it should."""


def _route(nextpnr: Tool, folder: Path, *, options: list[str], step: str, progress: Callable[[str], None]) -> bool:
    """Route, and tell whether it got there; it is stopped where it seems that it will not."""
    slow_for, fewest = 0, math.inf

    def watch(line: str) -> None:
        nonlocal slow_for, fewest
        found = _PASS.search(line)
        if found is None:
            return
        passes, shared, slow = (int(text) for text in found.groups())
        progress(f"{step} · pass {passes}, {shared} wires shared, {slow} too slow")
        slow_for = slow_for + 1 if slow else 0
        if passes in _EARLY:
            fewest = min(fewest, slow)
        hopeless = passes == _EARLY[-1] and fewest > _FEW
        if hopeless or slow_for > _MOST_SLOW or passes > _MOST_PASSES:
            raise _GivenUp

    progress(step)
    try:
        run_tool(nextpnr, options, folder=folder, log=_LOG, watch=watch)
    except _GivenUp:
        progress(f"{step} · given up")
        return False
    return True


def _settle(
    nextpnr: Tool,
    work: Path,
    *,
    options: list[str],
    family: Family,
    fmax: Callable[[Path], float],
    more_than_mhz: float,
    enough_mhz: float,
    name: str,
    progress: Callable[[str], None],
) -> float:
    """Route on from the design in ``work`` with the inputs of its LUTs settled, for the clock that it holds or less,
    then for more, as long as that gets there.

    Returns the clock in MHz of what is in ``work`` then; 0 where nothing above ``more_than_mhz`` was reached.
    """

    def reached(design: PlacedDesign, aim: float, least: float) -> float:
        further = work / "further"
        further.mkdir()
        shutil.copyfile(work / family.constraints, further / family.constraints)
        design.write(further / _MOVED, target_mhz=aim, keep_routes=True)
        step = f"routing on for {aim:.1f} MHz, {name}"
        try:
            routed = _route(nextpnr, further, options=options, step=step, progress=progress)
        except ToolError:  # of its own routes it may trip over some; what was there before is none the worse
            progress(f"{step} · nextpnr failed")
            routed = False
        mhz = fmax(further / _REPORT) if routed else 0.0
        if mhz:
            # RAMs and carries would do something else, and nothing else would tell.
            if swapped := count_swapped((further / _PLACED).read_text()):
                raise ToolError(f"nextpnr swapped {swapped} inputs of LUTs, which it must not: build without --refine")
            progress(f"{step} · {mhz:.1f} MHz")
        if mhz > least:
            _take(further, work, family)
        shutil.rmtree(further)
        return mhz if mhz > least else 0.0

    aim, mhz, design = _SETTLED * fmax(work / _REPORT), 0.0, PlacedDesign(work / _PLACED)
    while not mhz and aim > more_than_mhz:
        mhz = reached(design, aim, more_than_mhz)
        aim *= _LESS
    for further in _FURTHER:
        while 0 < mhz < enough_mhz and (better := reached(PlacedDesign(work / _PLACED), further * mhz, mhz)):
            mhz = better
    return mhz


def _telling(progress: Callable[[str], None], step: str) -> Callable[[int, int, float], None]:
    def tell(turn: int, turns: int, expected_ps: float) -> None:
        progress(f"{step} · {turn} of {turns} turns, {1e6 / expected_ps:.1f} MHz possible")

    progress(step)
    return tell


def _move(routed: Path, progress: Callable[[int, int, float], None]) -> tuple[PlacedDesign, float]:
    """The design with its cells moved, and the clock in MHz that its places promise."""
    # (SciPy takes its time to be imported, and most commands do without.)
    from cs_hdl.placement.delays import read_delays
    from cs_hdl.placement.improve import improve

    design = PlacedDesign(routed / _PLACED)
    return design, 1e6 / improve(design, read_delays(routed / _DELAYS), progress=progress)

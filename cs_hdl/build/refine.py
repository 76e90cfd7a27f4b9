"""Rounds of better places and another routing for a design that nextpnr-ecp5 has placed and routed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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
#: The clock that routing on aims at first, as a share of what places promise if every wire that matters is led as the
#: best of its kind; and what is aimed at if that was too much. Then the same where few cells were moved among others.
_FIRST, _LESS = 0.85, 0.96
_FIRST_MENDED, _LESS_MENDED = 0.9975, 0.9925
#: The next clock from where a routing got, with the other wires where they are; smaller steps once one is too much.
_FURTHER = (1.03, 1.015, 1.0075)
#: A pass of router2, how many wires are shared after it, and how many are too slow.
_PASS = re.compile(r"\biter=(\d+) .*\boverused=(\d+)(?: .*\btmgfail=(\d+))?")
#: So many passes running with wires that are too slow, or so many in all, and the aim is given up: nextpnr itself goes
#: on for 1,500. What got there had done so after 38 to 79.
_MOST_SLOW, _MOST_PASSES = 40, 120
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

    The first round moves what gains and routes all from nothing; later ones move only what the slowest paths need, and
    lead only that anew. ``folder`` has what ``begin`` or a checkpoint left there. ``options`` are those with which
    nextpnr ran but its input and seed; ``fmax`` reads the clock in MHz out of a report, and from ``enough_mhz`` on no
    further round is made, nor behind one that gained nothing. Returns the round whose design is in ``folder`` at the
    end, 0 for nextpnr's own. Raises ToolError where nextpnr fails or has written something else than is expected.
    """
    state = read_state(folder)
    best_mhz = fmax(folder / _REPORT)
    for number in range(state["done"] + 1, rounds + 1):
        if best_mhz >= enough_mhz or state["ended"]:
            break
        work = folder / "round"
        work.mkdir()
        shutil.copyfile(folder / family.constraints, work / family.constraints)
        # Another seed each time: much of what a routing holds is luck.
        this = [*options, "--json", _MOVED, "--no-pack", "--no-place", "--seed", str(seed + number), *KEEP_PLACEMENT]
        router = _Router(
            nextpnr=nextpnr, options=this, family=family, fmax=fmax, enough_mhz=enough_mhz, name=f"round {number}",
            progress=progress,
        )  # fmt: skip
        mhz = router.mend(folder, work, best_mhz) if state["best"] else router.begin(folder, work, best_mhz)
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


@dataclass(frozen=True, kw_only=True)
class _Router:
    """Routes one round's design in a folder that has the constraints; its methods return what is reached in MHz."""

    nextpnr: Tool
    options: list[str]
    family: Family
    fmax: Callable[[Path], float]
    enough_mhz: float
    name: str
    progress: Callable[[str], None]

    def begin(self, routed: Path, work: Path, best_mhz: float) -> float:
        """From the design in ``routed`` to a faster one in ``work``, all of it led anew; 0 where it is not faster."""
        design, promised_mhz = _move(routed, self._telling("moving cells"), keep_routes=False)
        design.write(work / _MOVED, target_mhz=promised_mhz, keep_routes=False)
        step = f"routing, {self.name}"
        self._route(work, step)
        mhz = self._routed_mhz(work, step)
        least_mhz = max(mhz, best_mhz)
        aims = _aims(_FIRST * promised_mhz, least_mhz, _LESS)
        return self._climb(work, PlacedDesign(work / _PLACED), aims, least_mhz) or (mhz if mhz > best_mhz else 0.0)

    def mend(self, routed: Path, work: Path, best_mhz: float) -> float:
        """The same with few cells moved and the routes to all others kept."""
        design, promised_mhz = _move(routed, self._telling("moving few cells"), keep_routes=True)
        aims = _aims(_FIRST_MENDED * promised_mhz, best_mhz, _LESS_MENDED)
        return self._climb(work, design, aims, best_mhz)

    def _climb(self, work: Path, design: PlacedDesign, aims: Iterable[float], least_mhz: float) -> float:
        """Route on for the first of ``aims`` that is met, then for more, as long as that gets there."""
        mhz = 0.0
        for aim in aims:
            if mhz := self._further(work, design, aim, least_mhz):
                design = PlacedDesign(work / _PLACED)
                break
        for step in _FURTHER:
            while 0 < mhz < self.enough_mhz and (better := self._further(work, design, step * mhz, mhz)):
                mhz, design = better, PlacedDesign(work / _PLACED)
        return mhz

    def _further(self, work: Path, design: PlacedDesign, aim_mhz: float, least_mhz: float) -> float:
        """Put ``design``, routed on for a clock, into ``work``; 0, and nothing, where it is not above the least."""
        further = work / "further"
        further.mkdir()
        shutil.copyfile(work / self.family.constraints, further / self.family.constraints)
        design.write(further / _MOVED, target_mhz=aim_mhz, keep_routes=True)
        step = f"routing on for {aim_mhz:.1f} MHz, {self.name}"
        mhz = 0.0
        try:
            self._route(further, step)
        except _GivenUp:
            self.progress(f"{step} · given up")
        except ToolError:  # of its own routes it may trip over some; what was there before is none the worse
            self.progress(f"{step} · nextpnr failed")
        else:
            mhz = self._routed_mhz(further, step)
        if mhz > least_mhz:
            _take(further, work, self.family)
        shutil.rmtree(further)
        return mhz if mhz > least_mhz else 0.0

    def _route(self, folder: Path, step: str) -> None:
        """Route; on for a clock, it is stopped, and _GivenUp raised, where it seems that it will not get there."""
        slow_for = 0

        def watch(line: str) -> None:
            nonlocal slow_for
            found = _PASS.search(line)
            if found is None:
                return
            passes, shared, slow = (int(text or 0) for text in found.groups())
            self.progress(f"{step} · pass {passes}, {shared} wires shared" + (f", {slow} too slow" if found[3] else ""))
            slow_for = slow_for + 1 if slow else 0
            if found[3] and (slow_for > _MOST_SLOW or passes > _MOST_PASSES):
                raise _GivenUp

        self.progress(step)
        run_tool(self.nextpnr, self.options, folder=folder, log=_LOG, watch=watch)

    def _routed_mhz(self, folder: Path, step: str) -> float:
        """The clock of what was routed, which is what was to be routed."""
        # RAMs and carries would do something else, and nothing else would tell.
        if swapped := count_swapped((folder / _PLACED).read_text()):
            raise ToolError(f"nextpnr swapped {swapped} inputs of LUTs, which it must not: build without --refine")
        mhz = self.fmax(folder / _REPORT)
        self.progress(f"{step} · {mhz:.1f} MHz")
        return mhz

    def _telling(self, what: str) -> Callable[[int, int, float], None]:
        step = f"{what}, {self.name}"

        def tell(turn: int, turns: int, expected_ps: float) -> None:
            self.progress(f"{step} · {turn} of {turns} turns, {1e6 / expected_ps:.1f} MHz possible")

        self.progress(step)
        return tell


def _aims(first_mhz: float, least_mhz: float, less: float) -> Iterator[float]:
    """Clocks to try, each a little below the one before."""
    while first_mhz > least_mhz:
        yield first_mhz
        first_mhz *= less


def _move(
    routed: Path, progress: Callable[[int, int, float], None], *, keep_routes: bool
) -> tuple[PlacedDesign, float]:
    """The design with its cells moved, and the clock in MHz that its places promise."""
    # (SciPy takes its time to be imported, and most commands do without.)
    from cs_hdl.placement.delays import read_delays
    from cs_hdl.placement.improve import improve

    design = PlacedDesign(routed / _PLACED)
    delays = read_delays(routed / _DELAYS)
    return design, 1e6 / improve(design, delays, keep_routes=keep_routes, progress=progress)

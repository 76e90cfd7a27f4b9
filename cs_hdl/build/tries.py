"""One netlist and its routed designs, a seed each: the fastest, and what is in the cache already."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.board.catalogue import Board
from cs_hdl.board.clocks import Pll
from cs_hdl.build.cache import digest_of, fetch, store
from cs_hdl.build.family import Family
from cs_hdl.build.options import synthesis_variant
from cs_hdl.build.place_route import Routed, place_and_route, read_report
from cs_hdl.build.refine import read_state, state_files
from cs_hdl.build.spill import registers_for
from cs_hdl.build.synthesis import Netlist, check_fit, read_netlist, script, synthesise
from cs_hdl.build.tools import Tool
from cs_hdl.errors import ResultError, ToolError
from cs_hdl.placement import IMPROVES

__all__ = ["KEPT", "BuildParts", "Try", "best_of_all", "best_try"]

#: What a routed design leaves behind beside the family's own file.
KEPT = ("nextpnr.json", "nextpnr.log", "synthesis.log")
#: What a netlist consists of in the cache, and a routed design.
_NETLIST = ["top.json", "synthesis.log", "synthesis.json"]
_ROUTED = [*KEPT, "routed.json"]
#: Syntheses at most, each with more memories as registers, until the block RAMs suffice.
_SYNTHESES = 3


@dataclass(frozen=True, kw_only=True)
class BuildParts:
    """All that a netlist and a routed design depend on but the seed.

    ``rounds`` are those of better places, and from ``enough_mhz`` on there are no more of them.
    """

    tools: dict[str, Tool]
    files: dict[str, str]
    device: list[str]
    pack_options: list[str]
    board: Board
    family: Family
    pll: Pll
    rounds: int = 0
    enough_mhz: float = math.inf

    @property
    def script(self) -> str:
        return self.script_with([])

    def script_with(self, registers: list[str]) -> str:
        variant = synthesis_variant(self.board.device, self.family)
        return script(self.family, variant=variant, dsp=self.board.limits.dsp > 0, registers=registers)

    def netlist_key(self) -> str:
        # (How memories become registers follows from files, script and what the board has.)
        limits = dataclasses.asdict(self.board.limits) if self.family.name == "ice40" else {}
        parts = {"files": self.files, "script": self.script, "yosys": self.tools["yosys"].version}
        return digest_of(parts | ({"limits": limits} if limits else {}))

    def routed_key(self, seed: int) -> str:
        # (What rounds give depends on how far they go.)
        rounds = {"rounds": [self.rounds, self.enough_mhz, IMPROVES]} if self.rounds else {}
        return digest_of(self._placed_parts(seed) | rounds)

    def round_key(self, seed: int, done: int) -> str:
        """Names what so many rounds leave behind; how many more there will be does not matter."""
        return digest_of(self._placed_parts(seed) | {"done": [done, IMPROVES if done else 0]})

    def _placed_parts(self, seed: int) -> dict[str, Any]:
        versions = {name: tool.version for name, tool in self.tools.items()}
        return {"files": self.files, "script": self.script, "device": self.device, "seed": seed, "tools": versions}


@dataclass(frozen=True, kw_only=True)
class Try:
    """One routed design, its files in ``folder``."""

    folder: Path
    routed: Routed
    carry: int
    seconds: dict[str, float]


def best_try(parts: BuildParts, work: Path, *, seeds: range, wanted: Pll, progress: Callable[[str], None]) -> Try:
    """The first try that meets the wanted clock, or the fastest of all."""
    best: Try | None = None
    netlist: Netlist | None = None
    for number, seed in enumerate(seeds):
        folder = work / f"seed-{seed}"
        folder.mkdir()
        this = _known_try(parts, seed, folder)
        if this is not None:
            progress(f"seed {seed}: as built before")
        else:
            if netlist is None:
                netlist, seconds = _synthesise(parts, work, progress)
            which = f"seed {seed}" + (f" (try {number + 1} of {len(seeds)})" if len(seeds) > 1 else "")

            def tell(phase: str, which: str = which) -> None:
                step, mark, detail = phase.partition(" · ")
                progress(f"{step}, {which}{mark}{detail}")

            this = _route(parts, work, folder, seed=seed, netlist=netlist, seconds=seconds, progress=tell)
        _check_serial(this, parts)
        if best is None or this.routed.fmax_mhz > best.routed.fmax_mhz:
            best = this
        if this.routed.fmax_mhz >= wanted.output_mhz:
            break
    assert best is not None  # there is at least one seed
    return best


def best_of_all(
    parts: BuildParts,
    work: Path,
    *,
    seeds: range,
    jobs: int,
    scheduler: str | None,
    progress: Callable[[str], None],
) -> Try:
    """The fastest of all seeds (the first of equal ones) whose serial port is fast enough, routed at once."""
    from cs_hdl.build.cluster import RouteTask, route_seeds

    done: dict[int, Try] = {}
    for seed in seeds:
        folder = work / f"seed-{seed}"
        folder.mkdir()
        this = _known_try(parts, seed, folder)
        if this is not None:
            done[seed] = this
    missing = [seed for seed in seeds if seed not in done]
    if missing:
        netlist, seconds = _synthesise(parts, work, progress)
        task = RouteTask.of(
            work,
            device=parts.device,
            netlist=netlist,
            family=parts.family.name,
            clock_mhz=parts.pll.output_mhz,
            rounds=parts.rounds,
            enough_mhz=parts.enough_mhz,
            version=parts.tools[parts.family.nextpnr].version,
        )
        started = time.monotonic()
        for seed, folder in route_seeds(task, missing, work=work, jobs=jobs, scheduler=scheduler, progress=progress):
            routed = read_report(folder / "nextpnr.json", seed=seed, netlist=netlist, family=parts.family)
            times = {"synthesis": seconds, "place_and_route": round(time.monotonic() - started, 2)}
            shutil.copyfile(work / "synthesis.log", folder / "synthesis.log")
            done[seed] = _keep_try(parts, folder, routed=routed, netlist=netlist, seconds=times)
    tries = [done[seed] for seed in seeds]
    good = [this for this in tries if this.routed.serial_fmax_mhz >= parts.board.oscillator_mhz]
    if not good:
        _check_serial(tries[0], parts)
    return max(good, key=lambda this: this.routed.fmax_mhz)


def _check_serial(this: Try, parts: BuildParts) -> None:
    if this.routed.serial_fmax_mhz < parts.board.oscillator_mhz:
        raise ResultError(
            f"timing missed: the serial port reaches {this.routed.serial_fmax_mhz:.1f} MHz "
            f"of {parts.board.oscillator_mhz:g} MHz; take another --seed"
        )


def _known_try(parts: BuildParts, seed: int, folder: Path) -> Try | None:
    """The try ``seed`` of the cache, its files in ``folder``; None where it is absent, damaged or incomplete."""
    names = [parts.family.config, *_ROUTED]
    if not fetch(parts.routed_key(seed), folder) or not all((folder / name).is_file() for name in names):
        return None
    try:
        entry = json.loads((folder / "routed.json").read_text())
        return Try(folder=folder, routed=Routed(**entry["routed"]), carry=entry["carry"], seconds=entry["seconds"])
    except (ValueError, KeyError, TypeError):
        return None


def _synthesise(parts: BuildParts, work: Path, progress: Callable[[str], None]) -> tuple[Netlist, float]:
    """``top.json`` in ``work``, from the cache where it is there, and the seconds that it took to make."""
    for name, text in parts.files.items():
        (work / name).write_text(text)
    known = _known_netlist(parts, work)
    if known is not None:
        progress("synthesis: as done before")
        netlist, seconds = known
    else:
        progress("synthesis")
        started = time.monotonic()
        netlist = _small_enough(parts, work)
        seconds = round(time.monotonic() - started, 2)
        (work / "synthesis.json").write_text(json.dumps({"seconds": seconds}))
        store(parts.netlist_key(), work, _NETLIST)
    check_fit(netlist, parts.board.limits)
    return netlist, seconds


def _small_enough(parts: BuildParts, work: Path) -> Netlist:
    """The netlist; on an iCE40 with so many of the smallest memories as registers that the block RAMs suffice."""
    registers: list[str] = []
    over = 0
    for _ in range(_SYNTHESES):
        netlist = synthesise(parts.tools["yosys"], work, text=parts.script_with(registers), family=parts.family)
        more = parts.family.count("block_ram", netlist.cells) - parts.board.limits.block_ram
        if parts.family.name != "ice40" or more <= 0:
            break
        over += more
        chosen = registers_for(parts.files["design.v"], over)
        if chosen == registers:
            break
        registers = chosen
    return netlist


def _known_netlist(parts: BuildParts, work: Path) -> tuple[Netlist, float] | None:
    if not fetch(parts.netlist_key(), work):
        return None
    try:
        return read_netlist(work / "top.json", family=parts.family), float(
            json.loads((work / "synthesis.json").read_text())["seconds"]
        )
    except (ToolError, OSError, ValueError, KeyError, TypeError):
        return None


def _route(
    parts: BuildParts,
    work: Path,
    folder: Path,
    *,
    seed: int,
    netlist: Netlist,
    seconds: float,
    progress: Callable[[str], None],
) -> Try:
    checkpoints = _Checkpoints(parts, seed)
    routed = place_and_route(
        parts.tools[parts.family.nextpnr],
        work,
        device=parts.device,
        seed=seed,
        netlist=netlist,
        family=parts.family,
        clock_mhz=parts.pll.output_mhz,
        rounds=parts.rounds,
        enough_mhz=parts.enough_mhz,
        checkpoints=checkpoints,
        progress=progress,
    )
    times = {"synthesis": seconds, "place_and_route": checkpoints.seconds()}
    for name in (parts.family.config, "nextpnr.json", "nextpnr.log"):
        shutil.move(work / name, folder / name)
    shutil.copyfile(work / "synthesis.log", folder / "synthesis.log")
    return _keep_try(parts, folder, routed=routed, netlist=netlist, seconds=times)


class _Checkpoints:
    """The rounds of one seed in the cache, and how long all of them have taken."""

    _seconds_file = "seconds.json"

    def __init__(self, parts: BuildParts, seed: int) -> None:
        self._parts, self._seed = parts, seed
        self._names = [*state_files(parts.family), self._seconds_file]
        self._before, self._started = 0.0, time.monotonic()

    def restore(self, folder: Path) -> bool:
        for done in range(self._parts.rounds, -1, -1):
            if not fetch(self._parts.round_key(self._seed, done), folder):
                continue
            # (As with a try: what is no result of ours counts as absent.)
            with suppress(ToolError, OSError, ValueError, TypeError):
                read_state(folder)
                self._before = float(json.loads((folder / self._seconds_file).read_text()))
                if all((folder / name).is_file() for name in self._names):
                    return True
        return False

    def keep(self, folder: Path, done: int) -> None:
        (folder / self._seconds_file).write_text(json.dumps(self.seconds()))
        store(self._parts.round_key(self._seed, done), folder, self._names)

    def seconds(self) -> float:
        return round(self._before + time.monotonic() - self._started, 2)


def _keep_try(parts: BuildParts, folder: Path, *, routed: Routed, netlist: Netlist, seconds: dict[str, float]) -> Try:
    """The try whose files are in ``folder``, put into the cache."""
    carry = parts.family.count("carry", netlist.cells)
    entry = {"routed": dataclasses.asdict(routed), "carry": carry, "seconds": seconds}
    (folder / "routed.json").write_text(json.dumps(entry))
    store(parts.routed_key(routed.seed), folder, [parts.family.config, *_ROUTED])
    return Try(folder=folder, routed=routed, carry=carry, seconds=seconds)

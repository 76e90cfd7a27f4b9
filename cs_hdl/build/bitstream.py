"""From a design directory to a bitstream for a board, and the report of what it is."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cs_hdl.board.catalogue import Board
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.pll import PllSettings, pll_settings
from cs_hdl.build.cache import digest_of, fetch, store
from cs_hdl.build.cells import swap_multiplier
from cs_hdl.build.place_route import Routed, device_options, place_and_route, read_report
from cs_hdl.build.pll_config import set_pll
from cs_hdl.build.run import run_tool
from cs_hdl.build.synthesis import SCRIPT, Netlist, check_fit, read_netlist, synthesise
from cs_hdl.build.tools import Tool, require_tool
from cs_hdl.emit.design import check_design, replace_folder
from cs_hdl.errors import InputError, ResultError, ToolError

__all__ = ["BuildReport", "build_bitstream"]

#: What a netlist and a routed design consist of in the cache.
_NETLIST = ["top.json", "synthesis.log", "synthesis.json"]
_ROUTED = ["top.config", "nextpnr.json", "nextpnr.log", "synthesis.log", "routed.json"]


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What ``report.json`` holds; ``as_json`` gives it in its form.

    ``clock_mhz`` is the clock that the bitstream really has, ``fmax_mhz`` what nextpnr reports for
    it after routing. ``seconds`` are those that each step took when it was done, which for a result
    from the cache was earlier.
    """

    board: str
    device: str
    bitstream: str
    fmax_mhz: float
    clock_mhz: float
    timing_met: bool
    lut: int
    ff: int
    carry: int
    dsp: int
    block_ram: int
    available: dict[str, int]
    cycles_per_word: float
    words_per_second: float
    seed: int
    tools: dict[str, str]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """The object that is written to ``report.json``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """All that a netlist and a routed design depend on but the seed."""

    tools: dict[str, Tool]
    files: dict[str, str]
    device: list[str]
    board: Board

    def netlist_key(self) -> str:
        return digest_of({"files": self.files, "script": SCRIPT, "yosys": self.tools["yosys"].version})

    def routed_key(self, seed: int) -> str:
        versions = {name: tool.version for name, tool in self.tools.items()}
        return digest_of({
            "files": self.files, "script": SCRIPT, "device": self.device, "seed": seed, "tools": versions,
        })  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Try:
    """One routed design, its files in ``folder``."""

    folder: Path
    routed: Routed
    carry: int
    seconds: dict[str, float]


def build_bitstream(
    design: Path,
    board: Board,
    *,
    seed: int = 1,
    tries: int = 1,
    clock_mhz: float | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> BuildReport:
    """Build ``design`` (a design directory) for ``board``; all goes to ``design / build / NAME``.

    At most ``tries`` seeds are tried, ``seed`` first, until the wanted clock is met: ``clock_mhz``,
    or else the board's usual one. With several ``jobs`` that run at once, or a Dask ``scheduler`` whose
    workers run them, all seeds are tried. Where no clock was named the bitstream gets the highest clock
    that the PLL can make and the fastest of the routed designs holds; so its timing is met.

    Raises InputError for a wrong design directory or clock, ToolError where a tool is missing or
    fails, ResultError where the named clock was missed (the bitstream and its report are there all
    the same, with ``timing_met`` false) or the design does not fit.

    ``progress`` is told each step as it begins. A netlist and each routed design are kept in the
    cache as soon as they are done, so that nothing finished is lost to Ctrl-C or a later failure.
    """
    manifest = check_design(design)
    wanted = pll_settings(board.oscillator_mhz, _wanted(clock_mhz, board))
    parts = _parts(design, manifest, board, wanted)

    def fill(folder: Path) -> BuildReport:
        with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as name:
            seeds, work = range(seed, seed + tries), Path(name)
            if tries > 1 and (jobs > 1 or scheduler is not None):
                best = _best_of_all(parts, work, seeds=seeds, jobs=jobs, scheduler=scheduler, progress=progress)
            else:
                best = _best_try(parts, work, seeds=seeds, wanted=wanted, progress=progress)
            pll = wanted if clock_mhz is not None else pll_settings(board.oscillator_mhz, best.routed.fmax_mhz)
            progress("bitstream")
            started = time.monotonic()
            _pack(parts, best, pll)
            seconds = best.seconds | {"bitstream": round(time.monotonic() - started, 2)}
            for file in ("top.bit", *(kept for kept in _ROUTED if kept != "routed.json")):
                shutil.move(best.folder / file, folder / file)
        (folder / "top.lpf").write_text(parts.files["top.lpf"])
        bitstream = design.resolve() / "build" / board.name / "top.bit"
        report = _report(manifest, parts, best, pll=pll, seconds=seconds, bitstream=bitstream)
        (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1) + "\n")
        return report

    report: BuildReport = replace_folder(design / "build" / board.name, fill)
    if not report.timing_met:
        raise ResultError(
            f"timing missed: Fmax {report.fmax_mhz:.1f} MHz after {tries} tries, "
            f"the clock is {report.clock_mhz:.1f} MHz; take a lower clock, or more tries"
        )
    return report


def _wanted(clock_mhz: float | None, board: Board) -> float:
    if clock_mhz is None:
        return board.clock_mhz
    if not math.isfinite(clock_mhz):
        raise InputError(f"a clock of {clock_mhz} MHz: must be a number")
    return clock_mhz


def _parts(design: Path, manifest: dict[str, Any], board: Board, pll: PllSettings) -> _Parts:
    from cs_hdl.board.top import BoardTop, make_platform

    tools = {name: require_tool(name) for name in ("yosys", "nextpnr-ecp5", "ecppack")}
    platform = make_platform(board)
    top = BoardTop(board=board, ports=DesignPorts.from_manifest(manifest), pll=pll)
    plan = platform.prepare(top, "top", emit_src=False)
    files = {name: plan.files[name] for name in ("top.il", "top.lpf")}
    text = {name: data.decode() if isinstance(data, bytes) else data for name, data in files.items()}
    text["design.v"] = swap_multiplier((design / "design.v").read_text(), board.family)
    device = device_options(board.device, package=platform.package, speed=str(platform.speed))
    return _Parts(tools=tools, files=text, device=device, board=board)


def _best_try(parts: _Parts, work: Path, *, seeds: range, wanted: PllSettings, progress: Callable[[str], None]) -> _Try:
    """The first try that meets the wanted clock, or the fastest of all."""
    best: _Try | None = None
    netlist: Netlist | None = None
    for number, seed in enumerate(seeds):
        folder = work / f"seed-{seed}"
        folder.mkdir()
        this = _known_try(parts.routed_key(seed), folder)
        if this is not None:
            progress(f"seed {seed}: as built before")
        else:
            if netlist is None:
                netlist, seconds = _synthesise(parts, work, progress)
            which = f"seed {seed}" + (f" (try {number + 1} of {len(seeds)})" if len(seeds) > 1 else "")

            def tell(phase: str, which: str = which) -> None:
                progress(f"{phase}, {which}")

            this = _route(parts, work, folder, seed=seed, netlist=netlist, seconds=seconds, progress=tell)
        _check_serial(this, parts)
        if best is None or this.routed.fmax_mhz > best.routed.fmax_mhz:
            best = this
        if this.routed.fmax_mhz >= wanted.output_mhz:
            break
    assert best is not None  # there is at least one seed
    return best


def _best_of_all(
    parts: _Parts,
    work: Path,
    *,
    seeds: range,
    jobs: int,
    scheduler: str | None,
    progress: Callable[[str], None],
) -> _Try:
    """The fastest of all seeds (the first of equal ones) whose serial port is fast enough."""
    from cs_hdl.build.cluster import RouteTask, route_seeds

    done: dict[int, _Try] = {}
    for seed in seeds:
        folder = work / f"seed-{seed}"
        folder.mkdir()
        this = _known_try(parts.routed_key(seed), folder)
        if this is not None:
            done[seed] = this
    missing = [seed for seed in seeds if seed not in done]
    if missing:
        netlist, seconds = _synthesise(parts, work, progress)
        task = RouteTask.of(work, device=parts.device, netlist=netlist, version=parts.tools["nextpnr-ecp5"].version)
        started = time.monotonic()
        found = route_seeds(task, missing, work=work, jobs=jobs, scheduler=scheduler, progress=progress)
        for seed, folder in found:
            routed = read_report(folder / "nextpnr.json", seed=seed, netlist=netlist)
            times = {"synthesis": seconds, "place_and_route": round(time.monotonic() - started, 2)}
            shutil.copyfile(work / "synthesis.log", folder / "synthesis.log")
            done[seed] = _keep_try(parts, folder, routed=routed, netlist=netlist, seconds=times)
    tries = [done[seed] for seed in seeds]
    good = [this for this in tries if this.routed.serial_fmax_mhz >= parts.board.oscillator_mhz]
    if not good:
        _check_serial(tries[0], parts)
    return max(good, key=lambda this: this.routed.fmax_mhz)


def _check_serial(this: _Try, parts: _Parts) -> None:
    if this.routed.serial_fmax_mhz < parts.board.oscillator_mhz:
        raise ResultError(
            f"timing missed: the serial port reaches {this.routed.serial_fmax_mhz:.1f} MHz "
            f"of {parts.board.oscillator_mhz:g} MHz; take another --seed"
        )


def _known_try(key: str, folder: Path) -> _Try | None:
    """The try ``key`` of the cache, its files in ``folder``; None where it is absent, damaged or incomplete."""
    if not fetch(key, folder) or not all((folder / name).is_file() for name in _ROUTED):
        return None
    try:
        entry = json.loads((folder / "routed.json").read_text())
        return _Try(folder=folder, routed=Routed(**entry["routed"]), carry=entry["carry"], seconds=entry["seconds"])
    except (ValueError, KeyError, TypeError):
        return None


def _synthesise(parts: _Parts, work: Path, progress: Callable[[str], None]) -> tuple[Netlist, float]:
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
        netlist = synthesise(parts.tools["yosys"], work)
        seconds = round(time.monotonic() - started, 2)
        (work / "synthesis.json").write_text(json.dumps({"seconds": seconds}))
        store(parts.netlist_key(), work, _NETLIST)
    check_fit(netlist, parts.board.limits)
    return netlist, seconds


def _known_netlist(parts: _Parts, work: Path) -> tuple[Netlist, float] | None:
    if not fetch(parts.netlist_key(), work):
        return None
    try:
        return read_netlist(work / "top.json"), float(json.loads((work / "synthesis.json").read_text())["seconds"])
    except (ToolError, OSError, ValueError, KeyError, TypeError):
        return None


def _route(
    parts: _Parts,
    work: Path,
    folder: Path,
    *,
    seed: int,
    netlist: Netlist,
    seconds: float,
    progress: Callable[[str], None],
) -> _Try:
    started = time.monotonic()
    routed = place_and_route(
        parts.tools["nextpnr-ecp5"], work, device=parts.device, seed=seed, netlist=netlist, progress=progress
    )
    times = {"synthesis": seconds, "place_and_route": round(time.monotonic() - started, 2)}
    for name in ("top.config", "nextpnr.json", "nextpnr.log"):
        shutil.move(work / name, folder / name)
    shutil.copyfile(work / "synthesis.log", folder / "synthesis.log")
    return _keep_try(parts, folder, routed=routed, netlist=netlist, seconds=times)


def _keep_try(parts: _Parts, folder: Path, *, routed: Routed, netlist: Netlist, seconds: dict[str, float]) -> _Try:
    """The try whose files are in ``folder``, put into the cache."""
    carry = netlist.cells.get("CCU2C", 0)
    entry = {"routed": dataclasses.asdict(routed), "carry": carry, "seconds": seconds}
    (folder / "routed.json").write_text(json.dumps(entry))
    store(parts.routed_key(routed.seed), folder, _ROUTED)
    return _Try(folder=folder, routed=routed, carry=carry, seconds=seconds)


def _pack(parts: _Parts, best: _Try, pll: PllSettings) -> None:
    config = best.folder / "top.config"
    config.write_text(set_pll(config.read_text(), pll))
    arguments = ["--compress", "--input", "top.config", "--bit", "top.bit"]
    run_tool(parts.tools["ecppack"], arguments, folder=best.folder, log="ecppack.log")


def _report(
    manifest: dict[str, Any],
    parts: _Parts,
    best: _Try,
    *,
    pll: PllSettings,
    seconds: dict[str, float],
    bitstream: Path,
) -> BuildReport:
    routed, cycles = best.routed, manifest["cycles_per_word"]
    return BuildReport(
        board=parts.board.name,
        device=parts.board.device,
        bitstream=str(bitstream),
        # Both so exactly that they do not change places by rounding.
        fmax_mhz=round(routed.fmax_mhz, 6),
        clock_mhz=round(pll.output_mhz, 6),
        timing_met=pll.output_mhz <= routed.fmax_mhz,
        lut=routed.used["lut"],
        ff=routed.used["ff"],
        carry=best.carry,
        dsp=routed.used["dsp"],
        block_ram=routed.used["block_ram"],
        available=routed.available,
        cycles_per_word=cycles,
        words_per_second=round(pll.output_mhz * 1e6 / cycles, 1),
        seed=routed.seed,
        tools={name: tool.version for name, tool in parts.tools.items()},
        seconds=seconds,
    )

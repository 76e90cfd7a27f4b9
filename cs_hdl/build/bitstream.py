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
from cs_hdl.board.clocks import Pll, settings_for
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.build.cache import digest_of, fetch, store
from cs_hdl.build.cells import swap_multiplier
from cs_hdl.build.family import FAMILIES, Family
from cs_hdl.build.options import device_arguments, pack_arguments, synthesis_variant
from cs_hdl.build.place_route import Routed, place_and_route, write_asc
from cs_hdl.build.run import run_tool
from cs_hdl.build.set_clock import set_clock
from cs_hdl.build.spill import registers_for
from cs_hdl.build.synthesis import Netlist, check_fit, read_netlist, script, synthesise
from cs_hdl.build.tools import Tool, require_tool
from cs_hdl.emit.design import check_design, replace_folder
from cs_hdl.errors import InputError, ResultError, ToolError

__all__ = ["BuildReport", "build_bitstream"]

#: What a netlist consists of in the cache, and a routed design beside the family's own file.
_NETLIST = ["top.json", "synthesis.log", "synthesis.json"]
_ROUTED = ["nextpnr.json", "nextpnr.log", "synthesis.log", "routed.json"]
#: Syntheses at most, each with more memories as registers, until the block RAMs suffice.
_SYNTHESES = 3


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What ``report.json`` holds; ``as_json`` gives it in its form.

    ``clock_mhz`` is the clock that the bitstream really has, ``fmax_mhz`` what nextpnr reports for it after routing.
    ``clock_source`` is ``pll``, or ``oscillator`` where the design is slower than the PLL's slowest clock.
    ``seconds`` are those that each step took when it was done, which for a result from the cache was earlier.
    """

    board: str
    device: str
    bitstream: str
    fmax_mhz: float
    clock_mhz: float
    clock_source: str
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
    pack_options: list[str]
    board: Board
    family: Family
    pll: Pll

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
        versions = {name: tool.version for name, tool in self.tools.items()}
        return digest_of({
            "files": self.files, "script": self.script, "device": self.device, "seed": seed, "tools": versions,
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
    progress: Callable[[str], None] = lambda step: None,
) -> BuildReport:
    """Build ``design`` (a design directory) for ``board``; all goes to ``design / build / NAME``.

    At most ``tries`` seeds are tried, ``seed`` first, until the wanted clock is met: ``clock_mhz``,
    or else the board's usual one. Where no clock was named the bitstream gets the highest clock
    that the PLL can make and the fastest of the routed designs holds; so its timing is met.

    Raises InputError for a wrong design directory or clock, ToolError where a tool is missing or
    fails, ResultError where the named clock was missed (the bitstream and its report are there all
    the same, with ``timing_met`` false) or the design does not fit.

    ``progress`` is told each step as it begins. A netlist and each routed design are kept in the
    cache as soon as they are done, so that nothing finished is lost to Ctrl-C or a later failure.
    """
    manifest = check_design(design)
    seeds = range(seed, seed + tries)

    def route(folder: Path, wanted: Pll) -> tuple[_Parts, _Try, Pll]:
        folder.mkdir()
        parts = _parts(design, manifest, board, wanted)
        best = _best_try(parts, folder, seeds=seeds, wanted=wanted, progress=progress)
        return parts, best, wanted if clock_mhz is not None else settings_for(board, best.routed.fmax_mhz)

    # Before anything is written: a clock that no PLL makes.
    wanted = settings_for(board, _wanted(clock_mhz, board))

    def fill(folder: Path) -> BuildReport:
        with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as name:
            parts, best, pll = route(Path(name, "routed"), wanted)
            if pll.source != wanted.source:
                # Too slow for any clock of the PLL: once more without one.
                parts, best, pll = route(Path(name, "again"), pll)
            progress("bitstream")
            started = time.monotonic()
            _pack(parts, best, pll)
            seconds = best.seconds | {"bitstream": round(time.monotonic() - started, 2)}
            family = parts.family
            for file in (family.bitstream, family.config, *(kept for kept in _ROUTED if kept != "routed.json")):
                shutil.move(best.folder / file, folder / file)
        (folder / family.constraints).write_text(parts.files[family.constraints])
        bitstream = design.resolve() / "build" / board.name / family.bitstream
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


def _parts(design: Path, manifest: dict[str, Any], board: Board, pll: Pll) -> _Parts:
    from cs_hdl.board.top import BoardTop, make_platform

    family = FAMILIES[board.family]
    tools = {name: require_tool(name) for name in family.tools}
    platform = make_platform(board)
    top = BoardTop(board=board, ports=DesignPorts.from_manifest(manifest), pll=pll)
    plan = platform.prepare(top, "top", emit_src=False)
    files = {name: _text(plan.files[name]) for name in ("top.il", family.constraints)}
    files["design.v"] = swap_multiplier((design / "design.v").read_text(), board.family)
    device = device_arguments(board.device, platform=platform, family=family)
    packing = pack_arguments(_text(plan.files["build_top.sh"]), platform=platform, family=family)
    return _Parts(tools=tools, files=files, device=device, pack_options=packing, board=board, family=family, pll=pll)


def _text(data: str | bytes) -> str:
    return data.decode() if isinstance(data, bytes) else data


def _best_try(parts: _Parts, work: Path, *, seeds: range, wanted: Pll, progress: Callable[[str], None]) -> _Try:
    """The first try that meets the wanted clock, or the fastest of all."""
    best: _Try | None = None
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
                progress(f"{phase}, {which}")

            this = _route(parts, work, folder, seed=seed, netlist=netlist, seconds=seconds, progress=tell)
            store(parts.routed_key(seed), folder, [parts.family.config, *_ROUTED])
        if this.routed.serial_fmax_mhz < parts.board.oscillator_mhz:
            raise ResultError(
                f"timing missed: the serial port reaches {this.routed.serial_fmax_mhz:.1f} MHz "
                f"of {parts.board.oscillator_mhz:g} MHz; take another --seed"
            )
        if best is None or this.routed.fmax_mhz > best.routed.fmax_mhz:
            best = this
        if this.routed.fmax_mhz >= wanted.output_mhz:
            break
    assert best is not None  # there is at least one seed
    return best


def _known_try(parts: _Parts, seed: int, folder: Path) -> _Try | None:
    """The try ``seed`` of the cache, its files in ``folder``; None where it is absent, damaged or incomplete."""
    names = [parts.family.config, *_ROUTED]
    if not fetch(parts.routed_key(seed), folder) or not all((folder / name).is_file() for name in names):
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
        netlist = _small_enough(parts, work)
        seconds = round(time.monotonic() - started, 2)
        (work / "synthesis.json").write_text(json.dumps({"seconds": seconds}))
        store(parts.netlist_key(), work, _NETLIST)
    check_fit(netlist, parts.board.limits)
    return netlist, seconds


def _small_enough(parts: _Parts, work: Path) -> Netlist:
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


def _known_netlist(parts: _Parts, work: Path) -> tuple[Netlist, float] | None:
    if not fetch(parts.netlist_key(), work):
        return None
    try:
        return read_netlist(work / "top.json", family=parts.family), float(
            json.loads((work / "synthesis.json").read_text())["seconds"]
        )
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
        parts.tools[parts.family.nextpnr],
        work,
        device=parts.device,
        seed=seed,
        netlist=netlist,
        family=parts.family,
        clock_mhz=parts.pll.output_mhz,
        progress=progress,
    )
    times = {"synthesis": seconds, "place_and_route": round(time.monotonic() - started, 2)}
    carry = parts.family.count("carry", netlist.cells)
    entry = {"routed": dataclasses.asdict(routed), "carry": carry, "seconds": times}
    (folder / "routed.json").write_text(json.dumps(entry))
    for name in (parts.family.config, "nextpnr.json", "nextpnr.log"):
        shutil.move(work / name, folder / name)
    shutil.copyfile(work / "synthesis.log", folder / "synthesis.log")
    return _Try(folder=folder, routed=routed, carry=carry, seconds=times)


def _pack(parts: _Parts, best: _Try, pll: Pll) -> None:
    family = parts.family
    set_clock(best.folder / family.config, pll)
    if family.name == "ice40":
        write_asc(parts.tools[family.nextpnr], best.folder, device=parts.device, family=family)
    arguments = {
        "ecp5": ["--compress", "--input", family.config, "--bit", family.bitstream],
        "ice40": ["top.asc", family.bitstream],
        "gowin": [*parts.pack_options, "-o", family.bitstream, family.config],
    }[family.name]
    run_tool(parts.tools[family.packer], arguments, folder=best.folder, log=f"{family.packer}.log")
    if not (best.folder / family.bitstream).is_file():
        raise ToolError(f"{family.packer} made no {family.bitstream}")


def _report(
    manifest: dict[str, Any],
    parts: _Parts,
    best: _Try,
    *,
    pll: Pll,
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
        clock_source=pll.source,
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

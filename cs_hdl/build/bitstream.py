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
from cs_hdl.build.cells import swap_cells
from cs_hdl.build.family import FAMILIES
from cs_hdl.build.options import device_arguments, pack_arguments
from cs_hdl.build.place_route import write_asc
from cs_hdl.build.run import run_tool
from cs_hdl.build.set_clock import set_clock
from cs_hdl.build.tools import require_tool
from cs_hdl.build.tries import KEPT, BuildParts, Try, best_of_all, best_try
from cs_hdl.emit.design import check_design, replace_folder
from cs_hdl.errors import InputError, ResultError, ToolError

__all__ = ["BuildReport", "build_bitstream"]


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What ``report.json`` holds; ``as_json`` gives it in its form.

    ``clock_mhz`` is the clock that the bitstream really has, ``fmax_mhz`` what nextpnr reports for it after routing.
    ``clock_source`` is ``pll``, or ``oscillator`` where the design is slower than the PLL's slowest clock.
    ``seconds`` are those that each step took when it was done, which for a result from the cache was earlier.
    ``slowest_ns`` is the slowest path after routing that ends in each stage, or in the ``board`` around them, the
    slowest first. ``refined`` is the round of better places that made the design, 0 for nextpnr's own placement.
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
    slowest_ns: dict[str, float]
    refined: int

    def as_json(self) -> dict[str, Any]:
        """The object that is written to ``report.json``."""
        return dataclasses.asdict(self)


def build_bitstream(
    design: Path,
    board: Board,
    *,
    seed: int = 1,
    tries: int = 1,
    clock_mhz: float | None = None,
    rounds: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> BuildReport:
    """Build ``design`` (a design directory) for ``board``; all goes to ``design / build / NAME``.

    At most ``tries`` seeds are tried, ``seed`` first, until the wanted clock is met: ``clock_mhz``,
    or else the board's usual one. With several ``jobs`` that run at once, or a Dask ``scheduler`` whose
    workers run them, all seeds are tried. Where no clock was named the bitstream gets the highest clock
    that the PLL can make and the fastest of the routed designs holds; so its timing is met. So many ``rounds`` the
    cells on slow paths of each try are moved and all is routed anew, fewer where a named clock is met before.

    Raises InputError for a wrong design directory or clock, ToolError where a tool is missing or
    fails, ResultError where the named clock was missed (the bitstream and its report are there all
    the same, with ``timing_met`` false) or the design does not fit.

    ``progress`` is told each step as it begins. A netlist and each routed design are kept in the
    cache as soon as they are done, so that nothing finished is lost to Ctrl-C or a later failure.
    """
    manifest = check_design(design)
    seeds = range(seed, seed + tries)

    def route(folder: Path, wanted: Pll) -> tuple[BuildParts, Try, Pll]:
        folder.mkdir()
        parts = _parts(design, manifest, board, wanted, rounds=rounds, enough_mhz=clock_mhz or math.inf)
        if tries > 1 and (jobs > 1 or scheduler is not None):
            best = best_of_all(parts, folder, seeds=seeds, jobs=jobs, scheduler=scheduler, progress=progress)
        else:
            best = best_try(parts, folder, seeds=seeds, wanted=wanted, progress=progress)
        return parts, best, wanted if clock_mhz is not None else settings_for(board, best.routed.fmax_mhz)

    if rounds and board.family != "ecp5":
        raise InputError(
            f"--refine {rounds}: only for an ECP5, the board {board.name} has {board.device}; leave it out"
        )
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
            for file in (family.bitstream, family.config, *KEPT):
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


def _parts(
    design: Path, manifest: dict[str, Any], board: Board, pll: Pll, *, rounds: int, enough_mhz: float
) -> BuildParts:
    from cs_hdl.board.top import BoardTop, make_platform

    family = FAMILIES[board.family]
    tools = {name: require_tool(name) for name in family.tools}
    platform = make_platform(board)
    top = BoardTop(board=board, ports=DesignPorts.from_manifest(manifest), pll=pll)
    plan = platform.prepare(top, "top", emit_src=False)
    files = {name: _text(plan.files[name]) for name in ("top.il", family.constraints)}
    files["design.v"] = swap_cells((design / "design.v").read_text(), board.family)
    device = device_arguments(board.device, platform=platform, family=family)
    packing = pack_arguments(_text(plan.files["build_top.sh"]), platform=platform, family=family)
    return BuildParts(
        tools=tools,
        files=files,
        device=device,
        pack_options=packing,
        board=board,
        family=family,
        pll=pll,
        rounds=rounds,
        enough_mhz=enough_mhz,
    )


def _text(data: str | bytes) -> str:
    return data.decode() if isinstance(data, bytes) else data


def _pack(parts: BuildParts, best: Try, pll: Pll) -> None:
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
    parts: BuildParts,
    best: Try,
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
        slowest_ns=routed.slowest,
        refined=routed.refined,
    )

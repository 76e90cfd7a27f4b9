"""A whole build of a small design, and how clocks and seeds are chosen (with what nextpnr says made up)."""

from __future__ import annotations

import dataclasses
import json
import zipfile

import pytest
from build_tools import need_build_tools
from stand_in import write_negative

from cs_hdl.board.catalogue import find_board
from cs_hdl.build import bitstream, cluster, tries
from cs_hdl.build.bitstream import build_bitstream
from cs_hdl.build.place_route import Routed
from cs_hdl.build.slowest import critical_path
from cs_hdl.build.synthesis import read_netlist
from cs_hdl.build.tools import Tool
from cs_hdl.errors import InputError, ResultError, ToolError

BOARD = find_board("ulx3s-85f")
REPORT_KEYS = {
    "board", "device", "bitstream", "fmax_mhz", "clock_mhz", "clock_source", "timing_met", "lut", "ff",
    "carry", "dsp", "block_ram", "available", "cycles_per_word", "words_per_second", "seed", "tools", "seconds",
    "slowest_ns", "refined",
}  # fmt: skip
#: A netlist of five carry cells and the PLL whose clocks a build looks for.
NETLIST = json.dumps(
    {
        "modules": {
            "top": {
                "cells": {
                    "pll": {"type": "EHXPLLL", "connections": {"CLKI": [2], "CLKOS": [3]}},
                    **{f"carry{number}": {"type": "CCU2C", "connections": {}} for number in range(5)},
                },
                "netnames": {"osc": {"bits": [2]}, "clk": {"bits": [3]}},
            }
        }
    }
)
PLL_SECTION = ".tile_group P\n" + "".join(
    f"word: {name} 0000000\n"
    for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE", "CLKOS_DIV", "CLKOS_CPHASE")
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def design(tmp_path):
    write_negative(tmp_path / "design", lanes=4, rest=5)
    return tmp_path / "design"


def test_a_real_bitstream(design):
    need_build_tools("yosys", "nextpnr-ecp5", "ecppack")
    steps = []
    report = build_bitstream(design, BOARD, seed=1, progress=steps.append)
    folder = design / "build" / "ulx3s-85f"
    written = json.loads((folder / "report.json").read_text())
    assert set(written) == REPORT_KEYS and written == report.as_json()
    assert (folder / "top.bit").stat().st_size > 10_000 and written["bitstream"] == str(folder / "top.bit")
    assert written["timing_met"] and 0.97 * written["fmax_mhz"] < written["clock_mhz"] <= written["fmax_mhz"]
    assert written["cycles_per_word"] == json.loads((design / "manifest.json").read_text())["cycles_per_word"]
    assert written["words_per_second"] == pytest.approx(
        written["clock_mhz"] * 1e6 / written["cycles_per_word"], rel=1e-5
    )
    # nextpnr's own Fmax is the slowest of all paths that were told apart by stage, and the setup time at its end.
    path = critical_path(json.loads((folder / "nextpnr.json").read_text()), "$glbnet$clk")
    assert sum(part.delay_ns for part in path) == pytest.approx(1000 / written["fmax_mhz"], abs=2e-3)
    without_setup = sum(part.delay_ns for part in path if part.kind != "setup")
    assert without_setup - 2e-3 <= max(written["slowest_ns"].values()) <= 1000 / written["fmax_mhz"] + 2e-3
    assert 300 < written["lut"] < 3000 and 300 < written["ff"] < 2000
    assert written["available"] == {"lut": 83640, "ff": 83640, "dsp": 156, "block_ram": 208}
    assert steps == ["synthesis", "placing, seed 1", "routing, seed 1", "bitstream"]
    assert not list(design.glob("build/.*")) and not list(folder.glob("work*"))

    # Again: from the cache, and the same to the bit.
    bits, steps = (folder / "top.bit").read_bytes(), []
    assert build_bitstream(design, BOARD, seed=1, progress=steps.append).fmax_mhz == report.fmax_mhz
    assert steps == ["seed 1: as built before", "bitstream"] and (folder / "top.bit").read_bytes() == bits


def best_of(design, **options):
    """The report of two seeds, and the steps told."""
    steps = []
    return build_bitstream(design, BOARD, seed=1, tries=2, progress=steps.append, **options), steps


@pytest.mark.slow_proof
def test_seeds_at_once_give_the_best_of_them(design, monkeypatch, tmp_path):
    pytest.importorskip("distributed", reason="Dask is missing")
    alone = [build_bitstream(design, BOARD, seed=seed) for seed in (1, 2)]
    best = max(alone, key=lambda report: report.fmax_mhz)
    known, steps = best_of(design, jobs=2)
    assert (known.seed, known.fmax_mhz) == (best.seed, best.fmax_mhz) and steps == ["bitstream"]
    bits = (design / "build" / "ulx3s-85f" / "top.bit").read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    here, steps = best_of(design, jobs=2)
    assert dataclasses.replace(here, seconds={}) == dataclasses.replace(known, seconds={})
    assert steps[:2] == ["synthesis", "placing and routing 2 seeds, 2 at a time"]
    assert (design / "build" / "ulx3s-85f" / "top.bit").read_bytes() == bits


@pytest.mark.slow_proof
def test_a_cluster_gives_the_same(design, monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is missing")
    alone = [build_bitstream(design, BOARD, seed=seed) for seed in (1, 2)]
    known, _ = best_of(design, jobs=2)  # from the cache
    assert known.fmax_mhz == max(report.fmax_mhz for report in alone)
    bits = (design / "build" / "ulx3s-85f" / "top.bit").read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty too"))
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as local:
        there, _ = best_of(design, scheduler=local.scheduler_address)
    assert dataclasses.replace(there, seconds={}) == dataclasses.replace(known, seconds={})
    assert (design / "build" / "ulx3s-85f" / "top.bit").read_bytes() == bits


def test_where_no_scheduler_is(design, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match=r"--scheduler tcp://127\.0\.0\.1:9: no Dask scheduler answers there"):
        best_of(design, scheduler="tcp://127.0.0.1:9")
    assert not (design / "build" / "ulx3s-85f").exists()


class Made:
    """In place of the tools: nextpnr reaches ``fmax[seed]``."""

    def __init__(self, monkeypatch, fmax, serial=150.0):
        self.seeds, self.syntheses = [], 0

        def route(tool, folder, *, device, seed, netlist, family, clock_mhz, rounds, enough_mhz, checkpoints, progress):
            if seed not in fmax:
                raise ToolError("nextpnr-ecp5 failed")
            self.seeds.append(seed)
            (folder / "top.config").write_text(PLL_SECTION)
            (folder / "nextpnr.json").write_text("{}")
            (folder / "nextpnr.log").write_text("")
            used = {"lut": 1, "ff": 2, "dsp": 3, "block_ram": 4}
            return Routed(seed=seed, fmax_mhz=fmax[seed], serial_fmax_mhz=serial, used=used, available=used)

        def synthesise(tool, folder, *, text, family):
            self.syntheses += 1
            (folder / "synthesis.log").write_text("")
            (folder / "top.json").write_text(NETLIST)
            return read_netlist(folder / "top.json")

        def run(tool, arguments, *, folder, log):
            (folder / "top.bit").write_text((folder / "top.config").read_text())

        monkeypatch.setattr(tries, "place_and_route", route)
        monkeypatch.setattr(tries, "synthesise", synthesise)
        monkeypatch.setattr(bitstream, "run_tool", run)
        monkeypatch.setattr(bitstream, "require_tool", lambda name: Tool(name=name, needed_for="", version="1"))


def test_a_design_that_is_faster_than_wanted_gets_its_own_clock(design, monkeypatch):
    made = Made(monkeypatch, {4: 118.4})
    report = build_bitstream(design, BOARD, seed=4, tries=3)
    assert made.seeds == [4] and report.seed == 4 and report.timing_met
    assert 117.0 < report.clock_mhz <= 118.4 and report.carry == 5


def test_a_design_that_is_slower_takes_all_tries_and_the_best_of_them(design, monkeypatch):
    made = Made(monkeypatch, {1: 71.0, 2: 83.3, 3: 79.0})
    report = build_bitstream(design, BOARD, seed=1, tries=3)
    assert made.seeds == [1, 2, 3] and report.seed == 2 and report.timing_met
    assert 82.0 < report.clock_mhz <= 83.3
    # The PLL in the bitstream is the one of that clock: input / I * feedback * op / os.
    words = dict(line.split()[1:] for line in (design / "build/ulx3s-85f/top.bit").read_text().splitlines()[1:])
    dividers = [int(words[name], 2) + 1 for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOS_DIV")]
    assert 25 / dividers[0] * dividers[1] * dividers[2] / dividers[3] == pytest.approx(report.clock_mhz, abs=1e-3)


def test_tries_end_when_the_clock_is_met(design, monkeypatch):
    made = Made(monkeypatch, {1: 71.0, 2: 90.5, 3: 120.0})
    report = build_bitstream(design, BOARD, seed=1, tries=3, clock_mhz=90.0)
    assert made.seeds == [1, 2] and report.clock_mhz == pytest.approx(90.0)


def test_a_named_clock_that_is_missed_is_an_error_with_a_report(design, monkeypatch):
    Made(monkeypatch, {1: 71.0, 2: 70.0})
    with pytest.raises(ResultError, match=r"timing missed: Fmax 71\.0 MHz after 2 tries, the clock is 90\.0 MHz"):
        build_bitstream(design, BOARD, seed=1, tries=2, clock_mhz=90.0)
    report = json.loads((design / "build/ulx3s-85f/report.json").read_text())
    assert report["timing_met"] is False and report["clock_mhz"] == 90.0 and report["fmax_mhz"] == 71.0


def test_a_serial_port_that_is_too_slow(design, monkeypatch):
    Made(monkeypatch, {1: 120.0}, serial=24.0)
    with pytest.raises(ResultError, match=r"the serial port reaches 24\.0 MHz of 25 MHz"):
        build_bitstream(design, BOARD, seed=1)
    assert not (design / "build" / "ulx3s-85f").exists()


def test_the_cache_knows_the_design_and_the_seed(design, monkeypatch):
    made = Made(monkeypatch, {1: 120.0, 2: 121.0})
    for seed in (1, 1, 2, 2):
        build_bitstream(design, BOARD, seed=seed)
    assert made.seeds == [1, 2]
    write_negative(design, lanes=4, rest=6)
    build_bitstream(design, BOARD, seed=1)
    assert made.seeds == [1, 2, 1]


def test_what_is_finished_is_not_lost_when_a_later_try_fails(design, monkeypatch):
    made = Made(monkeypatch, {1: 71.0, 2: 73.0})
    with pytest.raises(ToolError, match="nextpnr-ecp5 failed"):
        build_bitstream(design, BOARD, seed=1, tries=3)
    assert made.seeds == [1, 2] and made.syntheses == 1
    steps = []
    made = Made(monkeypatch, {3: 72.0})
    assert build_bitstream(design, BOARD, seed=1, tries=3, progress=steps.append).seed == 2
    assert made.seeds == [3] and made.syntheses == 0
    assert steps == ["seed 1: as built before", "seed 2: as built before", "synthesis: as done before", "bitstream"]


@pytest.mark.parametrize("content", [None, "[]", '{"routed": {"no": 1}, "carry": 1, "seconds": {}}'])
def test_an_entry_that_is_no_result_of_ours_counts_as_absent(tmp_path, design, monkeypatch, content):
    made = Made(monkeypatch, {1: 120.0})
    first = build_bitstream(design, BOARD, seed=1)
    for path in (tmp_path / "cache" / "cs-hdl" / "build").iterdir():
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        with zipfile.ZipFile(path, "w") as archive:
            for name in ["other"] if content is None else names:
                archive.writestr(name, content or "")
    assert build_bitstream(design, BOARD, seed=1).fmax_mhz == first.fmax_mhz
    assert made.seeds == [1, 1] and made.syntheses == 2


def test_a_failing_tool_leaves_what_was_there(design, monkeypatch):
    made = Made(monkeypatch, {1: 120.0})
    build_bitstream(design, BOARD, seed=1)

    def fail(*_, **__):
        raise ToolError("nextpnr-ecp5 failed")

    monkeypatch.setattr(tries, "place_and_route", fail)
    with pytest.raises(ToolError, match="nextpnr-ecp5 failed"):
        build_bitstream(design, BOARD, seed=2)
    assert json.loads((design / "build/ulx3s-85f/report.json").read_text())["seed"] == 1
    assert made.seeds == [1] and not list(design.glob("build/.*"))


def test_wrong_input(tmp_path, design):
    with pytest.raises(InputError, match="no design directory"):
        build_bitstream(tmp_path, BOARD)
    with pytest.raises(InputError, match="a clock of nan MHz"):
        build_bitstream(design, BOARD, clock_mhz=float("nan"))
    with pytest.raises(InputError, match="the PLL gives"):
        build_bitstream(design, BOARD, clock_mhz=1000.0)

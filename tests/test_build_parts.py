"""The parts of a build, each alone: the seam, the PLL of a routed design, the cache, the tools."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from build_tools import need_build_tools

from cs_hdl.board.catalogue import find_board
from cs_hdl.board.pll import pll_settings
from cs_hdl.build import cache
from cs_hdl.build.alone import cells_of
from cs_hdl.build.cells import device_verilog, swap_cells
from cs_hdl.build.place_route import device_options, read_report
from cs_hdl.build.pll_config import set_pll
from cs_hdl.build.run import run_tool
from cs_hdl.build.synthesis import Netlist, check_fit, read_netlist, run_yosys
from cs_hdl.build.tools import Tool, find_tools, require_tool
from cs_hdl.errors import InputError, ResultError, ToolError
from cs_hdl.rtl.primitives import carry_adders
from cs_hdl.rtl.primitives.multiplier import MULTIPLIER_MODULE, portable_verilog

# ---------------------------------------------------------------- the technology seam


def test_swap_changes_the_one_module_and_nothing_else():
    before, after = "module a; endmodule\n\n", "\nmodule b; cs_registered_multiplier x(); endmodule\n"
    swapped = swap_cells(before + portable_verilog() + after, "ecp5")
    assert "MULT18X18D" in swapped and swapped.count("module cs_registered_multiplier") == 1
    assert swapped.startswith(before) and swapped.endswith(after)


@pytest.mark.parametrize("count", [0, 2])
def test_swap_refuses_what_is_not_one_module(count):
    with pytest.raises(InputError, match=f"design.v has {count} modules cs_registered_multiplier, not 1"):
        swap_cells(count * portable_verilog(), "ecp5")


def test_swap_changes_what_else_is_there_once():
    adder = Path(carry_adders.__file__).with_name("add_or_clear.v").read_text()
    design = portable_verilog() + "\n" + adder
    swapped = swap_cells(design, "ecp5")
    assert "CCU2C" in swapped and swapped.count("module cs_add_or_clear ") == 1
    with pytest.raises(InputError, match=r"design\.v has 2 modules cs_add_or_clear, not 1"):
        swap_cells(design + adder, "ecp5")


def test_a_family_without_versions_of_its_own_keeps_the_portable_ones():
    assert device_verilog(MULTIPLIER_MODULE, "xc7") is None
    assert swap_cells(portable_verilog(), "xc7") == portable_verilog()


# ---------------------------------------------------------------- the PLL of a routed design

BLINK = """
module top(input clock, output light);
    wire feedback, fast;
    reg [7:0] count = 0;
    always @(posedge fast) count <= count + 1;
    assign light = count[7];
    EHXPLLL #(.FEEDBK_PATH("CLKOP"), .CLKOP_ENABLE("ENABLED"), .CLKOS_ENABLE("ENABLED"), PARAMETERS)
        pll (.CLKI(clock), .CLKFB(feedback), .CLKOP(feedback), .CLKOS(fast), .RST(1'b0), .STDBY(1'b0),
             .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0), .PHASELOADREG(1'b0),
             .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0), .ENCLKOS(1'b0));
endmodule
"""


def routed_blink(folder: Path, mhz: float) -> str:
    try:
        yosys, nextpnr = require_tool("yosys"), require_tool("nextpnr-ecp5")
    except ToolError as error:
        pytest.skip(str(error))
    parameters = ", ".join(f".{name}({value})" for name, value in pll_settings(25.0, mhz).parameters().items())
    folder.mkdir()
    (folder / "top.v").write_text(BLINK.replace("PARAMETERS", parameters))
    (folder / "s.ys").write_text("read_verilog top.v\nsynth_ecp5 -top top -json top.json\n")
    (folder / "top.lpf").write_text('LOCATE COMP "clock" SITE "G2";\nLOCATE COMP "light" SITE "B2";\n')
    run_tool(yosys, ["s.ys"], folder=folder, log="yosys.log")
    options = ["--json", "top.json", "--lpf", "top.lpf", "--textcfg", "top.config", "--no-tmdriv", "--seed", "1"]
    run_tool(nextpnr, ["--25k", "--package", "CABGA381", *options], folder=folder, log="nextpnr.log")
    return (folder / "top.config").read_text()


def test_the_changed_clock_is_what_nextpnr_would_have_written(tmp_path):
    slow, fast = routed_blink(tmp_path / "slow", 61.5), routed_blink(tmp_path / "fast", 133.0)
    assert slow != fast
    assert set_pll(slow, pll_settings(25.0, 133.0)) == fast
    assert set_pll(fast, pll_settings(25.0, 61.5)) == slow


def test_no_pll():
    with pytest.raises(ToolError, match="the routed design has 0 PLLs, not 1"):
        set_pll(".device LFE5U-25F\n\n.tile A:B\nword: X 0\n", pll_settings(25.0, 100.0))


# ---------------------------------------------------------------- cache


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cs-hdl" / "build"


def test_cache_gives_back_what_was_stored(tmp_path, empty_cache):
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    (source / "x").write_text("hello" * 100)
    (source / "y").write_bytes(bytes(range(256)))
    assert not cache.fetch("k", target)
    cache.store("k", source, ["x", "y"])
    assert cache.fetch("k", target)
    assert (target / "x").read_text() == "hello" * 100 and (target / "y").read_bytes() == bytes(range(256))
    first = (empty_cache / "k.zip").read_bytes()
    cache.store("k", source, ["x", "y"])
    assert (empty_cache / "k.zip").read_bytes() == first


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: b"", lambda data: data[:60] + b"\0\1" + data[62:]]
)
def test_a_damaged_entry_counts_as_absent(tmp_path, empty_cache, damage):
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    (source / "x").write_text("hello" * 100)
    cache.store("k", source, ["x"])
    (empty_cache / "k.zip").write_bytes(damage((empty_cache / "k.zip").read_bytes()))
    assert not cache.fetch("k", target)
    assert not list(target.iterdir())


def test_only_so_many_entries_stay(tmp_path, empty_cache, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_ENTRIES", 3)
    (tmp_path / "x").write_text("x")
    for number in range(5):
        cache.store(f"k{number}", tmp_path, ["x"])
        os.utime(empty_cache / f"k{number}.zip", (number, number))
    assert sorted(path.stem for path in empty_cache.glob("*.zip")) == ["k2", "k3", "k4"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.store("k", tmp_path, ["file"])
    assert not cache.fetch("k", tmp_path)


def test_digest_depends_on_every_part():
    parts = {"a": 1, "b": {"c": "2"}}
    assert cache.digest_of(parts) == cache.digest_of({"b": {"c": "2"}, "a": 1})
    assert cache.digest_of(parts) != cache.digest_of({"a": 1, "b": {"c": "3"}})


# ---------------------------------------------------------------- tools


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_native_tools_come_first(tmp_path, monkeypatch):
    fake(tmp_path, "yosys", "echo 'Yosys 0.99 (git sha1 abc)'")
    fake(tmp_path, "nextpnr-ecp5", "echo 'nextpnr-ecp5 -- Next Generation (Version nextpnr-9.9-1-gabc)' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    tools = {tool.name: tool for tool in find_tools()}
    assert tools["yosys"].origin == str(tmp_path / "yosys") and tools["yosys"].version == "Yosys 0.99 (git sha1 abc)"
    assert tools["nextpnr-ecp5"].version == "nextpnr-9.9-1-gabc"


def test_missing_tools_say_how_to_get_them(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not any(tool.found for tool in find_tools())
    assert all("pip install" in tool.hint for tool in find_tools())
    with pytest.raises(ToolError, match=r"nextpnr-ecp5 is missing .*pip install 'cs-hdl\[build\]'"):
        require_tool("nextpnr-ecp5")


def test_a_tool_that_fails_shows_its_error(tmp_path):
    shell = shutil.which("sh")
    script = "echo fine; echo 'ERROR: no such cell'; echo more; exit 3"
    tool = Tool(name="yosys", needed_for="", command=(str(shell), "-c", script), origin="here")
    with pytest.raises(ToolError, match=r"yosys failed \(exit 3\):\nERROR: no such cell$"):
        run_tool(tool, [], folder=tmp_path, log="log")
    with pytest.raises(ToolError, match=r"yosys \(there\) cannot be started"):
        run_tool(
            Tool(name="yosys", needed_for="", command=("/nonexistent",), origin="there"), [], folder=tmp_path, log="l"
        )


def test_what_a_tool_prints_is_seen_while_it_runs(tmp_path):
    shell = shutil.which("sh")
    tool = Tool(
        name="yosys", needed_for="", command=(str(shell), "-c", "echo one; echo two >&2; exec sleep 60"), origin="here"
    )
    seen = []

    def watch(line):
        seen.append(line.strip())
        if line.startswith("two"):
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tool(tool, [], folder=tmp_path, log="log", watch=watch)
    # The tool does not go on alone, and what it said stays.
    assert seen == ["one", "two"] and time.monotonic() - started < 30
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_script_that_is_told_to_end_leaves_no_tool_behind(tmp_path):
    code = """
from pathlib import Path
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import Tool
from cs_hdl.commands.console import run_command

def command() -> None:
    tool = Tool(name="yosys", needed_for="", command=("sh", "-c", "echo $$; exec sleep 60"), origin="here")
    run_tool(tool, [], folder=Path(), log="log", watch=lambda line: print(line, flush=True))

run_command(command)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as script:
        tool = int(script.stdout.readline())
        script.terminate()
        assert script.wait(timeout=30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)


# ---------------------------------------------------------------- netlist and report


def test_a_netlist_in_which_yosys_gave_a_wire_two_drivers_is_refused(tmp_path):
    need_build_tools("yosys")
    (tmp_path / "design.v").write_text("module top(input a, b, output y); assign y = a; assign y = b; endmodule\n")
    script = "read_verilog design.v\nhierarchy -top top\ncheck\n"
    with pytest.raises(ToolError, match=r"two drivers to 1 wires.*conflicting drivers for top"):
        run_yosys(require_tool("yosys"), script, folder=tmp_path)


def test_an_ultraplus_multiplies_in_its_multiplier_with_a_register_behind(tmp_path):
    """Yosys' ice40_dsp took the second register into the multiplier and left it outside as well."""
    need_build_tools("yosys")
    bench = f"""
module top(input clk, input [7:0] a, b, output reg [15:0] later);
    wire [15:0] o;
    {MULTIPLIER_MODULE} multiply (.clk(clk), .en(1'b1), .a(a), .b(b), .o(o));
    always @(posedge clk) later <= o;
endmodule
"""
    cells = cells_of(
        portable_verilog() + bench,
        top="top",
        script="read_verilog design.v\nsynth_ice40 -device u -dsp -top top -json top.json\n",
        folder=tmp_path,
    )
    assert cells["SB_MAC16"] == 1 and cells["SB_DFF"] >= 16


def test_what_does_not_fit_is_refused_before_placing():
    limits = find_board("ulx3s-25f").limits
    check_fit(Netlist(cells={"LUT4": 20000, "MULT18X18D": 28}, design_clock=(), serial_clock=()), limits)
    netlist = Netlist(cells={"LUT4": 20000, "CCU2C": 3000, "MULT18X18D": 29}, design_clock=(), serial_clock=())
    with pytest.raises(ResultError, match=r"LFE5U-25F: it needs 26,000 LUT of 24,288, 29 DSP of 28; generate it"):
        check_fit(netlist, limits)


def test_damaged_netlist_and_report(tmp_path):
    path = tmp_path / "x.json"
    netlist = Netlist(cells={}, design_clock=("clk",), serial_clock=("osc",))
    for text in ("", "{}", '{"modules": {"top": {"cells": {}}}}', '{"fmax": {}}'):
        path.write_text(text)
        with pytest.raises(ToolError, match="not the netlist"):
            read_netlist(path)
        with pytest.raises(ToolError, match="not the report"):
            read_report(path, seed=1, netlist=netlist)


def test_device_options():
    assert device_options("LFE5U-12F", package="BG381", speed="6") == ["--12k", "--package", "CABGA381", "--speed", "6"]
    assert device_options("LFE5UM5G-85F", package="BG554", speed="8")[0] == "--um5g-85k"
    with pytest.raises(ToolError, match="nextpnr-ecp5 knows no XC7 in BG381"):
        device_options("XC7", package="BG381", speed="6")

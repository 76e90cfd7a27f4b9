"""The record of the benchmark: kept whole, compared with tolerances, made into a page; leaves are all found."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest
from amaranth.lib import wiring

import cs_hdl.rtl
from cs_hdl.build.alone import GOAL_MHZ, wrapped
from cs_hdl.cli import run
from cs_hdl.commands.benchmark import plan_entry
from cs_hdl.errors import InputError, ToolError
from cs_hdl.report.benchmark import describe_plan, load_results, save_results, worse
from cs_hdl.report.benchmark_table import LEAF_DESIGNS, TABLE, TRIAL
from cs_hdl.report.leaves import COMPOSED, find_leaves

RECORD = Path(__file__).parent.parent / "docs" / "results" / "kernels.json"


def design(**changes):
    cells = {"lut4": 1000, "comb": 1300, "ff": 500, "dsp": 4, "block_ram": 2, "cycles_per_word": 100}
    return {"name": "a", **cells} | changes


def test_equal_and_better_figures_are_not_worse():
    assert worse(design(), design()) == []
    assert worse(design(), design(lut4=1020, comb=1326, ff=510)) == []
    assert worse(design(), design(lut4=10, comb=10, ff=1, dsp=0, block_ram=0, cycles_per_word=1)) == []


@pytest.mark.parametrize(
    "change",
    [{"lut4": 1021}, {"comb": 1327}, {"ff": 511}, {"dsp": 5}, {"block_ram": 3}, {"cycles_per_word": 101}],
    ids=str,
)
def test_each_figure_that_gets_worse_is_told(change):
    (text,) = worse(design(), design(**change))
    assert text.startswith(next(iter(change)))
    assert worse(design(), {"name": "a", "refused": "too large"}) == ["refused now: too large"]


def test_the_record_is_lossless_and_in_the_order_of_the_table(tmp_path):
    path = tmp_path / "kernels.json"
    assert load_results(path)["designs"] == []
    results = {"designs": [design(name="b"), design(name="a"), design(name="gone")], "leaves": [{"name": "z"}]}
    save_results(path, results, order=["a", "b"], tools={"yosys": "1"})
    assert [d["name"] for d in load_results(path)["designs"]] == ["a", "b"]
    assert load_results(path)["leaves"] == [{"name": "z"}]
    path.write_text("{")
    with pytest.raises(InputError, match="not the results of a benchmark"):
        load_results(path)


def test_names_of_the_table_are_unique_and_some_are_quick():
    names = [entry.name for entry in (*TABLE, *TRIAL)]
    assert len(set(names)) == len(names)
    assert sum(entry.quick for entry in TABLE) == 3
    modes = {(entry.kernel, entry.mode) for entry in TABLE}
    for kernel in ("1x1", "2x2", "3x3", "5x5", "7x7", "1-D 9", "depthwise 3x3", "pointwise", "grouped 3x3"):
        assert {(kernel, mode) for mode in ("dense", "sparse-dense", "sparse-sparse")} <= modes


def test_the_command_of_an_entry_makes_the_same_design(tmp_path):
    entry = next(entry for entry in TRIAL if entry.name == "trial 4")
    plan = plan_entry(entry)
    words = entry.command.split()[1:]
    assert run([*words, "--out", str(tmp_path / "design")]) == 0
    manifest = json.loads((tmp_path / "design" / "manifest.json").read_text())
    described = describe_plan(entry, plan)
    assert manifest["cycles_per_word"] == described["cycles_per_word"]
    assert sum(layer["multipliers"] for layer in manifest["layers"]) == described["multipliers"]


def test_quick_designs_are_not_worse_than_the_record(capsys):
    """The baseline: three small designs are synthesised again."""
    assert run(["benchmark", "--quick", "--check", "--results", str(RECORD)]) == 0, capsys.readouterr().err


def test_a_check_fails_where_the_record_is_better(tmp_path, capsys):
    better = json.loads(RECORD.read_text())
    for entry in better["designs"]:
        if entry["name"] == "local-kwta 16, 4, 1600":
            entry["lut4"] = round(entry["lut4"] * 0.9)
    path = tmp_path / "kernels.json"
    path.write_text(json.dumps(better))
    assert run(["benchmark", "--only", "local-kwta 16*", "--check", "--results", str(path)]) == 1
    assert "lut4" in capsys.readouterr().err
    assert json.loads(path.read_text()) == better  # a check writes nothing


@pytest.fixture(scope="module")
def leaves():
    return find_leaves({e.name: plan_entry(e) for e in LEAF_DESIGNS})


def test_every_component_of_rtl_is_among_the_leaves(leaves):
    found = {type(leaf).__name__ for leaf in leaves.values()}
    components = set()
    for module in pkgutil.walk_packages(cs_hdl.rtl.__path__, "cs_hdl.rtl."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, wiring.Component) and member.__module__ == module.name:
                components.add(member.__name__)
    assert components - set(COMPOSED) == found


def test_every_leaf_is_routed_and_what_is_slow_has_its_reason_written_down(leaves):
    record = {leaf["name"]: leaf for leaf in json.loads(RECORD.read_text())["leaves"]}
    assert record.keys() == leaves.keys()
    page = (RECORD.parent.parent / "decisions.md").read_text()
    reasons = page.partition("**Clocks of these leaves alone**")[2].partition("\n\n**")[0]
    for name, leaf in record.items():
        if leaf["fmax_mhz"] < GOAL_MHZ:
            assert {"from", "to", "steps", "ns"} == leaf["slowest_path"].keys()
            assert name.partition(",")[0] in reasons, (
                f"docs/decisions.md does not say why {name} is below {GOAL_MHZ} MHz"
            )


def test_a_wrapped_module_has_four_pins_and_registers_at_every_port():
    text = (
        "module leaf(clk, rst, i__payload, o__valid, o__payload);\n  input clk;\n  wire clk;\n  input rst;\n"
        "  input signed [7:0] i__payload;\n  output o__valid;\n  output [11:0] o__payload;\nendmodule\n"
    )
    bench = wrapped(text, "leaf").removeprefix(text)
    assert re.search(r"module bench\(input wire clk, input wire si, input wire load, output wire so\)", bench)
    assert ".clk(clk), .rst (taken[0:0]), .i__payload (taken[8:1])" in bench
    assert ".o__valid (given[0:0]), .o__payload (given[12:1])" in bench
    with pytest.raises(InputError, match="no module other"):
        wrapped(text, "other")
    # A port that was not wired would be optimised away, and all behind it with it.
    with pytest.raises(ToolError, match="a port of the module leaf"):
        wrapped(text.replace("input signed [7:0]", "input [7:1]"), "leaf")


def test_the_page_is_made_from_the_record(tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra docs")
    results = tmp_path / "results"
    results.mkdir()
    (results / "kernels.json").write_text(RECORD.read_text())
    peer = {"peer": "other", "version": "1.0", "layer": "conv", "cycles": 12345, "comb": 77}
    (results / "peers.json").write_text(json.dumps([peer]))
    assert run(["benchmark", "--write-docs", "--results", str(results / "kernels.json")]) == 0
    page = (tmp_path / "kernels.md").read_text()
    assert "| other 1.0 | conv |" in page and "12,345" in page
    for name in re.findall(r"\]\((kernels/.*?)\)", page):
        assert (tmp_path / name).read_text().startswith("<?xml")
    for entry in load_results(RECORD)["designs"]:
        if not entry["name"].startswith("trial"):
            assert f"| {entry['name']} |" in page or f"- {entry['name']}:" in page

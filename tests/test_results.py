"""The evidence that is kept in docs/results is what the present code makes: the Verilog has the digest on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cs_hdl.board.catalogue import boards, find_board
from cs_hdl.commands.board_table import verilog_digest
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.models import find_model, models
from cs_hdl.plan.device_limits import GOWIN_FLIP_FLOPS_PER_RAM, needs, usable
from cs_hdl.plan.planner import explain, make_plan
from cs_hdl.report.board_table import marked_boards
from cs_hdl.report.paper_table import paper_table, replace_table

#: One worker for all: the Verilog of a model is made once for all boards with equal chips.
pytestmark = pytest.mark.xdist_group("results")

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def kept() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for model in models():
        for path in sorted(RESULTS.glob(f"{model.name}-*.json")):
            content = json.loads(path.read_text())
            # (digits-tiny begins with another model's name.)
            if "digests" in content and path.stem == f"{model.name}-{content['report']['board']}":
                found.append((model.name, content))
    return found


def built() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((RESULTS / "boards").glob("*.json"))]


@pytest.mark.parametrize("content", built(), ids=[content["report"]["board"] for content in built()])
def test_the_bitstreams_of_the_table_are_of_the_verilog_that_it_says(content: dict[str, Any]) -> None:
    report = content["report"]
    digest = verilog_digest(find_board(report["board"]), content["model"], cycles=content["cycles"])
    present = digest == content["digests"]["design.v"]
    marked = report["board"] in marked_boards((RESULTS.parent / "boards.md").read_text())
    assert present != marked, "scripts/boards writes the table anew, scripts/boards BOARD the record"
    assert report["timing_met"] and report["clock_mhz"] <= report["fmax_mhz"]


def test_each_family_has_a_board_with_a_record_of_the_present_verilog() -> None:
    old = marked_boards((RESULTS.parent / "boards.md").read_text())
    present = {content["report"]["board"] for content in (*built(), *(content for _, content in kept()))} - old
    assert {find_board(name).family for name in present} == {board.family for board in boards()}, "scripts/boards BOARD"


SMALL = [content for content in built() if find_board(content["report"]["board"]).family != "ecp5"]


@pytest.mark.parametrize("content", SMALL, ids=[content["report"]["board"] for content in SMALL])
def test_the_planner_counts_what_binds_on_small_chips(content: dict[str, Any]) -> None:
    """Logic cells, flip-flops and places for RAM: never far less than the build took, or it would not have fitted."""
    report = content["report"]
    limits = find_board(report["board"]).limits
    plan = make_plan(read_onnx(find_model(content["model"]).path), limits=limits, cycles=content["cycles"])
    cost = explain(plan).cost
    planned, there = needs(cost, limits)["LUT"], usable(limits)["LUT"]
    took = max(report["lut"], report["ff"] / limits.ff * limits.lut)
    if limits.family == "gowin":  # nine in ten flip-flops have no LUT beside them; those in the tile of a RAM are none
        took = max(took, report["lut"] + 0.88 * (report["ff"] - GOWIN_FLIP_FLOPS_PER_RAM * cost.lut_ram))
    assert 0.95 * took <= planned <= there, (took, planned)
    assert planned <= 1.35 * took, (took, planned)


@pytest.mark.parametrize("name, content", kept(), ids=[f"{n} on {c['report']['board']}" for n, c in kept()])
def test_the_verilog_is_that_of_the_record(name: str, content: dict[str, Any]) -> None:
    digest = verilog_digest(find_board(content["report"]["board"]), name, cycles=None)
    assert digest == content["digests"]["design.v"], f"made by another version; renew it: {content['command']}"


@pytest.mark.parametrize("name, content", kept(), ids=[f"{n} on {c['report']['board']}" for n, c in kept()])
def test_what_was_simulated_was_exact_and_as_fast_as_stated(name: str, content: dict[str, Any]) -> None:
    simulation, report = content["simulation"], content["report"]
    assert simulation["words"] >= 100 and simulation["mismatches"] == 0 and not simulation["problems"]
    assert simulation["cycles_per_word"] == simulation["expected_cycles_per_word"] == report["cycles_per_word"]
    assert simulation["latency_cycles"] == simulation["expected_latency_cycles"]
    assert report["timing_met"] and report["clock_mhz"] <= report["fmax_mhz"]
    assert report["words_per_second"] == pytest.approx(report["clock_mhz"] * 1e6 / report["cycles_per_word"], rel=1e-3)


def test_the_table_beside_the_paper_s_is_that_of_the_record():
    page, record = RESULTS.parent / "speech.md", json.loads((RESULTS / "gsc-ulx3s-85f.json").read_text())
    assert replace_table(page.read_text(), paper_table(record)) == page.read_text(), "make it anew with --page"


def test_the_readme_tells_what_is_on_record():
    readme = " ".join((RESULTS.parents[1] / "README.md").read_text().split())
    digits = json.loads((RESULTS / "digits-ulx3s-85f.json").read_text())["report"]
    told = f"{digits['cycles_per_word']:.0f} cycles an image, stated and measured, {digits['dsp']} multipliers, "
    told += f"{digits['lut']:,} LUTs, routed at {digits['clock_mhz']:.1f} MHz: "
    assert f"{told}{digits['words_per_second'] / 1e6:.2f} million images/s" in readme
    smallest = json.loads((RESULTS / "boards" / "ulx3s-12f.json").read_text())["report"]
    assert f"holds it as well, at {smallest['clock_mhz']:.1f} MHz" in readme
    routed = json.loads((RESULTS / "gsc-ulx3s-85f.json").read_text())["report"]
    assert f"{routed['words_per_second']:,.0f} words/s at {routed['clock_mhz']:.1f} MHz on a ULX3S" in readme
    speech = json.loads((RESULTS / "speech-training.json").read_text())
    shipped, dense = speech["shipped"]["accuracy"]["test"], speech["summary"]["dense"]["integer"]["test"]["mean"]
    assert f"{shipped:.1%} of the test split where the dense one reaches {dense:.1%}".replace("%", " %") in readme


def test_at_least_95_of_100_planted_faults_were_caught() -> None:
    record = json.loads((RESULTS / "mutation.json").read_text())
    told = " ".join((RESULTS.parent / "mutation.md").read_text().split())
    tried = record["planted"] - record["equivalent"]
    assert record["verilog"]["planted"] >= 200 and record["caught"] >= 0.95 * tried
    assert len(record["survivors"]) == record["planted"] - record["caught"]
    assert f"{record['caught']} of {tried} faults caught, {record['percent']} %; {record['equivalent']} more" in told

"""The page of a design: whole, nothing from outside, true to the plan; in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from residual_networks import random_residual

from cs_hdl import cli
from cs_hdl.combine.packed import combine
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.planner import make_plan
from cs_hdl.report.design_facts import gather
from cs_hdl.report.design_page import design_page
from cs_hdl.report.drawings import packed_set, time_strip
from cs_hdl.report.occupancy import activities

LIMITS = DeviceLimits(name="test", lut=10**6, dsp=10**4, block_ram=10**4)
CONV = ("--kernel", "3x3", "--in-channels", "8", "--out-channels", "16", "--input", "6x6", "--scale", "1/2^6")
#: Of HTML, those that have no end.
VOID = {"meta", "br", "link", "rect", "path", "polygon"}


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two designs of one kernel; a script in a name must stay text."""
    folder = tmp_path_factory.mktemp("report")
    sparse, dense = folder / "a<script>b", folder / "dense"
    more = ("--weight-sparsity", "0.875", "--active-inputs", "2", "--winners", "4", "--cycles", "400")
    assert cli.run(["generate", "conv", *CONV, *more, "--out", str(sparse)]) == 0
    assert cli.run(["generate", "conv", *CONV, "--mode", "dense", "--cycles", "5000", "--out", str(dense)]) == 0
    return sparse, dense


class Page(HTMLParser):
    """Checks that every element is closed, and collects what refers to something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.counts: dict[str, int] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values[key] or "" for key in ("href", "src") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing(designs: tuple[Path, Path], capfd: Any) -> None:
    assert cli.run(["report", str(designs[0]), "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    text = (designs[0] / "report.html").read_text()
    page = Page(text)
    assert answer["page"] == str(designs[0] / "report.html") and answer["bytes"] == len(text.encode())
    assert len(set(page.ids)) == len(page.ids)
    assert page.links and all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "script" not in page.counts and "@import" not in text and "url(" not in text and "http" not in text
    assert "a&lt;script&gt;b" in text and "a<script>b" not in text
    # Phones scale the page by this.
    assert "width=device-width" in text
    assert any("cs-hdl simulate" in note for note in answer["notes"])


def test_it_says_what_the_manifest_says(designs: tuple[Path, Path]) -> None:
    facts = gather(designs[0], board="ulx3s-85f")
    text, manifest = design_page([facts]), facts.manifest
    for layer in manifest["layers"]:
        assert f"<b>{layer['name']}</b>" in text
    assert f"{manifest['cycles_per_word']:,}" in text and f"{manifest['latency_cycles']:,}" in text
    for digest in manifest["sources"].values():
        assert digest in text
    assert facts.estimate is not None
    assert f"{sum(cells.comb for cells in facts.estimate.values()):,} of 83,640" in text


def test_equal_designs_give_equal_pages_and_the_estimate_is_kept(
    designs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = design_page([gather(designs[0], board="ulx3s-85f")])
    monkeypatch.setattr("cs_hdl.report.design_facts.estimate_cells", lambda *a, **k: pytest.fail("it is known"))
    assert design_page([gather(designs[0], board="ulx3s-85f")]) == first


def test_two_designs_stand_side_by_side(designs: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "two.html"
    assert cli.run(["report", str(designs[0]), str(designs[1]), "--out", str(page)]) == 0
    text = page.read_text()
    Page(text)
    row = re.search(r'<th scope="row">cycles a word</th><td>(\S+)</td><td>(\S+)</td><td class="worse">', text)
    assert row is not None
    cycles = [json.loads((folder / "manifest.json").read_text())["cycles_per_word"] for folder in designs]
    assert [int(cell.replace(",", "")) for cell in row.groups()] == cycles


def test_simulation_build_and_evaluation_are_shown_where_they_are(designs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "design"
    shutil.copytree(designs[0], folder)
    cycles = json.loads((folder / "manifest.json").read_text())["cycles_per_word"]
    simulation = {"words": 20, "values": 99, "mismatches": 3, "cycles_per_word": cycles, "latency_cycles": 7}
    (folder / "simulation.json").write_text(json.dumps(simulation | {"problems": ["3 values differ <here>"]}))
    (folder / "evaluation.json").write_text(
        json.dumps({"accuracy": {"hardware": {"accuracy": 0.975, "words": 359}}, "x": [1]})
    )
    build = folder / "build" / "ulx3s-12f"
    build.mkdir(parents=True)
    report = {"board": "ulx3s-12f", "device": "LFE5U-12F", "fmax_mhz": 91.3, "clock_mhz": 90.0, "timing_met": True}
    report |= {"lut": 1234, "ff": 1000, "dsp": 2, "block_ram": 3, "tools": {"yosys": "pyosys 0.70"}, "seed": 5}
    (build / "report.json").write_text(json.dumps(report))
    place = {"cell": "lane_0.q", "loc": [1, 2], "port": "Q"}
    path = [
        {"type": kind, "delay": ns, "from": place, "to": place} for kind, ns in (("clk-to-q", 0.5), ("routing", 1.5))
    ]
    found = {"fmax": {"$glbnet$clk": {"achieved": 91.3}, "other": {"achieved": 20.0}}}
    clock = "posedge $glbnet$clk"
    found["critical_paths"] = [
        {"from": "posedge other", "to": clock, "path": []},
        {"from": clock, "to": clock, "path": path},
    ]
    (build / "nextpnr.json").write_text(json.dumps(found))
    text = design_page([gather(folder, board="ulx3s-85f")])
    Page(text)
    assert "3 MISMATCHES" in text and "3 values differ &lt;here&gt;" in text
    assert "accuracy, hardware, accuracy" in text and "97.50%" in text and "359" in text
    assert "Fmax 91.3 MHz" in text and "75% of it wire" in text and "LFE5U-12F" in text
    assert "1,234" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent",), "no design directory"),
        (("{0}", "absent"), "no design directory"),
        (("{0}", "--board", "no-board"), "no-board"),
        (("{0}", "--out", "."), "is a folder"),
    ],
)
def test_mistakes_are_one_line_exit_2(
    designs: tuple[Path, Path], arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: Any, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["report", *(argument.format(designs[0]) for argument in arguments)]) == 2
    err = capfd.readouterr().err
    assert message in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_named(designs: tuple[Path, Path], tmp_path: Path, capfd: Any) -> None:
    shutil.copytree(designs[1], tmp_path / "d")
    (tmp_path / "d" / "simulation.json").write_text("{")
    assert cli.run(["report", str(tmp_path / "d")]) == 2
    assert "simulation.json: cannot be read" in capfd.readouterr().err


def test_the_last_result_leaves_when_the_plan_says(designs: tuple[Path, Path]) -> None:
    facts = gather(designs[0], board="ulx3s-85f")
    assert facts.plan is not None
    # Both count from the first beat taken to the last beat given.
    assert facts.stages[-1].given[-1] == facts.plan.latency_cycles
    assert facts.stages[0].taken[0] == 0 and len(facts.stages[0].taken) == facts.plan.input_beats
    for before, after in zip(facts.stages, facts.stages[1:], strict=False):
        assert np.array_equal(before.given, after.taken) and after.given[0] >= after.taken[0]


def test_who_waits_for_whom(designs: tuple[Path, Path]) -> None:
    facts = gather(designs[1], board="ulx3s-85f")
    assert facts.plan is not None
    pace = facts.plan.cycles_per_word
    (lanes,) = (row for row in facts.stages if row.what == "lanes")
    assert lanes.verdict == "pace" and lanes.cycles == pace and lanes.idle == 0
    first, last = facts.stages[0], facts.stages[-1]
    assert first.verdict == "held" and first.waits_for == lanes.name
    assert last.verdict == "starved" and last.waits_for == lanes.name
    assert first.idle == pytest.approx(1 - first.cycles / pace)


def test_both_branches_of_a_residual_block_are_there() -> None:
    plan = make_plan(random_residual(2), limits=LIMITS)
    rows = [row for row in activities(plan) if row.layer.startswith("block")]
    assert [row.branch for row in rows] == ["body", "body", "shortcut", ""]
    first, second, shortcut, end = rows
    assert np.array_equal(first.given, second.taken)
    # Both branches begin with what the block takes.
    assert np.array_equal(first.taken, end.taken) and np.array_equal(shortcut.taken, end.taken)
    assert end.given[-1] >= max(second.given[-1], shortcut.given[-1])


def test_a_set_is_drawn_place_by_place() -> None:
    owners = np.array([0, 0, 1, -1, 1, 0])
    svg = packed_set(owners, columns=3, label="set", names=["kernel 7", "kernel <9>"])
    assert 'd="M0 0h2v1h-2z' in svg and "M2 1h1v1h-1z" in svg  # kernel 0
    assert "M2 0h1v1h-1zM1 1h1v1h-1z" in svg  # kernel 1
    assert 'class="empty" d="M0 1h1v1h-1z"' in svg
    assert "kernel 7: 3 weights" in svg and "kernel &lt;9&gt;: 2 weights" in svg


def test_a_strip_is_dark_where_beats_move() -> None:
    svg = time_strip(np.array([0, 1, 2, 3, 199]), span=200, kind="taken")
    assert svg.count("<rect") == 2 and 'x="0" width="4"' in svg and 'x="199" width="1"' in svg
    assert "<rect" not in time_strip(np.array([], np.int64), span=200, kind="taken")


def test_packing_covers_every_weight(designs: tuple[Path, Path]) -> None:
    facts = gather(designs[0], board="ulx3s-85f")
    assert facts.plan is not None
    packed = combine(facts.plan.network).layers["conv"]
    text = design_page([facts])
    assert f"{len(packed.sets)} sets" in text and f"fewer than {packed.lower_bound} sets" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_is_wider_than_the_screen(designs: tuple[Path, Path], tmp_path: Path, width: int) -> None:
    """A script, added for the test alone, measures the page as the browser lays it out."""
    page = tmp_path / "page.html"
    text = design_page([gather(folder, board="ulx3s-85f") for folder in designs])
    measure = (
        "<script>const f=document.querySelector('iframe');f.onload=()=>{const d=f.contentDocument,e=d.documentElement;"
        "document.title=JSON.stringify([e.scrollWidth,d.querySelectorAll('section').length,"
        "[...d.querySelectorAll('.strips')].every(s=>s.clientWidth>100),"
        "[...d.querySelectorAll('svg.cells')].every(s=>s.getBoundingClientRect().height>4)])}</script>"
    )
    frame = text.replace("&", "&amp;").replace('"', "&quot;")
    page.write_text(f'<iframe width="{width}" height="3000" style="border:0" srcdoc="{frame}"></iframe>{measure}')
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    result = subprocess.run(
        [*map(str, command), f"--user-data-dir={tmp_path / 'profile'}", f"file://{page}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    match = re.search(r"<title>(\[.*?\])</title>", result.stdout)
    assert match is not None, result.stderr[-2000:]
    scroll, sections, strips, cells = json.loads(match.group(1))
    assert scroll <= width and sections == 9 and strips and cells

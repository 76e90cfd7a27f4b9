"""Better places for cells: a real design, placed and routed by nextpnr, which also says how fast it is."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import pytest
from build_tools import need_build_tools
from stand_in import write_negative

from cs_hdl.board.catalogue import find_board
from cs_hdl.build import refine, tries
from cs_hdl.build.bitstream import build_bitstream
from cs_hdl.build.family import FAMILIES
from cs_hdl.build.run import run_tool
from cs_hdl.build.tools import require_tool
from cs_hdl.errors import InputError, ToolError
from cs_hdl.placement import improve as search
from cs_hdl.placement import pins
from cs_hdl.placement.delays import read_delays
from cs_hdl.placement.improve import improve
from cs_hdl.placement.placed import PlacedDesign, place_of
from cs_hdl.placement.rules import Rules
from cs_hdl.placement.timing import TimingGraph
from cs_hdl.placement.wires import WireModel

#: One worker for all: the fixture takes half a minute.
pytestmark = pytest.mark.xdist_group("placement")


@pytest.fixture(scope="module", autouse=True)
def few_turns():
    """A search of 3 turns in place of 12 does all that there is to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_TURNS", 3)
        yield


@pytest.fixture(scope="module")
def built(few_turns, tmp_path_factory):
    """A folder with what a build of one round began and ended with, and what it told on its way."""
    folder = tmp_path_factory.mktemp("placement")
    need_build_tools("yosys", "nextpnr-ecp5", "ecppack")
    write_negative(folder / "design", lanes=4, rest=5)
    steps = []

    def keep(routed, progress, *, keep_routes, move=refine._move):
        if keep_routes:
            return move(routed, progress, keep_routes=True)
        shutil.copy(routed / "nextpnr.json", folder / "before.json")
        for name in ("placed.json", "delays.sdf"):
            shutil.copy(routed / name, folder / name)
        design, promised = move(routed, progress, keep_routes=False)
        design.write(folder / "moved.json", target_mhz=promised, keep_routes=False)
        return design, promised

    def keep_routed(work, state, checkpoints, keep_round=refine._keep):
        if state["done"]:
            shutil.copy(work / "placed.json", folder / "routed.json")
        keep_round(work, state, checkpoints)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(refine, "_move", keep)
        patch.setattr(refine, "_keep", keep_routed)
        build_bitstream(folder / "design", find_board("ulx3s-85f"), rounds=1, progress=steps.append)
    return folder, steps


def fmax_before(folder):
    """The clock in MHz of nextpnr's own design."""
    clocks = json.loads((folder / "before.json").read_text())["fmax"]
    (mhz,) = [entry["achieved"] for name, entry in clocks.items() if "serial" not in name]
    return mhz


def test_a_round_keeps_the_faster_design(built):
    folder, steps = built
    report = json.loads((folder / "design/build/ulx3s-85f/report.json").read_text())
    before = fmax_before(folder)
    names = list(dict.fromkeys(step.partition(" · ")[0] for step in steps))
    begins = ["routing, seed 1", "moving cells, round 1, seed 1", "routing, round 1, seed 1"]
    assert names[2:] == [*begins, *names[5:-1], "bitstream"]
    assert len(names) > 6
    assert all(re.fullmatch(r"routing on for [\d.]+ MHz, round 1, seed 1", name) for name in names[5:-1])
    assert any(step.endswith("MHz possible") for step in steps) and any("wires shared" in step for step in steps)
    # From where a routing got it goes further until that is given up.
    reached = [re.fullmatch(r"routing.*, round 1, seed 1 · ([\d.]+) MHz", step) for step in steps]
    clocks = [float(step[1]) for step in reached if step]
    assert report["refined"] == 0 or report["fmax_mhz"] == pytest.approx(max(clocks), abs=0.06)
    assert report["refined"] in (0, 1)
    assert (report["fmax_mhz"] > before) == (report["refined"] == 1) and report["fmax_mhz"] >= before - 1e-3
    assert not list((folder / "design/build/ulx3s-85f").glob("*.sdf"))


def test_more_rounds_begin_behind_those_that_are_known(built, monkeypatch):
    folder, _ = built
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    board, steps = find_board("ulx3s-85f"), []

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(refine, "_move", stopped)
        build_bitstream(folder / "design", board, rounds=3, progress=steps.append)
    assert steps == ["synthesis: as done before", "moving few cells, round 2, seed 1"]
    steps.clear()
    before = json.loads((folder / "design/build/ulx3s-85f/report.json").read_text())
    report = build_bitstream(folder / "design", board, rounds=2, progress=steps.append)
    assert "moving few cells, round 2, seed 1" in steps and any("routing on for" in step for step in steps)
    assert not any("placing" in step or "round 1" in step for step in steps)
    assert report.fmax_mhz >= before["fmax_mhz"] - 1e-3
    assert report.seconds["place_and_route"] > before["seconds"]["place_and_route"]
    # Without rounds it is nextpnr's own design, which is known as well.
    steps.clear()
    own = build_bitstream(folder / "design", board, progress=steps.append)
    assert steps == ["synthesis: as done before", "bitstream"]
    assert own.refined == 0 and abs(own.fmax_mhz - fmax_before(folder)) < 1e-3


def test_a_clock_that_is_met_ends_the_rounds(tmp_path):
    for name in ("placed.json", "delays.sdf"):
        (tmp_path / name).write_text("")
    refine.begin(tmp_path, None)
    # (Neither a tool nor a design: there is nothing to do for them.)
    rest = {"options": [], "family": FAMILIES["ecp5"], "seed": 1, "rounds": 3, "fmax": lambda path: 100.0}
    assert refine.refine(None, tmp_path, enough_mhz=100.0, **rest) == 0
    assert not list(tmp_path.iterdir())


def test_a_nextpnr_that_fails_on_its_way_on_leaves_what_there_is(built, tmp_path, monkeypatch):
    folder, _ = built
    for name in ("placed.json", "nextpnr.json"):
        shutil.copy(folder / name.replace("nextpnr", "before"), tmp_path / name)
    (tmp_path / "top.lpf").write_text("")
    steps = []

    def failing(*arguments, **options):
        raise ToolError("nextpnr-ecp5 failed (exit 1)")

    monkeypatch.setattr(refine, "run_tool", failing)
    router = refine._Router(
        nextpnr=None, options=[], family=FAMILIES["ecp5"], fmax=lambda path: 100.0, enough_mhz=200.0, name="round 1",
        progress=steps.append,
    )  # fmt: skip
    assert router._climb(tmp_path, PlacedDesign(tmp_path / "placed.json"), [100.0, 97.5], 95.0) == 0.0
    begun, failed = (f"routing on for {aim} MHz, round 1" for aim in ("100.0", "97.5")), "nextpnr failed"
    assert steps == [line for step in begun for line in (step, f"{step} · {failed}")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nextpnr.json", "placed.json", "top.lpf"]


def test_a_round_that_is_no_result_of_ours_counts_as_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    parts = SimpleNamespace(rounds=2, family=FAMILIES["ecp5"], round_key=lambda seed, done: f"{seed}-{done}")
    for name in refine.state_files(parts.family):
        (work / name).write_text("")
    refine.begin(work, tries._Checkpoints(parts, 1))
    assert tries._Checkpoints(parts, 1).restore(work)
    # A later round of another form: the one before it is taken.
    (work / "rounds.json").write_text('{"done": 1}')
    tries._Checkpoints(parts, 1).keep(work, 1)
    assert tries._Checkpoints(parts, 1).restore(work) and refine.read_state(work)["done"] == 0
    assert not tries._Checkpoints(parts, 2).restore(work)


def test_timing_is_that_of_nextpnr(built):
    folder, _ = built
    design, delays = PlacedDesign(folder / "placed.json"), read_delays(folder / "delays.sdf")
    graph = TimingGraph(design, delays)
    analysis = graph.analyse(graph.routed)
    assert abs(1e6 / analysis.longest - fmax_before(folder)) < 0.01
    # What goes through a wire ends somewhere, and the slowest path goes through its wires.
    assert analysis.through.max() == pytest.approx(analysis.longest)
    path = graph.slowest_path(int(analysis.ends.argmax()), analysis.arrival, graph.routed)
    assert len(path) > 1 and "_FF" in design.kinds[path[-1]] + design.kinds[path[0]]


def test_moved_cells_are_the_same_netlist_in_legal_places(built):
    folder, _ = built
    design = PlacedDesign(folder / "placed.json")
    rules = Rules(design)
    assert all(rules.fits(*tile) for tile in rules.tiles)
    moved = PlacedDesign(folder / "moved.json")
    rules_there = Rules(moved)
    assert all(rules_there.fits(*tile) for tile in rules_there.tiles)
    assert moved.names == design.names and moved.kinds == design.kinds and len(moved.at) == len(design.at)
    assert any(moved.sites[cell] != design.sites[cell] for cell in range(len(design.names)))
    for cell, group in enumerate(rules.groups):
        assert design.nets(cell) == moved.nets(cell)
        assert moved.parameter(cell, "MODE") == design.parameter(cell, "MODE")
        # A group keeps its shape; only loose ones change their place within a tile.
        for member in group:
            assert moved.x[member] - moved.x[cell] == design.x[member] - design.x[cell]
            assert moved.y[member] - moved.y[cell] == design.y[member] - design.y[cell]
            assert rules.loose[cell] or moved.within[member] == design.within[member]
    for cell, within in enumerate(design.within):
        if within < 0 and design.kinds[cell] not in ("MULT18X18D", "DP16KD"):
            assert moved.sites[cell] == design.sites[cell]


def luts(path):
    """Cells that are LUTs, RAMs or carries, by name, without ports that are open."""
    (top,) = json.loads(path.read_text())["modules"].values()
    cells = {name: cell for name, cell in top["cells"].items() if cell["type"] == "TRELLIS_COMB"}
    for cell in cells.values():
        led = {port: [bit for bit in bits if bit != "x"] for port, bits in cell["connections"].items()}
        cell["connections"] = {port: bits for port, bits in led.items() if bits}
    return cells, top["netnames"]


def mode(cell):
    return cell["parameters"].get("MODE", "LOGIC").strip()


@pytest.mark.parametrize(("file", "modes"), [("placed", {"DPRAM", "RAMW_BLOCK"}), ("routed", None)])
def test_no_route_swaps_inputs_that_are_not_alike(built, file, modes):
    """nextpnr forgets which LUTs are RAMs when it reads a placed design, and then swaps their addresses."""
    folder, _ = built
    cells, nets = luts(folder / f"{file}.json")
    steps = [step for net in nets.values() for step in net["attributes"].get("ROUTING", "").split(";")[1::3]]
    last = [match for match in map(pins._LAST_STEP.fullmatch, steps) if match]
    swapped = {(step[1], step[2], step[4]) for step in last if step[3] != step[5]}
    seen = set()
    for cell in cells.values():
        x, y, within = place_of(cell["attributes"]["NEXTPNR_BEL"])
        if modes is None or mode(cell) in modes:
            seen.add(mode(cell))
            assert (str(x), str(y), str(within)) not in swapped
    assert len(last) > 1000 and {"DPRAM", "RAMW_BLOCK"} <= seen
    assert (pins.count_swapped((folder / f"{file}.json").read_text()) > 0) == bool(swapped) == (file == "placed")


def test_what_is_forgotten_makes_no_other_hardware(built, tmp_path):
    """With open ports of logic and names of sources left out, nextpnr makes the same bitstream."""
    folder, _ = built
    contents = {
        "whole": json.loads((folder / "placed.json").read_text()),
        "lean": PlacedDesign(folder / "placed.json")._content,
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        run_tool(
            require_tool("nextpnr-ecp5"),
            ["--85k", "--package", "CABGA381", "--json", f"{name}.json", "--textcfg", f"{name}.config",
             "--no-pack", "--no-place", "--no-route"],
            folder=tmp_path, log="nextpnr.log",
        )  # fmt: skip
    whole, lean = ((tmp_path / f"{name}.config").read_text() for name in contents)
    assert whole.count("arc:") > 1000
    assert lean == whole
    sizes = [(tmp_path / f"{name}.json").stat().st_size for name in contents]
    assert sizes[1] < 0.8 * sizes[0]


def test_where_routes_are_kept_few_cells_move_and_only_their_nets_are_led_anew(built, tmp_path):
    folder, _ = built
    before, design = PlacedDesign(folder / "placed.json"), PlacedDesign(folder / "placed.json")
    delays = read_delays(folder / "delays.sdf")
    graph = TimingGraph(design, delays)
    model = WireModel(design, graph, keep_routes=True)
    assert (model.estimate(design, graph) == graph.routed).all()
    longest = graph.analyse(graph.routed).longest
    assert improve(design, delays, keep_routes=True) < longest
    moved = [cell for cell in range(len(design.names)) if design.place(cell) != before.place(cell)]
    assert 0 < len(moved) < 0.2 * len(design.names) and all(design.within[cell] >= 0 for cell in moved)
    # What stayed takes what it took.
    here = set(moved)
    ends = zip(graph.drivers.tolist(), graph.sinks.tolist(), strict=True)
    stays = [wire for wire, pins in enumerate(ends) if here.isdisjoint(pins)]
    after = model.estimate(design, graph)
    assert (after[stays] == graph.routed[stays]).all() and (after != graph.routed).any()
    design.write(tmp_path / "moved.json", target_mhz=100.0, keep_routes=True)
    (top,) = json.loads((tmp_path / "moved.json").read_text())["modules"].values()
    (was,) = json.loads((folder / "placed.json").read_text())["modules"].values()
    touched = {net for cell in moved for net in design.nets(cell).values()}
    kept = 0
    for name, net in was["netnames"].items():
        route = net["attributes"].get("ROUTING", "")
        stays = touched.isdisjoint(net["bits"]) and set(route.split(";")[2::3]) == {"1"}
        assert top["netnames"][name]["attributes"].get("ROUTING") == (route if stays else None)
        kept += stays
    assert kept > 0.5 * sum("ROUTING" in net["attributes"] for net in was["netnames"].values())


def test_the_expected_path_is_no_slower_and_always_the_same(built):
    folder, _ = built
    design, delays = PlacedDesign(folder / "placed.json"), read_delays(folder / "delays.sdf")
    graph = TimingGraph(design, delays)
    before = graph.analyse(WireModel(design, graph).estimate(design, graph)).longest
    assert improve(design, delays) <= before
    moved = PlacedDesign(folder / "moved.json")
    assert (design.x, design.y, design.within) == (moved.x, moved.y, moved.within)


def test_an_exchange_back_is_none_and_rules_refuse(built):
    folder, _ = built
    design = PlacedDesign(folder / "placed.json")
    rules = Rules(design)
    before = dict(design.at)
    loose = [cell for cell in before.values() if rules.loose[cell]]
    stiff = [cell for cell in before.values() if not rules.loose[cell]]
    tried = 0
    for cell in loose[:200]:
        places = [design.place(member) for member in rules.groups[cell]]
        x, y = rules.tiles[tried % len(rules.tiles)]
        pairs = rules.exchange(places, (x - design.x[cell], y - design.y[cell], 0))
        if pairs is not None:
            rules.allows(pairs)
            tried += 1
    assert tried and design.at == before
    cell = stiff[0]
    place = design.place(cell)
    assert rules.exchange([place], (0, 0, 1 if place[2] % 8 < 7 else -1)) is None
    assert rules.exchange([place], (1000, 0, 0)) is None
    # Two flip-flops of a slice with different enables.
    registers = [cell for cell in before.values() if design.kinds[cell] == "TRELLIS_FF"]
    kinds = {(design.net(cell, "CE"), design.parameter(cell, "CEMUX")): cell for cell in registers}
    assert len(kinds) > 1
    one, other = list(kinds.values())[:2]
    x, y = rules.tiles[0]
    for within in range(17):
        design.at.pop((x, y, within), None)
    design.at[x, y, 8], design.at[x, y, 9] = one, other
    assert not rules.fits(x, y)


def test_files_of_another_kind(tmp_path):
    (tmp_path / "placed.json").write_text('{"modules": {"top": {"cells": {"a": {}}}}}')
    (tmp_path / "delays.sdf").write_text("(DELAYFILE)\n")
    with pytest.raises(ToolError, match=r"placed\.json"):
        PlacedDesign(tmp_path / "placed.json")
    with pytest.raises(ToolError, match=r"delays\.sdf"):
        read_delays(tmp_path / "delays.sdf")


def test_only_an_ecp5_is_refined(tmp_path):
    write_negative(tmp_path / "design", lanes=2, rest=3)
    with pytest.raises(InputError, match="--refine 1: only for an ECP5"):
        build_bitstream(tmp_path / "design", find_board("icebreaker"), rounds=1)

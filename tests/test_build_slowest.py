"""The slowest path of each stage, from nextpnr's timing of every net."""

from __future__ import annotations

import json

import pytest

from cs_hdl.build.alone import Routed
from cs_hdl.build.slowest import condense_timings, critical_path
from cs_hdl.report.leaves import describe_routed

DESIGN, SERIAL = "posedge $glbnet$clk", "posedge $glbnet$core.meter.serial_clk"


def net(source, *ends):
    """A net driven in the clock of ``source``: its endpoints are (cell, nanoseconds, event)."""
    endpoints = [{"cell": cell, "port": "DI", "delay": [0.3, delay], "event": event} for cell, delay, event in ends]
    return {"net": "n", "driver": "d", "port": "Q", "event": source, "endpoints": endpoints}


def condensed(tmp_path, nets):
    path = tmp_path / "nextpnr.json"
    path.write_text(json.dumps({"fmax": {"clk": 1}, "detailed_net_timings": nets}))
    condense_timings(path, ("clk", "pll.clk"))
    return json.loads(path.read_text())


def test_by_stage_the_slowest_first(tmp_path):
    report = condensed(
        tmp_path,
        [
            net(DESIGN, ("core.accelerator.conv1.lanes.a_TRELLIS_FF_Q", 7.25, DESIGN), ("core.x", 3.0, DESIGN)),
            net(DESIGN, ("core.accelerator.conv1.lanes.b", 9.5, DESIGN), ("core.accelerator.kwta1.c", 9.75, DESIGN)),
            # From or to the other clock: no part of this one's.
            net(SERIAL, ("core.accelerator.conv1.d", 20.0, DESIGN)),
            net(DESIGN, ("core.y", 30.0, SERIAL)),
        ],
    )
    assert list(report["slowest"].items()) == [("kwta1", 9.75), ("conv1", 9.5), ("board", 3.0)]
    assert report["fmax"] == {"clk": 1} and "detailed_net_timings" not in report


@pytest.mark.parametrize("text", ["", "{", "{}", '{"detailed_net_timings": [{"net": "n"}]}'])
def test_what_is_no_report_stays_as_it_is(tmp_path, text):
    path = tmp_path / "nextpnr.json"
    path.write_text(text)
    condense_timings(path, ("clk",))
    assert path.read_text() == text


def path_report():
    def step(kind, start, end, delay):
        return {
            "type": kind, "delay": delay,
            "from": {"cell": start[0], "port": start[1]}, "to": {"cell": end[0], "port": end[1]},
        }  # fmt: skip

    memory, lut, register = "dut.fifo.storage.0.1", "dut.fifo.o_LUT4_Z", "dut.$signal$3_TRELLIS_FF_Q_7"
    path = [
        step("clk-to-q", (memory, "DOB4"), (memory, "DOB4"), 5.83),
        step("routing", (memory, "DOB4"), (lut, "D"), 1.77),
        step("logic", (lut, "D"), (lut, "F"), 0.24),
        step("routing", (lut, "F"), (register, "CE"), 1.0),
        step("setup", (register, "CE"), (register, "CE"), 0.0),
    ]
    return {
        "critical_paths": [
            {"from": "async", "to": DESIGN, "path": []},
            {"from": DESIGN, "to": SERIAL, "path": []},
            {"from": DESIGN, "to": DESIGN, "path": path},
        ]
    }


def test_the_critical_path_is_the_clocks_own():
    path = critical_path(path_report(), "$glbnet$clk")
    assert [part.kind for part in path] == ["clk-to-q", "routing", "logic", "routing", "setup"]
    assert sum(part.delay_ns for part in path) == pytest.approx(8.84)
    assert path[1].cells == ("dut.fifo.storage.0.1", "dut.fifo.o_LUT4_Z") and path[1].ports == ("DOB4", "D")
    assert critical_path(path_report(), "other") == ()


def test_a_leaf_below_the_goal_tells_of_its_slowest_path():
    path = critical_path(path_report(), "$glbnet$clk")
    assert describe_routed(Routed(fmax_mhz=120.0, path=path)) == {"fmax_mhz": 120.0}
    assert describe_routed(Routed(fmax_mhz=113.12, path=path)) == {
        "fmax_mhz": 113.12,
        "slowest_path": {
            "from": "block RAM fifo.storage.0.1",
            "to": "enable of signal",
            "steps": 1,
            "ns": {"clk-to-q": 5.83, "routing": 2.77, "logic": 0.24, "setup": 0.0},
        },
    }

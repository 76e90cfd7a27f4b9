"""The slowest path of each stage, from nextpnr's timing of every net."""

from __future__ import annotations

import json

import pytest

from cs_hdl.build.slowest import condense_timings

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

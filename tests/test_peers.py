"""The comparison with others' generators: what is compared, what is kept, and what happens where a step fails."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cs_hdl.errors import ToolError
from cs_hdl.peers import __main__ as command
from cs_hdl.peers import compare, environment, steps
from cs_hdl.peers.points import LAYERS, MATRICES, OURS, constant_matrix, nngen_points


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    for module in (environment, steps):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


def test_pins_name_one_version_of_each_peer():
    assert environment.version("nngen") == "1.3.4" and environment.version("da4ml") == "0.6.0"
    assert "numpy<2" in environment.pins("nngen")


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_are_as_sparse_as_they_say(name):
    inputs, outputs, nonzeros = MATRICES[name]
    matrix = constant_matrix(name)
    assert matrix.shape == (outputs, inputs) and np.abs(matrix).max() <= 127
    assert ((matrix != 0).sum(axis=1) == nonzeros).all()
    assert np.array_equal(matrix, constant_matrix(name))


def test_every_layer_of_nngen_has_a_design_of_ours():
    assert {own.layer for own in OURS} == set(LAYERS) == {name for name, _, _ in nngen_points()}
    # The goals of the project for the layers of the speech network.
    goals = {own.layer: int(own.options[-1]) for own in OURS if "--active-inputs" in own.options}
    assert goals["conv 5x5 64->64 on 14x14"] <= 800 and goals["linear 1600->1500"] <= 800


def test_a_step_is_made_once_and_not_kept_where_it_fails(tmp_path):
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "file").write_text("x")
        if len(calls) == 1:
            raise ToolError("no")
        return {"figure": len(calls)}

    with pytest.raises(ToolError):
        steps.kept(["a", b"b"], make)
    for _ in range(2):
        folder, result = steps.kept(["a", b"b"], make)
        assert result == {"figure": 2} and (folder / "file").read_text() == "x"
    steps.kept(["ab", b""], make)
    (folder / "kept.json").write_text("{")  # counts as absent
    assert steps.kept(["a", b"b"], make)[1] == {"figure": 4}
    assert not list((tmp_path / "cache" / "steps").glob("work-*"))


def test_a_step_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    code = "import subprocess, sys, pathlib\np = subprocess.Popen(['sleep', '60'])\n"
    code += "pathlib.Path('pid').write_text(str(p.pid))\np.wait()"
    with pytest.raises(steps.StepTimeout, match="more than 5 s"):
        steps.run_limited([sys.executable, "-c", code], folder=tmp_path, limit=5, environment=dict(os.environ))
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")

    def gone():
        try:
            return state.read_text().split()[2] == "Z"
        except OSError:  # it goes while we look
            return True

    for _ in range(100):  # a process that was killed may take a while to go
        if gone():
            return
        time.sleep(0.1)
    raise AssertionError("what the step started is still running")


def test_the_end_of_the_log_is_in_the_error(tmp_path):
    with pytest.raises(ToolError, match=r"exit 3.*what went wrong"):
        steps.run_limited(
            [sys.executable, "-c", "print('what went wrong'); raise SystemExit(3)"],
            folder=tmp_path, limit=60, environment=dict(os.environ),
        )  # fmt: skip


def test_cells_are_counted(tmp_path):
    design = tmp_path / "adder.v"
    design.write_text(
        "module adder(input clk, input [7:0] a, b, input c, d, output reg [7:0] o, output x);\n"
        "always @(posedge clk) o <= a + b;\nassign x = c ^ d;\nendmodule\n"
    )
    result = steps.synthesise(design, top="adder", limit=300)
    assert (result["carry"], result["lut4"], result["ff"], result["comb"]) == (4, 1, 8, 9)
    assert result["dsp"] == result["block_ram"] == result["lutram"] == 0


def test_a_point_says_what_was_not_run():
    def failing():
        yield {"cycles": 5}
        raise steps.StepTimeout("took more than 1 s")

    entry = compare._measured({"peer": "nngen"}, failing())
    assert entry == {"peer": "nngen", "version": "1.3.4", "cycles": 5, "not_run": "took more than 1 s"}


def test_only_what_was_kept(monkeypatch, capsys):
    """Nothing is started and nothing invented: every figure that would need a tool is missing."""
    monkeypatch.setattr(sys, "argv", ["peers", "--kept", "--only", "25x64"])
    assert command.main() == 3
    theirs, ours = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert theirs["peer"] == "da4ml" and "adders" not in theirs and "earlier runs" in theirs["not_run"]
    assert ours["adders"] == 278 and "comb" not in ours and "earlier runs" in ours["not_run"]

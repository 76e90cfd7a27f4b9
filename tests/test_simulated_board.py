"""The Verilog of a whole board behind a pseudo-terminal, and the host's own code, unchanged, in front of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from slow import quick_first

from cs_hdl.cli import run
from cs_hdl.emit.manifest import read_manifest
from cs_hdl.errors import InputError, ToolError
from cs_hdl.golden.dense import run_dense
from cs_hdl.host import Accelerator, check_identity
from cs_hdl.simulate.board import scripted_board, simulated_board
from cs_hdl.simulate.environment import find_verilator

pytest.importorskip("serial", reason="pyserial is missing")
from link_fuzz import INPUTS, NETWORK, attack, make_design


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    try:
        find_verilator()
    except ToolError as error:
        pytest.skip(str(error))
    return make_design(tmp_path_factory.mktemp("board") / "design")


def words(count: int, seed: int = 3):
    return np.random.default_rng(seed).integers(0, 256, (count, *NETWORK.input.shape)).astype(np.uint8)


@pytest.mark.parametrize("mismatch", quick_first([0.02, -0.02, 0.0], 1))
def test_words_come_back_as_the_golden_model_has_them(design, mismatch):
    x = words(30)
    with simulated_board(design, mismatch=mismatch) as port:
        board = Accelerator(port, design=design, timeout=20)
        assert (board.infer(x) == run_dense(NETWORK, x)).all()
        # A second host finds it as the first one left it.
        assert (Accelerator(port, timeout=20).infer(x[:3]) == run_dense(NETWORK, x[:3])).all()


@pytest.mark.parametrize(("mismatch", "seed"), quick_first([(-0.02, 11), (0.02, 13), (0.0, 12)], 2))
def test_faults_on_the_line(design, mismatch, seed):
    with scripted_board(design, mismatch=mismatch) as exchange:
        result = attack(exchange, faults=150, seed=seed)
    assert result["errors"] > 50 and len(result["kinds"]) == 11


def test_a_board_with_another_design(design, tmp_path):
    manifest = read_manifest(design)
    manifest["sources"]["design.v"] = "00" * 32
    with simulated_board(design) as port:
        identity = Accelerator(port, timeout=20).identity
    with pytest.raises(InputError, match=rf"another design \({identity.digest.hex()}, input 1 x 1 x {INPUTS} uint8\)"):
        check_identity(identity, manifest)


def test_run_writes_results_and_measures(design, tmp_path, capsys):
    x = words(5)
    np.save(tmp_path / "x.npy", x)
    arguments = ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy"), "--benchmark", "--json"]
    assert run(["run", "--simulate", str(design), *arguments]) == 0
    content = json.loads(capsys.readouterr().out)
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == np.int32 and (y == run_dense(NETWORK, x)).all()
    assert content["simulated"] and content["run"]["words"] == 5
    own, manifest = content["benchmark"], read_manifest(design)
    assert own["correct"] is True and own["faults"] == 0
    assert own["cycles"] == manifest["latency_cycles"] + (own["words"] - 1) * manifest["cycles_per_word"] + 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give --port (a board), or --simulate DIR"),
        (["--port", "/dev/no-such-port"], 3, "/dev/no-such-port: cannot be opened"),
        (["--port", "x", "--simulate", "y"], 2, "give --port (a board), or --simulate DIR"),
        (["--port", "x", "--output", "y.npy"], 2, "--output needs --input"),
        (["--port", "x", "--board", "ulx9"], 2, "board ulx9: unknown"),
        (["--port", "x", "--board", "ulx3s-85f", "--baud", "9600"], 2, "exclude each other"),
        (["--port", "x", "--input", "no.npy"], 2, "no.npy: no such file"),
        (["--simulate", "no-such-design"], 2, "no-such-design: no design directory"),
        (["--port", "x", "--timeout", "0"], 2, "--timeout 0: must be above 0"),
    ],
)
def test_wrong_options_are_one_line(arguments, code, message, capsys):
    assert run(["run", "--json", *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err
    assert json.loads(captured.out)["exit_code"] == code


def test_words_of_another_shape(design, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((2, 3), dtype=np.uint8))
    assert run(["run", "--simulate", str(design), "--input", str(tmp_path / "x.npy")]) == 2
    assert "the board takes integers [words, 1, 1, 12]" in capsys.readouterr().err

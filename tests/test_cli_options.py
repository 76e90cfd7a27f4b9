"""The program from outside: exit codes, one JSON object, one clear line an error, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cs_hdl import cli
from cs_hdl.commands.parse import parse_max_pool, parse_padding, parse_pair
from cs_hdl.errors import InputError, ResultError, ToolError

CONV = ("generate", "conv", "--kernel", "3x3", "--in-channels", "2", "--out-channels", "4", "--input", "5x5")
LINEAR = ("generate", "linear", "--in-features", "12", "--out-features", "6")


def run(*arguments: str | Path) -> int:
    return cli.run([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CONV, "--kernel", "3"), "--kernel 3"),
        ((*CONV, "--kernel", "0x3"), "--kernel"),
        ((*CONV, "--padding", "1,2"), "--padding 1,2"),
        ((*CONV, "--stride", "a"), "--stride a"),
        ((*CONV, "--max-pool", "x"), "--max-pool x"),
        ((*CONV, "--in-features", "3"), "--in-features: not an option"),
        ((*CONV, "--active-inputs", "0"), "--active-inputs 0"),
        ((*CONV, "--active-inputs", "3"), "--active-inputs 3"),
        ((*CONV, "--scale", "nan"), "--scale"),
        ((*CONV, "--weights", "absent.npy"), "absent.npy: no such file"),
        ((*CONV, "--board", "no-board"), "ulx3s-85f"),
        ((*CONV, "--device", "no-device"), "LFE5U-85F"),
        ((*CONV, "--device", "LFE5U-85F", "--board", "ulx3s-85f"), "exclude each other"),
        ((*CONV, "--cycles", "0"), "--cycles 0"),
        ((*CONV, "--cycles", "100", "--words-per-second", "5"), "exclude each other"),
        ((*CONV, "--words-per-second", "0"), "--words-per-second"),
        ((*CONV, "--mode", "fast"), "--mode fast"),
        ((*CONV, "--mode", "sparse-sparse"), "--active-inputs"),
        ((*CONV, "--name", "module"), "--name module"),
        (("generate", "conv", "--kernel", "3x3"), "needs --in-channels, --input, --out-channels"),
        ((*LINEAR, "--kernel", "3x3"), "--kernel: not an option"),
        ((*LINEAR, "--winners", "2"), "--winners needs --scale"),
        (("generate", "no-model"), "no-model"),
        (("generate", "absent.onnx"), "absent.onnx"),
        (("generate", "digits", "--kernel", "3x3"), "--kernel: not an option"),
    ],
)
def test_wrong_options_are_one_line_exit_2_and_leave_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--out", "design", "--json") == 2
    out, err = capfd.readouterr()
    answer = json.loads(out)
    assert message in answer["error"]
    assert answer["exit_code"] == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [("generate", "conv"), ("frobnicate",), ("boards", "--frob"), ("simulate", "x", "--words", "many"), ("build", "x")],
)
def test_what_typer_refuses_is_exit_2_too(arguments: tuple[str, ...], capfd: Any) -> None:
    assert run(*arguments, "--json") == 2
    out, err = capfd.readouterr()
    assert json.loads(out)["error"]
    assert "Traceback" not in err


COMMANDS = (
    "generate", "simulate", "estimate", "evaluate", "build", "program", "run", "live", "report", "sweep", "boards",
    "models", "doctor",
)  # fmt: skip


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help(command: tuple[str, ...], capfd: Any) -> None:
    assert run(*command, "--help") == 0
    assert "--help" in capfd.readouterr().out


def test_all_commands_of_the_contract_are_listed(capfd: Any) -> None:
    assert run("--help") == 0
    text = capfd.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in text] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("in"), 2), (ResultError("wrong"), 1), (ToolError("tool"), 3), (KeyboardInterrupt(), 130)],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("cs_hdl.commands.generate.read_network", fail)
    assert run(*CONV, "--out", "design") == code
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    assert out == ""


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cs_hdl.commands.generate.read_network", fail)
    with pytest.raises(ZeroDivisionError):
        run(*CONV, "--out", "design")


def test_an_empty_file_is_no_model(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert run("generate", tmp_path / "empty.onnx", "--out", tmp_path / "design") == 2
    assert "empty.onnx" in capfd.readouterr().err.replace("\n", "")
    assert not (tmp_path / "design").exists()


def test_simulate_and_build_refuse_what_is_no_design(tmp_path: Path, capfd: Any) -> None:
    assert run("simulate", tmp_path) == 2
    assert run("simulate", tmp_path / "absent", "--json") == 2
    assert run("build", tmp_path, "--board", "ulx3s-85f") == 2
    assert run("build", tmp_path, "--board", "no-board") == 2
    assert "ulx3s-85f" in capfd.readouterr().err


def test_foreign_folders_are_not_overwritten(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert run(*CONV, "--out", tmp_path) == 2
    assert "other files" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_lists(capfd: Any) -> None:
    assert run("boards", "--json") == 0
    boards = json.loads(capfd.readouterr().out)["boards"]
    assert "ulx3s-85f" in [board["name"] for board in boards]
    assert all({"name", "device", "family", "models"} <= set(board) for board in boards)
    assert run("models", "--json") == 0
    (digits,) = (m for m in json.loads(capfd.readouterr().out)["models"] if m["name"] == "digits")
    assert Path(digits["path"]).is_file()
    for command in ("boards", "models"):
        assert run(command) == 0
    assert "ulx3s-85f" in capfd.readouterr().out


def test_option_texts() -> None:
    assert parse_pair("--kernel", "5x3") == (5, 3)
    assert parse_pair("--stride", "2", single=True) == (2, 2)
    assert parse_pair("--stride", "2x1", single=True) == (2, 1)
    assert parse_padding("2") == (2, 2, 2, 2)
    assert parse_padding("1,2,3,4") == (1, 2, 3, 4)
    pools = [parse_max_pool(text) for text in ("2", "3:2", "3:2:1")]
    assert [(pool.kernel, pool.stride, pool.padding) for pool in pools] == [(2, 2, 0), (3, 2, 0), (3, 2, 1)]


def test_generate_simulate_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    design = Path("design")
    weights = np.random.default_rng(2).integers(-9, 9, size=(6, 12)).astype(np.int8)
    np.save(tmp_path / "w.npy", weights)
    assert run(*LINEAR, "--weights", tmp_path / "w.npy", "--out", design, "--name", "linear_top", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["top"] == "linear_top"
    assert str(tmp_path) not in (design / "manifest.json").read_text()
    words = np.random.default_rng(3).integers(0, 256, size=(3, 1, 1, 12)).astype(np.uint8)
    np.save(tmp_path / "x.npy", words)
    code = run(
        "simulate",
        design,
        "--input",
        tmp_path / "x.npy",
        "--output",
        tmp_path / "y.npy",
        "--simulator",
        "icarus",
        "--json",
    )
    out, err = capfd.readouterr()
    if code == 3:
        pytest.skip(err)
    assert code == 0
    assert json.loads(out) == json.loads((design / "simulation.json").read_text())
    outputs = np.load(tmp_path / "y.npy")
    assert outputs.dtype == np.int32
    assert np.array_equal(outputs, (words.reshape(3, 12) @ weights.T.astype(np.int64)).reshape(3, 1, 1, 6))
    np.save(tmp_path / "x.npy", words.astype(np.float32))
    assert run("simulate", design, "--input", tmp_path / "x.npy") == 2

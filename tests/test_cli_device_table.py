"""A network that the device cannot hold is refused with what each layer needs and what there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cs_hdl.cli import run

LARGE = (
    "conv", "--kernel", "3x3", "--in-channels", "128", "--out-channels", "128", "--input", "8x8",
    "--scale", "1/2^9", "--winners", "8",
)  # fmt: skip


def test_a_table_on_standard_error_and_exit_2(tmp_path: Path, capfd: Any) -> None:
    arguments = ["generate", *LARGE, "--board", "ulx3s-12f", "--out", str(tmp_path / "d")]
    assert run(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    assert "too large for" in captured.err.splitlines()[-1]
    lines = captured.err.splitlines()
    for word in ("conv", "winners", "all", "usable", "LUT needed", "block RAM needed"):
        assert any(word in line for line in lines)
    assert not (tmp_path / "d").exists()


def test_the_same_as_json(tmp_path: Path, capfd: Any) -> None:
    arguments = ["generate", *LARGE, "--board", "ulx3s-12f", "--out", str(tmp_path / "d"), "--json"]
    assert run(arguments) == 2
    content = json.loads(capfd.readouterr().out)
    assert content["exit_code"] == 2 and "too large for" in content["error"]
    assert [row["layer"] for row in content["layers"]] == ["conv", "winners"]
    for kind, needed in content["needed"].items():
        assert sum(row[kind] for row in content["layers"]) == needed
    assert any(content["needed"][kind] > content["usable"][kind] for kind in content["usable"])


def test_other_refusals_stay_as_they_are(tmp_path: Path, capfd: Any) -> None:
    assert run(["generate", *LARGE, "--cycles", "1", "--out", str(tmp_path / "d"), "--json"]) == 2
    content = json.loads(capfd.readouterr().out)
    assert "cannot be reached" in content["error"] and "layers" not in content

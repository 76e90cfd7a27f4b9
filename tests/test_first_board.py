"""The walk-through of docs/first-board.md: its commands, as they stand, in their order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cs_hdl.errors import ToolError
from cs_hdl.simulate.environment import find_verilator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "first-board.md"
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def commands() -> list[str]:
    """Every line of every block of shell commands."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        shlex.split(command), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=1200
    )


def test_the_page_has_the_commands_that_are_run():
    begins = [" ".join(command.split()[:2]) for command in commands()]
    assert begins == [
        "pip install", "cs-hdl doctor", "cs-hdl boards", "cs-hdl generate", "python -c", "cs-hdl run", "python -c",
        "cs-hdl live", "cs-hdl build", "cs-hdl program", "cs-hdl run",
    ]  # fmt: skip


def test_the_walk(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is missing")
    pytest.importorskip("serial", reason="pyserial is missing")
    try:
        find_verilator()
    except ToolError as error:
        pytest.skip(str(error))
    walk = commands()
    outputs = {}
    for command in walk[1:7]:
        result = shell(command, tmp_path)
        # What is missing here may be a tool that this page does not need.
        assert result.returncode == 0 or command == "cs-hdl doctor", f"{command}\n{result.stdout}{result.stderr}"
        outputs[command] = result.stdout
    labels, digits = (re.findall(r"\d", outputs[walk[number]]) for number in (4, 6))
    assert len(labels) == len(digits) == 10
    assert sum(a == b for a, b in zip(labels, digits, strict=True)) >= 8
    assert "all results right" in " ".join(outputs[walk[5]].split())

    live = subprocess.Popen(shlex.split(walk[7]), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        address = live.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}api/info", timeout=60) as response:
            info = json.load(response)
        assert info["source"] == "simulated board" and info["network"] == "digits-tiny"
        body = json.dumps({"pixels": [3] * 64}).encode()
        with urllib.request.urlopen(f"{address}api/infer", body, timeout=120) as response:
            assert json.load(response)["agrees"] is True
    finally:
        live.terminate()
        live.wait(timeout=30)

    # Without hardware: one line, and what to do.
    program, run = (shell(command, tmp_path) for command in walk[9:11])
    assert program.returncode == 2 and "no bitstream; make it: cs-hdl build" in program.stderr
    if not Path("/dev/ttyUSB0").exists():
        assert run.returncode == 3 and "is the board connected?" in run.stderr

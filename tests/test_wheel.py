"""The wheel, installed outside the checkout: it has its data, its program works, it adds no top-level names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of a new environment with the wheel; what it depends on is borrowed from ours."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=wheel.parent)
    python = environment / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=wheel.parent,
    )
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=wheel.parent).strip())
    # A path in a .pth file is searched, but no further .pth files there: our own editable install stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def test_wheel_has_its_data_and_no_other_top_level_names(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"cs_hdl"}
    for wanted in ("_data/sim/harness.v", "_data/sim/accelerator_bench.py", "_data/boards/ulx3s-85f.toml"):
        assert f"cs_hdl/{wanted}" in names
    assert "cs_hdl/models/digits.onnx" in names
    assert "cs_hdl/emit/equal_widths.v" in names


def test_installed_program_works_outside_the_checkout(programs: Path, tmp_path: Path) -> None:
    where = run(programs / "python", "-c", "import cs_hdl; print(cs_hdl.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(programs.parent)
    models = json.loads(run(programs / "cs-hdl", "models", "--json", cwd=tmp_path))["models"]
    digits = next(model for model in models if model["name"] == "digits")
    assert Path(digits["path"]).is_file()
    assert Path(digits["path"]).is_relative_to(programs.parent)
    boards = json.loads(run(programs / "cs-hdl", "boards", "--json", cwd=tmp_path))["boards"]
    assert "ulx3s-85f" in [board["name"] for board in boards]
    kernel = ("--kernel", "3x3", "--in-channels", "2", "--out-channels", "4", "--input", "5x5")
    answer = run(programs / "cs-hdl", "generate", "conv", *kernel, "--out", "design", "--json", cwd=tmp_path)
    assert json.loads(answer)["output"]["shape"] == [3, 3, 4]
    assert "module cs_accelerator" in (tmp_path / "design" / "design.v").read_text()

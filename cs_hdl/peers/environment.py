"""A Python of its own for each peer: their dependencies exclude each other's, and some of ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from cs_hdl.errors import ToolError

__all__ = ["CACHE", "ROOT", "make_environment", "pins", "version"]

ROOT = Path(__file__).resolve().parents[2]
#: Where environments and results are kept between runs.
CACHE = Path.home() / ".cache" / "cs-hdl" / "peers"


def pins(peer: str) -> list[str]:
    """The packages of ``peer``: its extra in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages: list[str] = project["optional-dependencies"][f"peers-{peer}"]
    return packages


def version(peer: str) -> str:
    """The pinned version of ``peer`` itself."""
    return next(pin.split("==")[1] for pin in pins(peer) if pin.startswith(f"{peer}=="))


def make_environment(peer: str) -> Path:
    """The Python that has ``peer``; it is made and filled from PyPI where it is not there yet."""
    packages = pins(peer)
    digest = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:12]
    folder = CACHE / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    result = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ToolError(f"pip could not install {' '.join(packages)} for {peer}:\n{result.stderr.strip()[-800:]}")
    (folder / "complete").touch()
    return python

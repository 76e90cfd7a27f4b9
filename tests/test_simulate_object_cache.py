"""Verilator's runtime is compiled once, and anew with whatever its objects depend on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cs_hdl.resources import data_folder
from cs_hdl.simulate.environment import verilator_environment

COMPILER = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
[ "$1" = -fail ] && exit 3
while [ "$1" != -o ]; do shift; done
cat "$(dirname "$3")"/*.h "$3" > "$2"
"""


class Machine:
    """A runtime of a source and a header, a compiler that writes down its calls, and what is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.objects = folder, folder / "objects"
        self.source, self.header = folder / "include" / "verilated.cpp", folder / "include" / "verilated.h"
        self.source.parent.mkdir()
        self.source.write_text("source")
        self.header.write_text("header")
        self.compiler = folder / "c++"
        self.compiler.write_text(COMPILER)
        self.compiler.chmod(0o755)

    def compile(self, *arguments: str, source: Path | None = None) -> tuple[int, str]:
        """The exit code and the object."""
        target = self.folder / "made.o"
        target.unlink(missing_ok=True)
        script = str(data_folder("sim") / "object_cache.py")
        command = [str(self.compiler), *(arguments or ("-O1", "-c")), "-o", str(target), str(source or self.source)]
        environment = os.environ | {"CS_HDL_OBJECTS": str(self.objects)}
        code = subprocess.run([sys.executable, "-I", script, *command], env=environment, check=False).returncode
        return code, target.read_text() if target.exists() else ""

    @property
    def calls(self) -> int:
        return len((self.folder / "calls").read_text().splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_same_is_compiled_once(machine: Machine) -> None:
    assert machine.compile() == machine.compile() == (0, "headersource")
    assert machine.calls == 1


def test_whatever_it_depends_on_is_looked_at(machine: Machine) -> None:
    machine.compile()
    machine.header.write_text("other")
    assert machine.compile() == (0, "othersource")
    machine.source.write_text("changed")
    assert machine.compile() == (0, "otherchanged")
    assert machine.compile("-O2", "-c") == (0, "otherchanged")
    machine.compiler.write_text(COMPILER + "echo new >> $2\n")
    assert machine.compile() == (0, "otherchangednew\n")
    assert machine.calls == 5


def test_what_belongs_to_a_design_is_not_kept(machine: Machine) -> None:
    other = machine.source.with_name("Vtop.cpp")
    other.write_text("design")
    assert machine.compile(source=other) == machine.compile(source=other) == (0, "headerdesign")
    assert machine.calls == 2 and not machine.objects.exists()


def test_a_failure_is_passed_on_and_not_kept(machine: Machine) -> None:
    assert machine.compile("-fail") == (3, "") and machine.compile("-fail") == (3, "")
    assert machine.calls == 2 and not machine.objects.exists()


def test_where_nothing_can_be_kept_it_is_compiled(machine: Machine) -> None:
    machine.objects.write_text("no folder")
    assert machine.compile() == machine.compile() == (0, "headersource")
    assert machine.calls == 2


def test_another_cache_of_objects_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "object_cache.py" in verilator_environment()["OBJCACHE"]
    monkeypatch.setenv("OBJCACHE", "ccache")
    assert verilator_environment()["OBJCACHE"] == "ccache"

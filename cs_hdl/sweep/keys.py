"""What a step's result depends on, as one digest: equal keys, equal results."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from cs_hdl import __version__
from cs_hdl.build.cache import digest_of
from cs_hdl.resources import data_folder
from cs_hdl.sweep.study import Point, RunOptions

__all__ = ["Surroundings", "find_surroundings", "prepare_key", "step_key"]

_PACKAGE = Path(__file__).resolve().parents[1]
#: The code that a step runs, by files and folders of the package; whatever else changes, its results stay.
_CODE: dict[str, tuple[str, ...]] = {
    "prepare": (
        "fixedpoint.py", "network", "frontend", "combine", "plan", "rtl", "emit", "models", "board", "sweep/steps.py",
        "commands/generate.py", "commands/parse.py", "commands/target.py",
    ),
    "simulate": ("fixedpoint.py", "network", "golden", "simulate", "sweep/steps.py"),
    "synthesise": ("build",),
    "route": ("build",),
    "estimate": ("estimate", "build"),
}  # fmt: skip
#: Data beside the package that count as code.
_DATA = {"prepare": "boards", "simulate": "sim"}
_DISTRIBUTIONS = {
    "prepare": ("amaranth", "pyosys", "numpy", "scipy", "onnx"),
    "simulate": ("cocotb", "numpy"),
    "synthesise": (),
    "route": (),
    "estimate": (),
}
_TOOLS = {"synthesise": ("yosys",), "route": ("yosys", "nextpnr-ecp5"), "estimate": ("yosys",)}
_SOURCE_SUFFIXES = {".py", ".v", ".json", ".toml", ".onnx"}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The code and the tools of one machine, for the steps that a sweep takes.

    ``code`` has a digest a step, ``versions`` the names and versions of what each step uses. All machines of a
    sweep must agree in both.
    """

    code: dict[str, str]
    versions: dict[str, dict[str, str]]

    @property
    def all_versions(self) -> dict[str, str]:
        """Every version once, by name."""
        found = {"cs-hdl": __version__}
        for entries in self.versions.values():
            found |= entries
        return dict(sorted(found.items()))

    def differences(self, other: Surroundings) -> list[str]:
        """In words, in what ``other`` differs."""
        found = [f"the code of the step {step}" for step in self.code if self.code[step] != other.code.get(step)]
        mine, theirs = self.all_versions, other.all_versions
        return found + [
            f"{name} {theirs.get(name, 'missing')} (here {mine.get(name, 'missing')})"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


def find_surroundings(steps: Iterable[str], *, simulator: str) -> Surroundings:
    """What this machine has for ``steps``. Raises ToolError where a tool is missing."""
    from cs_hdl.build.tools import require_tool
    from cs_hdl.simulate.environment import find_simulator

    names = ("prepare", *steps)
    versions: dict[str, dict[str, str]] = {}
    for step in names:
        versions[step] = {name: metadata.version(name) for name in _DISTRIBUTIONS[step]}
        versions[step] |= {tool: require_tool(tool).version for tool in _TOOLS.get(step, ())}
        if step == "simulate":
            found = find_simulator(simulator)
            versions[step][found.name] = found.version
    return Surroundings(code={step: _code_digest(step) for step in names}, versions=versions)


def prepare_key(point: Point, surroundings: Surroundings) -> str:
    """Of the generated design."""
    return _key("prepare", surroundings, point.content)


def step_key(step: str, digests: Mapping[str, str], run: RunOptions, surroundings: Surroundings) -> str:
    """Of ``step`` on the design whose files have ``digests``."""
    content: dict[str, Any] = {"design": digests["design.v"]}
    if step == "simulate":
        # The manifest has what is stated, but also where the network came from, which must not count.
        content |= {"network": digests["network.npz"], "plan": digests["plan.json"]}
        content |= {"words": run.words, "seed": run.seed, "simulator": run.simulator}
    return _key(step, surroundings, content)


def _key(step: str, surroundings: Surroundings, content: Mapping[str, Any]) -> str:
    return digest_of(
        {
            "step": step,
            "code": surroundings.code[step],
            "versions": surroundings.versions[step],
            "content": dict(content),
        }
    )


@functools.cache
def _code_digest(step: str) -> str:
    total = hashlib.sha256()
    for name in _CODE[step]:
        _add(total, _PACKAGE / name, name)
    if step in _DATA:
        _add(total, data_folder(_DATA[step]), _DATA[step])
    return total.hexdigest()


def _add(total: Any, place: Path, name: str) -> None:
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    for file in files:
        if file.suffix in _SOURCE_SUFFIXES and file.is_file():
            total.update(f"{name}/{file.relative_to(place).as_posix()}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())

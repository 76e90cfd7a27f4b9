"""A study: the options of many designs and what is measured of each, as a TOML file says.

::

    title = "1x1 kernels against weight sparsity"

    [run]                       # all optional: what is done with each point
    words = 2                   # random words of the short simulation
    route = true                # (cs-hdl sweep --route says the same)

    [fixed]                     # options of ``cs-hdl generate`` that all points have
    model = "conv"
    kernel = "1x1"

    [grid]                      # every combination of these; several [[grid]] tables are done one after the other
    weight-sparsity = [0.5, 0.75, 0.875]
    together = [{ mode = "dense" }, { mode = "sparse-sparse", active-inputs = 8 }]   # options that go together
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cs_hdl.errors import InputError
from cs_hdl.files import file_digest

__all__ = ["OPTIONS", "Point", "RunOptions", "Study", "load_study"]

#: Every option of ``cs-hdl generate`` that a point can have, and the kind of its value.
OPTIONS: dict[str, str] = {
    "model": "text", "board": "text", "device": "text", "cycles": "int", "words_per_second": "float", "mode": "text",
    "kernel": "text", "in_channels": "int", "out_channels": "int", "input": "text", "stride": "text",
    "padding": "text", "groups": "int", "max_pool": "text", "in_features": "int", "out_features": "int",
    "input_dtype": "text", "weight_sparsity": "float", "weights": "file", "bias": "file", "scale": "text",
    "active_inputs": "int", "winners": "int", "seed": "int",
}  # fmt: skip
_MOST_POINTS = 100_000
_TOGETHER = "together"
_EXPECTED = {"text": "text", "int": "an integer", "float": "a number", "file": "the name of a .npy file"}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is done with each point once it is generated.

    ``words`` random words (at least 1) from ``seed`` go through ``simulator``; ``synthesise`` counts the cells of an
    ECP5, ``route`` gives Fmax as well, ``estimate`` what ``cs-hdl estimate`` says.
    """

    simulate: bool = True
    words: int = 2
    seed: int = 1
    simulator: str = "verilator"
    synthesise: bool = True
    route: bool = False
    estimate: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """One design: ``options`` by their names in Python.

    ``files`` has, by option, the path and the SHA-256 of each file that is named there.
    """

    options: dict[str, Any]
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, Any]:
        """The options by their names on the command line."""
        return {key.replace("_", "-"): value for key, value in self.options.items()}

    @property
    def content(self) -> dict[str, Any]:
        """All that the design depends on but the code: the options, files by their contents."""
        return {"options": self.options, "files": {key: digest for key, (_, digest) in sorted(self.files.items())}}


@dataclass(frozen=True, kw_only=True)
class Study:
    """The points of a study in their order, none twice."""

    path: Path
    title: str
    digest: str
    run: RunOptions
    points: tuple[Point, ...]

    @property
    def varied(self) -> tuple[str, ...]:
        """The options, as on the command line, that are not the same at all points."""
        names = dict.fromkeys(name for point in self.points for name in point.named)
        return tuple(name for name in names if len({repr(point.named.get(name)) for point in self.points}) > 1)


def load_study(path: Path) -> Study:
    """Read a study. Raises InputError, naming file and key, where it is wrong."""
    try:
        text = path.read_bytes()
        data = tomllib.loads(text.decode())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    try:
        _known(data, {"title", "about", "run", "fixed", "grid"}, where="")
        title = data.get("title", path.stem)
        if not isinstance(title, str) or not isinstance(data.get("about", ""), str):
            raise ValueError("title and about must be text")
        points = tuple(_points(data, path.parent))
        run = _run_options(_table(data, "run"))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return Study(path=path, title=title, digest=hashlib.sha256(text).hexdigest(), run=run, points=points)


def _known(table: Mapping[str, Any], allowed: set[str], *, where: str) -> None:
    if unknown := [key for key in table if key.replace("-", "_") not in allowed]:
        raise ValueError(f"{where}{unknown[0]}: unknown; there are {', '.join(sorted(allowed))}")


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key}: must be a table, not {table!r}")
    return table


def _run_options(table: Mapping[str, Any]) -> RunOptions:
    kinds = {item.name: type(item.default) for item in fields(RunOptions)}
    _known(table, set(kinds), where="run.")
    values = {key.replace("-", "_"): value for key, value in table.items()}
    for key, value in values.items():
        if type(value) is not kinds[key]:
            raise ValueError(f"run.{key}: must be of type {kinds[key].__name__}, not {value!r}")
    run = RunOptions(**values)
    if run.words < 1 or run.seed < 0:
        raise ValueError(f"run: words {run.words}, seed {run.seed}: at least 1 word, and a seed that is not negative")
    return run


def _points(data: Mapping[str, Any], folder: Path) -> Iterator[Point]:
    fixed = _options(_table(data, "fixed"), where="fixed.")
    grids = data.get("grid", [{}])
    grids = [grids] if isinstance(grids, dict) else grids
    if not isinstance(grids, list) or not all(isinstance(grid, dict) for grid in grids) or not grids:
        raise ValueError(f"grid: must be a table, or several as [[grid]], not {grids!r}")
    seen: set[str] = set()
    for number, grid in enumerate(grids, 1):
        where = "grid." if isinstance(data.get("grid"), dict) else f"grid[{number}]."
        axes = _axes(grid, where=where)
        count = len(seen) + math.prod(len(axis) for axis in axes)
        if count > _MOST_POINTS:
            raise ValueError(f"{where[:-1]}: {count:,} points; at most {_MOST_POINTS:,} are taken")
        for combination in itertools.product(*axes):
            options = dict(fixed)
            for part in combination:
                options |= part
            if "model" not in options:
                raise ValueError(f"{where}model: missing (conv, linear, the name of a model, or an ONNX file)")
            content = json.dumps(options, sort_keys=True)
            if content not in seen:
                seen.add(content)
                yield Point(options=_ordered(options), files=_files(options, folder, where=where))


def _axes(grid: Mapping[str, Any], *, where: str) -> list[list[dict[str, Any]]]:
    """For each key of ``grid`` the options that it stands for, one dict a value."""
    axes: list[list[dict[str, Any]]] = []
    for key, value in grid.items():
        if key == _TOGETHER:
            if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
                raise ValueError(f"{where}{key}: must be a list of tables such as {{ mode = 'dense' }}, not {value!r}")
            axes.append([_options(entry, where=f"{where}{key}.") for entry in value])
            continue
        values = value if isinstance(value, list) else [value]
        if not values:
            raise ValueError(f"{where}{key}: an empty list leaves no point")
        axes.append([_options({key: single}, where=where) for single in values])
    return axes


def _options(table: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Options with their names in Python, each of its kind."""
    _known(table, set(OPTIONS), where=where)
    return {name: _value(name, value, where=where) for name, value in _python_names(table)}


def _python_names(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        yield key.replace("-", "_"), value


def _value(name: str, value: Any, *, where: str) -> Any:
    kind = OPTIONS[name]
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "text" and (isinstance(value, str) or whole):
        return str(value)  # (padding = 1)
    if (kind == "int" and whole) or (kind == "file" and isinstance(value, str)):
        return value
    if kind == "float" and (whole or isinstance(value, float)) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{where}{name}: must be {_EXPECTED[kind]}, not {value!r}")


def _ordered(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in OPTIONS if name in options}


def _files(options: Mapping[str, Any], folder: Path, *, where: str) -> dict[str, tuple[Path, str]]:
    """The files that ``options`` name; paths count from the folder of the study."""
    found = {}
    for name, value in options.items():
        named = OPTIONS[name] == "file" or (name, Path(str(value)).suffix) in (("model", ".onnx"), ("scale", ".npy"))
        if not named:
            continue
        path = folder / str(value)
        try:
            found[name] = (path, file_digest(path))
        except OSError as error:
            raise ValueError(f"{where}{name}: {path} cannot be read ({error.strerror})") from None
    return found

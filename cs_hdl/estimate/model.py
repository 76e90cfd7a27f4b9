"""What a design will take of an ECP5, from its words: before gates, LUTs, placing and routing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cs_hdl.build.alone import Cells
from cs_hdl.build.cache import digest_of
from cs_hdl.estimate.elaborate import elaborate
from cs_hdl.estimate.tables import table_features
from cs_hdl.estimate.words import Module, read_module

__all__ = [
    "COEFFICIENTS", "Features", "accuracy", "estimate_cells", "features_of", "fit_coefficients", "load_coefficients",
    "model_digest", "predict", "total",
]  # fmt: skip

#: Fitted by ``scripts/benchmark --fit``.
COEFFICIENTS = Path(__file__).with_name("coefficients.json")


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the model multiplies by its coefficients to get LUT4s, and what it takes as it is.

    ``and_``, ``xor`` and ``mux`` count the LUTs of a cover of the logic by their last function, ``enabled`` the
    registers with a clock enable, ``leaves`` and ``deep`` LUTs and deep columns of the tables that go into LUTs
    (see :func:`cs_hdl.estimate.tables.table_features`).
    """

    and_: int
    xor: int
    mux: int
    enabled: int
    leaves: int
    deep: int
    carry: int
    lut_ram: int
    ff: int
    dsp: int
    block_ram: int

    def __add__(self, other: Features) -> Features:
        return Features(**{key: getattr(self, key) + getattr(other, key) for key in self.__dataclass_fields__})


_LUT_FEATURES = ("and_", "xor", "mux", "enabled", "leaves", "deep")


def features_of(modules: Mapping[str, Any], top: str) -> dict[str, Features]:
    """The features of the elaborated module ``top`` by its submodules' names ("" for what has none)."""
    module = read_module(modules[top])
    parts = {part for part, _ in (*module.counts, *module.tables, *module.instances)}
    found = {part: _own(module, part) for part in sorted(parts)}
    inside: dict[str, Features] = {}
    for part, kind in module.instances:
        if kind in modules and not {"blackbox", "whitebox"} & set(modules[kind]["attributes"]):
            if kind not in inside:
                inside[kind] = total(features_of(modules, kind).values())
            found[part] += inside[kind]
    return found


def total(features: Iterable[Features], *, start: Features | None = None) -> Features:
    """All of them together."""
    none = Features(and_=0, xor=0, mux=0, enabled=0, leaves=0, deep=0, carry=0, lut_ram=0, ff=0, dsp=0, block_ram=0)
    return sum(features, start=start or none)


def _own(module: Module, part: str) -> Features:
    leaves = deep = registers = 0
    for name, table in module.tables:
        if name == part:
            leaf, column, distinct = table_features(table)
            leaves, deep, registers = leaves + leaf, deep + column, registers + distinct
    counted = ("and", "xor", "mux", "enabled", "carry", "lut_ram", "ff", "dsp", "block_ram")
    kinds = {"and_" if kind == "and" else kind: module.counts[part, kind] for kind in counted}
    # A table is read into registers.
    kinds["ff"] += registers
    return Features(leaves=leaves, deep=deep, **kinds)


def load_coefficients() -> dict[str, float]:
    """The coefficients that the package ships."""
    content: dict[str, float] = json.loads(COEFFICIENTS.read_text())["lut4"]
    return content


def predict(features: Features, coefficients: Mapping[str, float]) -> Cells:
    """The cells that ``features`` stand for."""
    return Cells(
        lut4=round(sum(coefficients[key] * getattr(features, key) for key in _LUT_FEATURES)),
        carry=features.carry,
        lut_ram=features.lut_ram,
        ff=features.ff,
        dsp=features.dsp,
        block_ram=features.block_ram,
    )


def estimate_cells(text: str, *, top: str) -> dict[str, Cells]:
    """The cells that the Verilog ``text`` will take, by the submodules of ``top``.

    Raises ToolError where Yosys is missing or fails.
    """
    coefficients = load_coefficients()
    parts = features_of(elaborate(text, top=top), top)
    return {part: predict(features, coefficients) for part, features in parts.items()}


def fit_coefficients(samples: Sequence[tuple[Features, int]]) -> dict[str, float]:
    """The coefficients that come nearest to the LUT4s of ``samples``, by relative error, none negative."""
    import numpy as np
    from scipy.optimize import nnls

    rows = np.array([[getattr(features, key) / lut for key in _LUT_FEATURES] for features, lut in samples])
    values, _ = nnls(rows, np.ones(len(rows)))
    return {key: round(float(value), 4) for key, value in zip(_LUT_FEATURES, values, strict=True)}


def accuracy(designs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of designs on record: what the model says beside what synthesis gave, by kind of cell."""
    coefficients = load_coefficients()
    found = []
    for design in designs:
        if "features" not in design or design.get("model") != model_digest():
            continue
        cells = asdict(predict(Features(**design["features"]), coefficients))
        found.append({"name": design["name"], **{key: (value, design[key]) for key, value in cells.items()}})
    return found


def model_digest() -> str:
    """Names the model that made features: another one has to make them again."""
    folder = Path(__file__).parent
    sources = ("elaborate.py", "graph.py", "model.py", "tables.py", "words.py", "equal_modules.py")
    return digest_of({name: (folder / name).read_text() for name in sources})[:16]

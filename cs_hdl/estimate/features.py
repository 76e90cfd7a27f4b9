"""What is counted of a design's words: all that the cost model multiplies by coefficients, or takes as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cs_hdl.build.cache import digest_of
from cs_hdl.estimate.tables import table_features
from cs_hdl.estimate.words import Module, read_module

__all__ = ["Features", "features_digest", "features_of", "total"]

#: The files of this package that say how features are counted.
_SOURCES = ("elaborate.py", "equal_modules.py", "features.py", "graph.py", "tables.py", "words.py")


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


def total(features: Iterable[Features]) -> Features:
    """All of them together."""
    none = Features(and_=0, xor=0, mux=0, enabled=0, leaves=0, deep=0, carry=0, lut_ram=0, ff=0, dsp=0, block_ram=0)
    return sum(features, start=none)


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


@cache
def features_digest() -> str:
    """Names how features are counted: where that changes, those on record have to be counted again."""
    folder = Path(__file__).parent
    return digest_of({name: (folder / name).read_text() for name in _SOURCES})[:16]

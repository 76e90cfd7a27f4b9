"""The fixed table of designs whose cost is kept on record: what ``scripts/benchmark`` synthesises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LEAF_DESIGNS", "TABLE", "TRIAL", "Entry"]

_MODES = ("dense", "sparse-dense", "sparse-sparse")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One design: ``cs-hdl generate MODEL`` with ``options`` (by their names in Python), mode and cycles.

    ``model`` may also be ``local-kwta``, ``global-kwta`` or ``argmax``, a selection alone, which the command
    line has no kernel for. ``quick`` entries are checked again by scripts/test.
    """

    name: str
    kernel: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    mode: str | None = None
    cycles: int | None = None
    quick: bool = False

    @property
    def command(self) -> str:
        """What a user types for the same design."""
        words = [f"--{key.replace('_', '-')} {value}" for key, value in self.options.items()]
        words += [f"--mode {self.mode}"] if self.mode else []
        words += [f"--cycles {self.cycles}"] if self.cycles else []
        start = "cs-hdl generate " if self.model in ("conv", "linear", "digits") else ""
        return start + " ".join([self.model, *words])


def _conv(kernel: str, channels: str, size: str, sparsity: float, **more: Any) -> dict[str, Any]:
    ins, outs = map(int, channels.split("->"))
    options = {"kernel": kernel, "in_channels": ins, "out_channels": outs, "input": size}
    return options | ({"weight_sparsity": sparsity} if sparsity else {}) | more | {"scale": "1/2^9"}


def _linear(ins: int, outs: int, sparsity: float, **more: Any) -> dict[str, Any]:
    return {"in_features": ins, "out_features": outs, "weight_sparsity": sparsity} | more | {"scale": "1/2^9"}


#: Of each kernel: its options, the active inputs where activations are sparse, and the cycles a word that
#: each of the three designs is planned for. Dense and sparse share a target where both can reach it.
_KERNELS: tuple[tuple[str, str, dict[str, Any], int, tuple[tuple[int, ...], ...]], ...] = (
    ("1x1", "conv", _conv("1x1", "64->64", "14x14", 0.875), 8, ((12800, 51200), (12800, 51200), (1600, 12800))),
    ("2x2", "conv", _conv("2x2", "32->32", "15x15", 0.875), 4, ((12800, 51200), (6400, 51200), (1600, 12800))),
    ("3x3", "conv", _conv("3x3", "64->64", "14x14", 0.9, padding=1), 8,
     ((51200, 204800), (12800, 51200), (3200, 12800, 51200))),
    ("3x3 stride 2", "conv", _conv("3x3", "32->64", "15x15", 0.9, padding=1, stride=2), 4,
     ((12800, 51200), (3200, 12800), (800, 12800))),
    ("5x5", "conv", _conv("5x5", "64->64", "14x14", 0.9375), 8,
     ((204800, 819200), (12800, 204800), (3200, 12800, 51200))),
    ("7x7", "conv", _conv("7x7", "8->32", "14x14", 0.9), 2, ((51200, 204800), (6400, 51200), (3200, 51200))),
    ("1-D 9", "conv", _conv("1x9", "32->32", "1x64", 0.9), 4, ((12800, 51200), (1600, 12800), (800, 12800))),
    ("depthwise 3x3", "conv", _conv("3x3", "32->32", "14x14", 0, padding=1, groups=32), 8,
     ((204800,), (12800, 51200), (12800,))),
    ("pointwise", "conv", _conv("1x1", "32->64", "14x14", 0.875), 4, ((12800, 51200), (6400, 51200), (1600, 12800))),
    ("grouped 3x3", "conv", _conv("3x3", "32->32", "14x14", 0.75, padding=1, groups=4), 4,
     ((51200, 204800), (12800, 51200), (3200, 14112))),
    ("linear 256->128", "linear", _linear(256, 128, 0.9), 32, ((3200, 12800), (400, 3200), (256,))),
    ("linear 1600->1500", "linear", _linear(1600, 1500, 0.9375), 200, ((), (1600, 12800), (1600, 5000))),
)  # fmt: skip

#: A selection alone: kind, channels or features, winners, cycles.
_SELECTIONS: tuple[tuple[str, int, int, int | None], ...] = (
    ("local-kwta", 16, 4, 1600), ("local-kwta", 64, 8, 1600),
    ("local-kwta", 256, 32, 12800), ("global-kwta", 128, 16, None), ("global-kwta", 1500, 150, None),
    ("global-kwta", 4096, 256, None),
)  # fmt: skip

#: Constant matrices: rows x columns, sparsity.
_CONSTANTS = (
    ("constants 25x64", _conv("5x5", "1->64", "32x32", 0.88), 1100),
    ("constants 64x64, 90 %", _conv("1x1", "64->64", "16x16", 0.906), 1100),
    ("constants 64x64, 80 %", _conv("1x1", "64->64", "16x16", 0.797), 1100),
)

#: Small enough that scripts/test synthesises them again.
_QUICK = {"pointwise, sparse-sparse, 12800", "linear 256->128, sparse-dense, 3200", "local-kwta 16, 4, 1600"}


def _table() -> Iterator[Entry]:
    def entry(name: str, **values: Any) -> Entry:
        return Entry(name=name, quick=name in _QUICK, **values)

    for kernel, model, options, active, targets in _KERNELS:
        for mode, cycles in zip(_MODES, targets, strict=True):
            own = options | ({"active_inputs": active} if mode == "sparse-sparse" else {})
            for count in cycles:
                yield entry(
                    f"{kernel}, {mode}, {count}", kernel=kernel, model=model, options=own, mode=mode, cycles=count
                )
    for sparsity in (0.5, 0.75, 0.875, 0.9375, 0.96875):  # resources against sparsity
        options = _conv("3x3", "32->32", "14x14", sparsity, padding=1) | {"active_inputs": 4}
        name = f"sweep {sparsity:.1%}, sparse-sparse, 12800"
        yield entry(name, kernel="sweep 3x3", model="conv", options=options, mode="sparse-sparse", cycles=12800)
    for model, size, winners, most in _SELECTIONS:
        name = f"{model} {size}, {winners}" + (f", {most}" if most else "")
        sizes = {"channels" if model == "local-kwta" else "features": size, "winners": winners}
        yield entry(name, kernel=f"{model} {size}", model=model, options=sizes, cycles=most)
    for kernel, options, count in _CONSTANTS:
        yield entry(kernel, kernel=kernel, model="conv", options=options, mode="sparse-dense", cycles=count)


#: The table.
TABLE: tuple[Entry, ...] = tuple(_table())


def _trial(name: str, model: str, options: dict[str, Any], mode: str, cycles: int) -> Entry:
    return Entry(name=name, kernel=name, model=model, options=options, mode=mode, cycles=cycles)


def _leaf_design(name: str, model: str, options: dict[str, Any], mode: str | None, cycles: int | None) -> Entry:
    return Entry(name=name, kernel=name, model=model, options=options, mode=mode, cycles=cycles)


#: Together they have every component of cs_hdl.rtl, in the sizes of real layers.
LEAF_DESIGNS = (
    _leaf_design("digits", "digits", {}, None, None),
    _leaf_design(
        "conv 5x5", "conv", _conv("5x5", "64->64", "14x14", 0.9375, active_inputs=8, winners=8), "sparse-sparse", 3200
    ),
    _leaf_design(
        "linear 1600", "linear", _linear(1600, 1500, 0.9375, active_inputs=200, winners=150), "sparse-sparse", 1600
    ),
    _leaf_design("conv 7x7", "conv", _conv("7x7", "8->32", "14x14", 0.9), "sparse-dense", 6400),
    _leaf_design("constants", "conv", _conv("3x3", "16->16", "16x16", 0.9), "sparse-dense", 1100),
    _leaf_design("global-kwta", "global-kwta", {"features": 128, "winners": 16}, None, None),
    _leaf_design("argmax", "argmax", {"features": 100}, None, None),
)

#: Designs that no coefficient of the cost model was fitted on: other sizes, other seeds.
TRIAL: tuple[Entry, ...] = (
    _trial("trial 1", "conv", _conv("3x3", "16->24", "9x11", 0.8, seed=7, active_inputs=4), "sparse-sparse", 3000),
    _trial("trial 2", "conv", _conv("3x3", "16->16", "8x8", 0.8, seed=8, padding=1), "sparse-dense", 6000),
    _trial("trial 3", "conv", _conv("5x5", "8->12", "12x12", 0.5, seed=9), "dense", 30000),
    _trial("trial 4", "linear", _linear(200, 90, 0.9, seed=3, active_inputs=20), "sparse-sparse", 700),
    _trial("trial 5", "linear", _linear(512, 64, 0.75, seed=4), "sparse-dense", 3000),
    _trial("trial 6", "conv", _conv("1x1", "48->40", "10x10", 0.9, seed=5, active_inputs=6), "sparse-sparse", 1500),
    _trial("trial 7", "conv", _conv("1x7", "16->16", "1x50", 0.85, seed=6, input_dtype="int8"), "sparse-dense", 3000),
    _trial("trial 8", "conv", _conv("3x3", "3->16", "16x16", 0.7, seed=2, stride=2), "sparse-dense", 900),
    _trial("trial 9", "conv", _conv("4x4", "20->20", "10x10", 0.9, seed=11, active_inputs=5, winners=5),
           "sparse-sparse", 4000),
    _trial("trial 10", "conv", _conv("3x3", "24->24", "12x12", 0.5, seed=12, groups=24, padding=1),
           "sparse-dense", 20000),
    _trial("trial 11", "linear", _linear(300, 100, 0.95, seed=13, winners=10), "dense", 8000),
    _trial("trial 12", "conv", _conv("2x2", "32->16", "11x11", 0.9, seed=14, active_inputs=8, max_pool="2"),
           "sparse-sparse", 3000),
)  # fmt: skip

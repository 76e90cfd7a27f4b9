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

    ``model`` may also be one of :mod:`cs_hdl.report.benchmark_networks`, which the command line has no kernel
    for. ``quick`` entries are checked again by scripts/test.
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
    ("1x1", "conv", _conv("1x1", "64->64", "14x14", 0.875), 8, ((51200,), (12800, 51200), (1600, 12800))),
    ("2x2", "conv", _conv("2x2", "32->32", "15x15", 0.875), 4, ((51200,), (6400, 51200), (1600,))),
    ("3x3", "conv", _conv("3x3", "64->64", "14x14", 0.9, padding=1), 8, ((819200,), (51200,), (12800, 51200))),
    ("3x3 stride 2", "conv", _conv("3x3", "32->64", "15x15", 0.9, padding=1, stride=2), 4,
     ((204800,), (12800,), (3200, 12800))),
    ("5x5", "conv", _conv("5x5", "64->64", "14x14", 0.9375), 8, ((819200,), (204800,), (800, 12800, 51200))),
    ("7x7", "conv", _conv("7x7", "8->32", "14x14", 0.9), 2, ((204800,), (51200,), (3200, 51200))),
    ("1-D 9", "conv", _conv("1x9", "32->32", "1x64", 0.9), 4, ((51200,), (12800,), (800, 12800))),
    ("depthwise 3x3", "conv", _conv("3x3", "32->32", "14x14", 0, padding=1, groups=32), 8,
     ((204800,), (12800, 51200), (12800,))),
    ("pointwise", "conv", _conv("1x1", "32->64", "14x14", 0.875), 4, ((51200,), (6400, 51200), (1600, 12800))),
    ("grouped 3x3", "conv", _conv("3x3", "32->32", "14x14", 0.75, padding=1, groups=4), 4,
     ((204800,), (51200,), (3200, 14112))),
    ("linear 256->128", "linear", _linear(256, 128, 0.9), 32, ((12800,), (3200,), (256,))),
    ("linear 1600->1500", "linear", _linear(1600, 1500, 0.9375), 200, ((), (12800,), (5000,))),
)  # fmt: skip

#: What the command line has no kernel for: model, options, mode, cycles.
_OTHERS: tuple[tuple[str, dict[str, Any], str | None, int | None], ...] = (
    ("local-kwta", {"channels": 16, "winners": 4}, None, 1600),
    ("local-kwta", {"channels": 64, "winners": 8}, None, 1600),
    ("local-kwta", {"channels": 256, "winners": 32}, None, 12800),
    ("global-kwta", {"features": 128, "winners": 16}, None, None),
    ("global-kwta", {"features": 1500, "winners": 150}, None, None),
    ("global-kwta", {"features": 1500, "winners": 150}, None, 12800),
    ("random-masks", {"kernel": "3x3", "channels": 32, "weight_sparsity": 0.9, "winners": 4}, "sparse-sparse", 3200),
    ("residual", {"channels": 16, "size": 8}, "sparse-dense", 12800),
)

#: Constant matrices: rows x columns, sparsity.
_CONSTANTS = (
    ("constants 25x64", _conv("5x5", "1->64", "32x32", 0.88), 1100),
    ("constants 64x64, 90 %", _conv("1x1", "64->64", "16x16", 0.906), 1100),
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
    for model, options, chosen, most in _OTHERS:
        kernel = " ".join([model, ", ".join(map(str, options.values()))])
        name = kernel + (f", {most}" if most else "")
        yield entry(name, kernel=kernel, model=model, options=options, mode=chosen, cycles=most)
    for kernel, options, count in _CONSTANTS:
        yield entry(kernel, kernel=kernel, model="conv", options=options, mode="sparse-dense", cycles=count)


#: The table.
TABLE: tuple[Entry, ...] = tuple(_table())


def _design(name: str, model: str, options: dict[str, Any], mode: str | None, cycles: int | None) -> Entry:
    return Entry(name=name, kernel=name, model=model, options=options, mode=mode, cycles=cycles)


#: Together they have every component of cs_hdl.rtl, in the sizes of real layers.
LEAF_DESIGNS = (
    _design("digits", "digits", {}, None, None),
    _design(
        "conv 5x5", "conv", _conv("5x5", "64->64", "14x14", 0.9375, active_inputs=8, winners=8), "sparse-sparse", 800
    ),
    _design(
        "linear 1600", "linear", _linear(1600, 1500, 0.9375, active_inputs=200, winners=150), "sparse-sparse", 1600
    ),
    _design("conv 7x7", "conv", _conv("7x7", "8->32", "14x14", 0.9), "sparse-dense", 6400),
    _design("constants", "conv", _conv("3x3", "16->16", "16x16", 0.9), "sparse-dense", 1100),
    _design("constants, wide", "conv", _conv("3x3", "1->16", "16x16", 0.6), "sparse-dense", 204),
    _design("global-kwta", "global-kwta", {"features": 128, "winners": 16}, None, None),
    _design("threshold", "global-kwta", {"features": 1500, "winners": 150}, None, 12800),
    _design("local-kwta 256", "local-kwta", {"channels": 256, "winners": 32}, None, 12800),
    _design("argmax", "argmax", {"features": 100}, None, None),
    _design("max-pool", "max-pool", {"channels": 16}, None, 800),
    _design(
        "random masks", "random-masks", {"kernel": "3x3", "channels": 32, "weight_sparsity": 0.9, "winners": 4},
        "sparse-sparse", 3200,
    ),
    _design("residual", "residual", {"channels": 16, "size": 8}, "sparse-dense", 12800),
)  # fmt: skip

#: Designs that no coefficient of the cost model was fitted on: other sizes, other seeds. Once looked at in order
#: to mend the model they are not blind any more and give way to others.
TRIAL: tuple[Entry, ...] = (
    _design("trial 1", "conv", _conv("3x3", "24->40", "10x13", 0.85, seed=101, active_inputs=6), "sparse-sparse", 4100),
    _design("trial 2", "conv", _conv("3x3", "12->20", "9x9", 0.75, seed=102, padding=1), "sparse-dense", 5000),
    _design("trial 3", "conv", _conv("5x5", "6->10", "11x11", 0.4, seed=103), "dense", 20000),
    _design("trial 4", "linear", _linear(333, 77, 0.92, seed=104, active_inputs=25), "sparse-sparse", 900),
    _design("trial 5", "linear", _linear(640, 48, 0.8, seed=105), "sparse-dense", 2500),
    _design("trial 6", "conv", _conv("1x1", "56->72", "9x9", 0.92, seed=106, active_inputs=7), "sparse-sparse", 1100),
    _design("trial 7", "conv", _conv("1x5", "20->24", "1x70", 0.8, seed=107, input_dtype="int8"), "sparse-dense", 4000),
    _design("trial 8", "conv", _conv("3x3", "4->12", "18x18", 0.75, seed=108, stride=2), "sparse-dense", 1200),
    _design("trial 9", "conv", _conv("4x3", "28->28", "11x9", 0.92, seed=109, active_inputs=4, winners=6),
            "sparse-sparse", 3000),
    _design("trial 10", "conv", _conv("5x5", "20->20", "13x13", 0, seed=110, groups=20, padding=2),
            "sparse-dense", 25000),
    _design("trial 11", "linear", _linear(250, 130, 0.9, seed=111, winners=13), "dense", 6000),
    _design("trial 12", "conv", _conv("2x3", "40->24", "12x12", 0.9, seed=112, active_inputs=9, max_pool="2"),
            "sparse-sparse", 3500),
    _design("trial 13", "local-kwta", {"channels": 40, "winners": 7}, None, 4000),
    _design("trial 14", "global-kwta", {"features": 300, "winners": 40}, None, None),
)  # fmt: skip

"""What is compared: layers and matrices, by whom and with how many multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LAYERS", "MATRICES", "OURS", "OwnPoint", "constant_matrix", "nngen_points"]

#: NNgen's layers, as nngen_worker.py wants them: int8, dense, batch 1.
LAYERS: dict[str, dict[str, Any]] = {
    "conv 1x1 64->64 on 14x14": {
        "kind": "conv",
        "input": [1, 14, 14, 64],
        "weights": [64, 1, 1, 64],
        "padding": "SAME",
    },
    "linear 1600->1500": {"kind": "linear", "input": [1, 1600], "weights": [1500, 1600], "padding": ""},
    "conv 3x3 64->64 on 14x14": {
        "kind": "conv",
        "input": [1, 14, 14, 64],
        "weights": [64, 3, 3, 64],
        "padding": "SAME",
    },
    "conv 5x5 64->64 on 14x14": {
        "kind": "conv",
        "input": [1, 14, 14, 64],
        "weights": [64, 5, 5, 64],
        "padding": "VALID",
    },
}

#: Input and output channels that NNgen works on at once, by layer; a kernel's taps are always parallel.
_PARALLEL = {
    "conv 1x1 64->64 on 14x14": ((1, 1), (8, 8)),
    "linear 1600->1500": ((1, 1), (8, 8)),
    "conv 3x3 64->64 on 14x14": ((1, 1), (2, 4)),
    "conv 5x5 64->64 on 14x14": ((1, 1), (2, 2)),
}


def nngen_points() -> list[tuple[str, int, dict[str, Any]]]:
    """Name of the layer, its multipliers, and the layer with its parallelism."""
    points = []
    for name, layer in LAYERS.items():
        taps = layer["weights"][1] * layer["weights"][2] if layer["kind"] == "conv" else 1
        for par_ich, par_och in _PARALLEL[name]:
            points.append((name, taps * par_ich * par_och, layer | {"par_ich": par_ich, "par_och": par_och}))
    return points


@dataclass(frozen=True, kw_only=True)
class OwnPoint:
    """The same layer by ``cs-hdl generate``, with the sparsity that its users train."""

    layer: str
    what: str
    options: tuple[str, ...]


def _own(cycles: int, layer: str, *shape: str) -> list[OwnPoint]:
    """Sparse-sparse within ``cycles`` a word, and sparse-dense, with 8 times the activations, within 8 times."""
    sparse = ("--weight-sparsity", "0.95")
    return [
        OwnPoint(
            layer=layer,
            what="sparse-sparse, 95 % of the weights and all but 1 in 8 activations zero",
            options=(
                *shape,
                *sparse,
                "--active-inputs",
                "200" if shape[0] == "linear" else "8",
                "--cycles",
                f"{cycles}",
            ),
        ),
        OwnPoint(
            layer=layer,
            what="sparse-dense, 95 % of the weights zero",
            options=(*shape, *sparse, "--mode", "sparse-dense", "--cycles", f"{8 * cycles}"),
        ),
    ]


_CONV = ("--in-channels", "64", "--out-channels", "64", "--input", "14x14")
OURS = [
    *_own(784, "conv 1x1 64->64 on 14x14", "conv", "--kernel", "1x1", *_CONV),
    *_own(800, "linear 1600->1500", "linear", "--in-features", "1600", "--out-features", "1500"),
    *_own(1568, "conv 3x3 64->64 on 14x14", "conv", "--kernel", "3x3", "--padding", "1,1,1,1", *_CONV),
    *_own(800, "conv 5x5 64->64 on 14x14", "conv", "--kernel", "5x5", *_CONV),
]

#: Constant matrices: inputs, outputs, and non-zero weights an output.
MATRICES = {
    "25x64, 3 weights an output": (25, 64, 3),
    "64x64, 90 % zeros": (64, 64, 6),
    "64x64, 80 % zeros": (64, 64, 13),
    "64x64, dense": (64, 64, 64),
}


def constant_matrix(name: str) -> NDArray[np.int64]:
    """``[outputs, inputs]``: normally distributed weights of int8 at random places, from a fixed seed."""
    inputs, outputs, nonzeros = MATRICES[name]
    rng = np.random.default_rng(7)

    def weights(count: int) -> NDArray[np.int64]:
        drawn = np.clip(np.round(rng.standard_normal(count) * 40), -127, 127).astype(np.int64)
        return np.where(drawn == 0, 1, drawn)

    if nonzeros == inputs:
        return weights(inputs * outputs).reshape(inputs, outputs).T.copy()
    matrix = np.zeros((outputs, inputs), dtype=np.int64)
    for row in matrix:
        values = weights(nonzeros)
        row[rng.choice(inputs, nonzeros, replace=False)] = values
    return matrix

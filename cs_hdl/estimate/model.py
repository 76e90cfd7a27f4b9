"""What a design will take of an ECP5, from its words: before gates, LUTs, placing and routing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cs_hdl.build.alone import Cells
from cs_hdl.estimate.elaborate import elaborate
from cs_hdl.estimate.features import Features, features_digest, features_of

__all__ = ["COEFFICIENTS", "accuracy", "estimate_cells", "fit_coefficients", "load_coefficients", "predict"]

#: Fitted by ``scripts/benchmark --fit``.
COEFFICIENTS = Path(__file__).with_name("coefficients.json")


_LUT_FEATURES = ("and_", "xor", "mux", "enabled", "leaves", "deep")


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
    """Of designs on record: what the model says beside what synthesis gave, by kind of cell (``comb``: all LUTs)."""
    coefficients = load_coefficients()
    found = []
    for design in designs:
        if "features" not in design or design.get("model") != features_digest():
            continue
        cells = predict(Features(**design["features"]), coefficients)
        pairs = {key: (value, design[key]) for key, value in asdict(cells).items()}
        found.append({"name": design["name"], **pairs, "comb": (cells.comb, design["comb"])})
    return found

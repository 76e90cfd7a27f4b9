"""The cells of a design by its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cs_hdl.build.alone import Cells

__all__ = ["BORDER", "cells_by_layer"]

#: Where the cells are counted that belong to no layer.
BORDER = "streams"


def cells_by_layer(manifest: Mapping[str, Any], parts: Mapping[str, Cells]) -> dict[str, Cells]:
    """Parts are named after layers (``linear1_lanes``): their cells by layer, what is left under :data:`BORDER`."""
    from cs_hdl.rtl.layer import identifier

    found = {layer["name"]: Cells() for layer in manifest["layers"]} | {BORDER: Cells()}
    clean = {identifier(layer["name"]): layer["name"] for layer in manifest["layers"]}
    for part, cells in parts.items():
        owners = [name for name in clean if part == name or part.startswith(f"{name}_")]
        owner = clean[max(owners, key=len)] if owners else BORDER
        found[owner] = found[owner] + cells
    return found

"""``manifest.json``: what a bench, a build or a user must know about a ``design.v``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl import __version__
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cs_hdl.network import Tensor
    from cs_hdl.plan.plan import Plan

__all__ = ["MANIFEST_FORMAT", "make_manifest", "read_manifest"]

MANIFEST_FORMAT = 1


def make_manifest(plan: Plan, *, name: str, source: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of the module ``name`` that was made from ``plan``.

    ``source`` says in words where the network came from, ``sources`` maps the design's other
    files to their SHA-256. Equal arguments give an equal object, in an equal order.
    """
    network = plan.network
    return {
        "format": MANIFEST_FORMAT,
        "top": name,
        "clock": "aclk",
        "reset": "aresetn",
        "network": network.name,
        "source": source,
        "input": _port("s_axis", network.input, plan.input_lanes),
        "output": _port("m_axis", network.output, plan.output_lanes),
        "latency_cycles": plan.latency_cycles,
        "cycles_per_word": plan.cycles_per_word,
        "layers": [dataclasses.asdict(layer) for layer in plan.layers],
        "sources": dict(sorted(sources.items())),
        "version": __version__,
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the design directory ``folder``; InputError where there is none of ours."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] != MANIFEST_FORMAT:
            raise InputError(f"{path}: manifest format {manifest['format']}; this version reads {MANIFEST_FORMAT}")
        missing = {"top", "input", "output", "latency_cycles", "cycles_per_word", "layers", "sources"} - set(manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no design directory (no manifest.json); make one: cs-hdl generate") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a manifest of cs-hdl ({error!r}); generate the design again") from None
    if missing:
        raise InputError(f"{path}: {', '.join(sorted(missing))} missing; generate the design again")
    return dict(manifest)


def _port(port: str, tensor: Tensor, values_per_beat: int) -> dict[str, Any]:
    return {
        "port": port,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "values_per_beat": values_per_beat,
        "beats": -(-tensor.size // values_per_beat),
    }

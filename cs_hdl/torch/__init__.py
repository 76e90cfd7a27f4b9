"""Training of complementary networks in PyTorch, and their way to a quantised ONNX file.

The layers are imported on first use, so that the parts that need no PyTorch
(:mod:`cs_hdl.torch.integer`, :mod:`cs_hdl.torch.onnx_export`) work without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import ToolError

if TYPE_CHECKING:
    from cs_hdl.torch.fit import fit_complementary
    from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
    from cs_hdl.torch.quantise import FakeQuantise, PowerOfTwoScale
    from cs_hdl.torch.sparsify import convert, export_onnx, prepare
    from cs_hdl.torch.training import calibrate, fold_batch_norm
    from cs_hdl.torch.winners import KWinners, KWinners2d, narrow_winners, update_boost_strength

__all__ = [
    "ComplementaryConv2d",
    "ComplementaryLinear",
    "FakeQuantise",
    "KWinners",
    "KWinners2d",
    "PowerOfTwoScale",
    "calibrate",
    "convert",
    "export_onnx",
    "fit_complementary",
    "fold_batch_norm",
    "narrow_winners",
    "prepare",
    "update_boost_strength",
]

_MODULES = {
    "ComplementaryConv2d": "layers",
    "ComplementaryLinear": "layers",
    "FakeQuantise": "quantise",
    "KWinners": "winners",
    "KWinners2d": "winners",
    "PowerOfTwoScale": "quantise",
    "calibrate": "training",
    "convert": "sparsify",
    "export_onnx": "sparsify",
    "fit_complementary": "fit",
    "fold_batch_norm": "training",
    "prepare": "sparsify",
    "narrow_winners": "winners",
    "update_boost_strength": "winners",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ToolError(f"{name} needs PyTorch, which is not installed: pip install 'cs-hdl[torch]'") from error
    return getattr(module, name)

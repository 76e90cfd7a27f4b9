"""How the plots of the studies look: readable in print and for the colour-blind, equal data give equal files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cs_hdl.errors import ToolError

__all__ = ["COLOURS", "MARKERS", "PATTERNS", "save", "start"]

#: Of Okabe and Ito's palette, which the colour-blind can tell apart; each has a marker and a line of its own as well.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
PATTERNS = ("-", "--", "-.", ":", "-", "--", "-.")


def start(width: float, height: float, *, rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
    """A figure of ``width`` x ``height`` inches, and its axes in rows. ToolError where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        raise ToolError("matplotlib is missing (plots); install it with: pip install 'cs-hdl[docs]'") from None
    matplotlib.use("svg")
    matplotlib.rcParams.update({
        "svg.hashsalt": "cs-hdl", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False,
    })  # fmt: skip
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    return figure, [axis for row in axes for axis in row]


def save(figure: Any, path: Path) -> None:
    """Write ``figure`` as SVG, without a date."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)

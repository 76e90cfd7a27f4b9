"""The picture of accuracy against multiplications, as SVG; colours that the colour-blind can tell apart."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from cs_hdl.errors import ToolError

__all__ = ["sparsity_plot"]

#: Of Okabe and Ito's palette, from all channels active to few.
_STYLES = (("#000000", "s"), ("#E69F00", "^"), ("#56B4E9", "D"), ("#0072B2", "o"))


def sparsity_plot(record: dict[str, Any]) -> str:
    """SVG: a line for each share of winners, a point for each number of weights. ToolError without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise ToolError("matplotlib is missing (plots); install it with: pip install 'cs-hdl[docs]'") from None
    matplotlib.use("svg")
    # Equal data give equal files.
    matplotlib.rcParams.update({"svg.hashsalt": "cs-hdl", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    groups = dict.fromkeys(tuple(point["winners"]) for point in record["points"])
    for winners, (colour, marker) in zip(groups, _STYLES, strict=True):
        own = [point for point in record["points"] if tuple(point["winners"]) == winners]
        means = [100 * np.mean([accuracy["test"] for accuracy in point["accuracy"]]) for point in own]
        label = f"{winners[0]} channels and {winners[1]} features active"
        axis.plot([point["multiplications"] for point in own], means, marker=marker, color=colour, label=label)
        if winners == tuple(record["points"][0]["winners"]):
            for point, mean in zip(own, means, strict=True):
                note = f"{100 * point['weight_sparsity']:.0f} %"
                where = (point["multiplications"], mean)
                axis.annotate(note, where, textcoords="offset points", xytext=(0, 6), ha="center", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("multiplications a word (notes: zeros among the weights of the hidden layer)")
    axis.set_ylabel("accuracy on the test split, integers, %")
    axis.legend(fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return text.getvalue()

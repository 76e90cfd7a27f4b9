"""The plots of docs/kernels.md, as SVG; colours that the colour-blind can tell apart, markers as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cs_hdl.errors import ToolError

__all__ = ["cost_plot", "speedup_plot", "sweep_plot"]

#: Of Okabe and Ito's palette.
_STYLES = {
    "dense": ("#000000", "s"),
    "sparse-dense": ("#E69F00", "^"),
    "sparse-sparse": ("#0072B2", "o"),
}


def _start(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    try:
        import matplotlib
    except ImportError:
        raise ToolError("matplotlib is missing (plots); install it with: pip install 'cs-hdl[docs]'") from None
    matplotlib.use("svg")
    # Equal data give equal files.
    matplotlib.rcParams.update({"svg.hashsalt": "cs-hdl", "font.size": 9, "axes.spines.top": False})
    matplotlib.rcParams.update({"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained", sharey=columns > 1)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _kernels(designs: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(design["kernel"] for design in designs))[::-1]


def cost_plot(designs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """LUTs, multipliers and cycles of every design, a row a kernel."""
    names = _kernels(designs)
    figure, axes = _start(10, 1.2 + 0.42 * len(names), columns=3)
    for axis, key, title in zip(
        axes, ("cycles_per_word", "multipliers", "comb"), ("cycles a word", "multipliers", "LUT"), strict=True
    ):
        for mode, (colour, marker) in _STYLES.items():
            own = [design for design in designs if design["mode"] == mode]
            rows = [names.index(d["kernel"]) + 0.22 * (1 - list(_STYLES).index(mode)) for d in own]
            axis.plot([d[key] for d in own], rows, marker, color=colour, label=mode, markersize=5, alpha=0.85)
        axis.set_xscale("log")
        axis.set_xlabel(title)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(-0.6, len(names) - 0.4)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    _save(figure, path)


def speedup_plot(designs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The best speed-up of each design of each kernel against the ideal dense one on as many multipliers."""
    from cs_hdl.report.kernels_page import speedup

    names = _kernels(designs)
    figure, axis = _start(7.5, 1.2 + 0.42 * len(names))
    for number, (mode, (colour, _)) in enumerate(_STYLES.items()):
        best: dict[str, float] = {}
        for design in designs:
            if design["mode"] == mode:
                best[design["kernel"]] = max(best.get(design["kernel"], 0.0), speedup(design))
        rows = [names.index(name) + 0.26 * (1 - number) for name in best]
        bars = axis.barh(rows, list(best.values()), height=0.24, color=colour, label=mode)
        axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=7)
    axis.set_xscale("log")
    axis.axvline(1, color="#777777", linewidth=0.8)
    axis.set_xlabel("times fewer cycles than the ideal dense design on as many multipliers")
    axis.set_yticks(range(len(names)), names)
    axis.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    _save(figure, path)


def sweep_plot(designs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """LUTs, FFs and multipliers against the share of weights that are absent."""
    figure, axis = _start(6, 3.4)
    sparsity = [100 * (1 - design["nonzeros"] / design["weights"]) for design in designs]
    for key, label, colour, marker in (
        ("comb", "LUT", "#0072B2", "o"), ("ff", "FF", "#E69F00", "^"), ("multipliers", "multipliers", "#000000", "s"),
    ):  # fmt: skip
        axis.plot(sparsity, [design[key] for design in designs], color=colour, marker=marker, label=label)
    axis.set_yscale("log")
    axis.set_xlabel("absent weights, %")
    axis.legend(frameon=False)
    axis.set_title(f"3x3, 32 to 32 channels, at most {designs[0]['command'].split()[-1]} cycles a word", fontsize=9)
    _save(figure, path)

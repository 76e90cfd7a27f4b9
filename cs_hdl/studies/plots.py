"""The plots of ``docs/studies.md``, from the records in ``docs/results/studies``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cs_hdl.studies.style import COLOURS, MARKERS, PATTERNS, save, start

__all__ = [
    "activations_plot",
    "designs",
    "kwta_plot",
    "masks_plot",
    "networks_plot",
    "scale_out_plot",
    "weights_plot",
]

_PANELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "block_ram": "block RAM"}
_MODES = ("dense", "sparse-dense", "sparse-sparse")


def designs(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points of a sweep that went well: options and metrics in one object."""
    return [point["options"] | point["metrics"] for point in record["points"] if point["status"] == "ok"]


def _series(points: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Dense, sparse-dense, and sparse-sparse by the number of active inputs."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        mode = point["mode"]
        name = (
            f"sparse-sparse, {point['active-inputs']} of {point['in-channels']} active"
            if "active-inputs" in point
            else mode
        )
        found.setdefault(name, []).append(point)
    return found


def weights_plot(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """LUT, FF, DSP and block RAM against the number of weights that are not zero; the dense design as a line."""
    figure, axes = start(9, 6, rows=2, columns=2)
    series = _series(points)
    for axis, (key, title) in zip(axes, _PANELS.items(), strict=True):
        for number, (name, own) in enumerate((n, s) for n, s in series.items() if n != "dense"):
            own = sorted(own, key=lambda point: point["nonzeros"])
            axis.plot(
                [p["nonzeros"] for p in own], [p[key] for p in own], PATTERNS[number], color=COLOURS[number],
                marker=MARKERS[number], markersize=5, label=name,
            )  # fmt: skip
        for point in series.get("dense", ()):
            axis.axhline(point[key], color="#000000", linewidth=1, label="dense")
        axis.set_xscale("log", base=2)
        axis.set_xlabel("weights that are not zero")
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    save(figure, path)


def activations_plot(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """LUTs for the same rate, and words a cycle a LUT against dense, over the share of inputs that are active."""
    figure, (left, right) = start(9, 3.8, columns=2)
    (dense,) = (point for point in points if point["mode"] == "dense")

    def worth(point: Mapping[str, Any]) -> float:
        """Words a cycle and LUT, the dense design's being 1."""
        return float(dense["cycles_per_word"] * dense["lut"] / (point["cycles_per_word"] * point["lut"]))

    for number, sparsity in enumerate(sorted({p["weight-sparsity"] for p in points if "weight-sparsity" in p})):
        own = [p for p in points if p.get("weight-sparsity") == sparsity]
        both = sorted((p for p in own if p["mode"] == "sparse-sparse"), key=lambda p: p["active-inputs"])
        share = [100 * p["active-inputs"] / p["in-channels"] for p in both]
        style = {"color": COLOURS[number], "marker": MARKERS[number], "linestyle": PATTERNS[number]}
        left.plot(share, [p["lut"] for p in both], label=f"sparse-sparse, {sparsity:.1%} weights 0", **style)
        right.plot(share, [worth(p) for p in both], **style)
        for point in (p for p in own if p["mode"] == "sparse-dense"):
            line = {"color": COLOURS[number], "linestyle": ":", "linewidth": 1.2}
            left.axhline(point["lut"], label=f"sparse-dense, {sparsity:.1%} weights 0", **line)
            right.axhline(worth(point), **line)
    left.axhline(dense["lut"], color="#000000", linewidth=1, label="dense")
    right.axhline(1, color="#000000", linewidth=1)
    left.set_ylabel("LUT")
    left.set_yscale("log")
    right.set_ylabel("words per cycle and LUT, dense = 1")
    right.set_yscale("log")
    for axis in (left, right):
        axis.set_xlabel("inputs that are not zero, %")
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    save(figure, path)


def kwta_plot(components: Sequence[Mapping[str, Any]], path: Path) -> None:
    """LUTs of every way to a k-WTA against the number of values, larger dots for more winners."""
    figure, (left, right) = start(9, 3.8, columns=2)
    ways = {"LocalKWTA": ("sorting network", "channels"), "GlobalKWTA": ("histogram", "features"),
            "ThresholdKWTA": ("search for the threshold", "features")}  # fmt: skip
    for number, (kind, (name, size)) in enumerate(ways.items()):
        own = [c for c in components if c["component"] == kind]
        style = {"color": COLOURS[number], "marker": MARKERS[number], "linestyle": "", "alpha": 0.8}
        for axis, key in ((left, size), (right, "winners")):
            values = [c["parameters"][key] for c in own]
            axis.plot(values, [c["cells"]["comb"] for c in own], label=name, markersize=5, **style)
    for axis, title in ((left, "values"), (right, "winners (k)")):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel(title)
        axis.set_ylabel("LUT")
        axis.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    save(figure, path)


def networks_plot(networks: Mapping[str, Any], path: Path) -> None:
    """Words a second of whole networks on each device, the three designs side by side."""
    figure, axes = start(9, 4.2, columns=len(networks))
    for axis, (name, network) in zip(axes, networks.items(), strict=True):
        for number, mode in enumerate(_MODES):
            devices = network["designs"][mode]["devices"]
            placed = [(len(devices) - row + 0.27 * (1 - number), device) for row, device in enumerate(devices)]
            fits = [(place, device["words_per_second"]) for place, device in placed if device["fits"]]
            axis.barh([place for place, _ in fits], [rate for _, rate in fits], height=0.25, color=COLOURS[number],
                      label=mode, hatch=("", "//", "..")[number], edgecolor="white")  # fmt: skip
            for place in (place for place, device in placed if not device["fits"]):
                axis.annotate("does not fit", (0, place), (3, 0), fontsize=5.5,
                              textcoords="offset points", va="center", color=COLOURS[number])  # fmt: skip
        names = [d["device"] for d in network["designs"]["dense"]["devices"]]
        axis.set_yticks([len(names) - row for row in range(len(names))], names)
        axis.set_ylim(0.4, len(names) + 0.6)
        axis.set_xlim(left=0)
        axis.set_xlabel("words a second at 100 MHz (estimate)")
        axis.set_title(name, fontsize=9)
        axis.grid(axis="y", visible=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    save(figure, path)


def scale_out_plot(record: Mapping[str, Any], path: Path) -> None:
    """What links let through of what instances could do."""
    figure, (axis,) = start(7.5, 3.6)
    instances = record["instances"]
    links = list(instances[0]["links"])
    for number, entry in enumerate(instances):
        label = f"{entry['device']}, {entry['instances']} instance{'s' * (entry['instances'] != 1)}"
        rates = [entry["links"][link] for link in links]
        style = {"color": COLOURS[number], "marker": MARKERS[number], "linestyle": PATTERNS[number]}
        axis.plot(range(len(links)), rates, label=label, markersize=5, **style)
    axis.set_xticks(range(len(links)), links, rotation=20, ha="right")
    axis.set_yscale("log")
    axis.set_ylabel("words a second")
    axis.legend()
    save(figure, path)


def masks_plot(record: Mapping[str, Any], path: Path) -> None:
    """Packing efficiency of imposed and found masks, and the accuracy of both."""
    figure, (left, right) = start(9, 3.8, columns=2)
    number = 0
    for kind in ("random", "pruned"):
        own = record["trained"][kind]
        for key, name in (("efficiency", "whole kernels"), ("spanning_efficiency", "kernels may span sets")):
            sparsities, means = _means(own, key)
            left.plot(
                [100 * s for s in sparsities], [100 * m for m in means], PATTERNS[number], color=COLOURS[number],
                marker=MARKERS[number], markersize=5, label=f"{kind}, {name}",
            )  # fmt: skip
            number += 1
    sparsities, means = _means(record["trained"]["imposed"], "efficiency")
    left.plot([100 * s for s in sparsities], [100 * m for m in means], "k-", marker="X", label="imposed, whole kernels")
    left.set_ylabel("places that hold a weight, %")
    left.set_ylim(0, 105)
    for index, kind in enumerate(("imposed", "random", "pruned")):
        sparsities, means = _means(record["trained"][kind], "accuracy")
        style = {"color": COLOURS[index], "marker": MARKERS[index], "linestyle": PATTERNS[index]}
        right.plot([100 * s for s in sparsities], [100 * m for m in means], label=kind, markersize=5, **style)
    (_,), (dense,) = _means(record["trained"]["dense"], "accuracy")
    right.axhline(100 * dense, color="#000000", linewidth=1, label="dense")
    right.set_ylabel("accuracy on the digits, %")
    right.legend()
    left.legend(fontsize=7)
    for axis in (left, right):
        axis.set_xlabel("absent weights, %")
    save(figure, path)


def _means(entries: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Mean of ``key`` over the seeds, by sparsity."""
    sparsities = sorted({entry["sparsity"] for entry in entries})
    return sparsities, [
        sum(own) / len(own) for s in sparsities for own in [[e[key] for e in entries if e["sparsity"] == s]]
    ]

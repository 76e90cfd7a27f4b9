"""The tables of ``docs/speech.md``, made from the record of the training."""

from __future__ import annotations

from typing import Any

from cs_hdl.report.marked import put_between

__all__ = ["BEGIN", "END", "with_tables"]

BEGIN, END = "<!-- training: begin -->", "<!-- training: end -->"


def with_tables(page: str, record: dict[str, Any]) -> str:
    """``page`` with new tables between its two marks; InputError where it lacks them."""
    return put_between(page, _tables(record), marks=(BEGIN, END), name="docs/speech.md", what="figures")


def _tables(record: dict[str, Any]) -> str:
    clips, recipe, what = record["data"]["clips"], record["recipe"], record["data"]["what"]
    lines = [
        f"{what[:1].upper()}{what[1:]}: {clips['train']:,} clips to train, {clips['validation']:,} to validate, "
        f"{clips['test']:,} to test. {recipe['float_epochs']} epochs in float "
        f"({recipe['winners_epochs']} of the sparse-sparse network), {recipe['quantised_epochs']} more with quantised "
        f"weights and activations. Made by `{record['command']}`.",
        "",
        "| network | seeds | float: validation | float: test | integers: validation | integers: test |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for variant, summary in record["summary"].items():
        cells = [_spread(summary[kind][split]) for kind in ("float", "integer") for split in ("validation", "test")]
        lines.append(f"| {variant} | {len(record['networks'][variant])} | {' | '.join(cells)} |")
    linear = record["linear_classifier"]
    lines.append(f"| linear classifier, same features | 1 | {linear['validation']:.2%} | {linear['test']:.2%} | | |")
    shipped = record["shipped"]
    if shipped is None:
        return "\n".join(lines)
    accuracy = shipped["accuracy"]
    lines += [
        "",
        f"Shipped as `gsc-trained`: seed {shipped['seed']}, {accuracy['validation']:.2%} on the validation split, "
        f"**{accuracy['test']:.2%} on the test split** (integers).",
        "",
        "| layer of the shipped model | kernels | weights | not 0 | sparsity |",
        "|---|---:|---:|---:|---:|",
    ]
    network = next(r for r in record["networks"]["sparse-sparse"] if r["seed"] == shipped["seed"])
    for layer in network["layers"]:
        sparsity = 1 - layer["nonzero"] / layer["weights"]
        counts = " | ".join(f"{layer[key]:,}" for key in ("kernels", "weights", "nonzero"))
        lines.append(f"| {layer['name']} | {counts} | {sparsity:.2%} |")
    return "\n".join(lines)


def _spread(values: dict[str, float | None]) -> str:
    deviation = values["stdev"]
    return f"{values['mean']:.2%}" if deviation is None else f"{values['mean']:.2%} ± {deviation:.2%}"

"""``docs/studies.md``: every study with the paper's claim beside what was found, from the records alone."""

from __future__ import annotations

from pathlib import Path

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.studies.findings import (
    load_record,
    tell_activations,
    tell_kwta,
    tell_masks,
    tell_networks,
    tell_scale_out,
    tell_weights,
)
from cs_hdl.studies.plots import designs

__all__ = ["write_page"]

_INTRODUCTION = """\
# The paper's studies, and what we found

Made by `scripts/studies` from the records in [`results/studies`](results/studies); do not edit. The paper is
[arXiv 2112.13896](https://arxiv.org/abs/2112.13896); its claims are told in our words. Cells are those of an ECP5
after Yosys (LUT is LUT4 + 2 CCU2C + 4 DPR16X4), each design checked by a short simulation first; what was only planned
is called an estimate. A study is a TOML file in `studies/`; `cs-hdl sweep` runs one, [sweep.md](sweep.md) tells how.
"""
_MISSING = "*Not made yet on this version of the hardware: `scripts/studies --only {name}`.*\n"


def write_page(docs: Path) -> list[Path]:
    """Write ``studies.md`` and ``studies/*.svg`` to the folder ``docs``; gives what was written."""
    records = docs / "results" / "studies"
    text, written = [_INTRODUCTION], []
    for title, name, path, claim, tell in (
        ("1x1 kernels: resources and non-zero weights", "weights-1x1", records, _CLAIMS["weights"], tell_weights),
        ("3x3 kernels: resources and non-zero weights", "weights-3x3", records, _CLAIMS["weights"], tell_weights),
        ("Where sparse-sparse stops paying", "activations-1x1", records, _CLAIMS["activations"], tell_activations),
        ("k-WTA", "kwta", docs / "results", _CLAIMS["kwta"], tell_kwta),
        ("ResNet-50 and MobileNetV2 (estimates)", "networks", records, _CLAIMS["networks"], tell_networks),
        ("Scaling out", "scale-out", records, _CLAIMS["scale-out"], tell_scale_out),
        ("Imposed and found masks", "masks", records, _CLAIMS["masks"], tell_masks),
    ):
        text.append(f"## {title}\n\n**The paper.** {claim}\n")
        record = load_record(path / f"{name}.json")
        if record is None:
            text.append(_MISSING.format(name=name))
            continue
        if "points" in record and not any(point["mode"] == "dense" for point in designs(record)):
            text.append("*The dense design, which all others are compared with, is missing.*\n")
            continue
        plot = docs / "studies" / f"{name}.svg"
        try:
            found = tell(record, plot, records)
        except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise InputError(f"{path / name}.json: not the record of this study ({error!r}); make it again") from None
        written.append(plot)
        text.append(f"![{title}](studies/{name}.svg)\n\n{found}\nMade by `{record['command']}`.\n")
    page = docs / "studies.md"
    write_aside(page, "\n".join(text))
    return [page, *written]


_CLAIMS = {
    "weights": "Resources of 1x1 and 3x3 kernels with 64 inputs and 64 outputs fall with the number of non-zero "
    "weights, "
    "for any number of non-zero activations; a packed set costs what one dense kernel does.",
    "activations": "The savings of weight and activation sparsity multiply: 95 % and 90 % leave a two-hundredth of the "
    "products. Route, weight memory and k-WTA are the price.",
    "kwta": "Sorting networks and merges for the local k-WTA, a histogram for the global one; both are small "
    "beside the "
    "layers that they serve.",
    "networks": "1x1 and 3x3 kernels of this size are typical of ResNet-50 and MobileNetV2, so the method should "
    "carry over.",
    "scale-out": "20 instances of the sparse-sparse network on an Alveo U250 reach 1,369,863 words/s, 24 "
    "sparse-dense ones "
    "689,655, 4 dense ones 12,195.",
    "masks": "Masks are imposed during training, so packing is perfect, and accuracy stays competitive with dense.",
}

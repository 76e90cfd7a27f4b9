"""The speech network beside the paper's: words a second, for each multiplier, LUT and watt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import InputError
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.planner import MODES, explain, make_plan
from cs_hdl.report.marked import put_between

if TYPE_CHECKING:
    from cs_hdl.network import Network

__all__ = ["paper_table", "planned_modes", "replace_table"]


@dataclass(frozen=True, kw_only=True)
class _Published:
    """One line of the paper's throughput table (arXiv 2112.13896, one instance of the network)."""

    fpga: str
    mode: str
    words_per_second: int | None


_PAPER = (
    _Published(fpga="Alveo U250", mode="dense", words_per_second=3_049),
    _Published(fpga="Alveo U250", mode="sparse-dense", words_per_second=35_714),
    _Published(fpga="Alveo U250", mode="sparse-sparse", words_per_second=102_564),
    _Published(fpga="Zynq ZU3EG", mode="dense", words_per_second=None),
    _Published(fpga="Zynq ZU3EG", mode="sparse-dense", words_per_second=21_053),
    _Published(fpga="Zynq ZU3EG", mode="sparse-sparse", words_per_second=45_455),
)
#: Watts, the most that may be drawn: an Alveo U250 card (Xilinx DS962, total power); a ULX3S fed by a USB 2.0 port
#: (500 mA of 5 V, USB 2.0 specification, 7.2.1), board included. What the chips really take nobody has measured here.
_WATTS = {"Alveo U250": 225.0, "ulx3s-85f": 2.5}
_MARK = "<!-- made by scripts/evidence: the table beside the paper's -->"


def planned_modes(network: Network, *, limits: DeviceLimits, clock_mhz: float) -> dict[str, dict[str, Any]]:
    """For each of the paper's three designs what the planner gives it on the device, or ``refused``."""
    found: dict[str, dict[str, Any]] = {}
    for mode in MODES:
        try:
            plan = make_plan(network, limits=limits, mode=mode)
        except InputError as error:
            found[mode] = {"refused": str(error)}
            continue
        cost = explain(plan).cost
        found[mode] = {
            "cycles_per_word": plan.cycles_per_word,
            "words_per_second": round(clock_mhz * 1e6 / plan.cycles_per_word, 1),
            "lut": round(cost.lut),
            "dsp": cost.dsp,
            "block_ram": cost.block_ram,
        }
    return found


def paper_table(evidence: Mapping[str, Any]) -> str:
    """Markdown of the paper's lines and ours, from the content of a record of evidence."""
    report, modes = evidence["report"], evidence["modes"]
    board, clock = report["board"], report["clock_mhz"]
    lines = [
        "| FPGA | network | words/s | a DSP | 1,000 LUTs | a watt, at most drawn |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for entry in _PAPER:
        watts = _per(entry.words_per_second, _WATTS.get(entry.fpga))
        words = "does not fit" if entry.words_per_second is None else f"{entry.words_per_second:,}"
        lines.append(f"| {entry.fpga}, the paper | {entry.mode} | {words} | | | {watts} |")
    for mode in reversed(MODES):
        row = modes[mode]
        if mode == "sparse-sparse":
            words, dsp, lut, how = report["words_per_second"], report["dsp"], report["lut"], "**routed**"
        elif "refused" in row:
            lines.append(f"| {report['device']} | {mode} | does not fit | | | |")
            continue
        else:
            words, dsp, lut, how = row["words_per_second"], row["dsp"], row["lut"], "planned"
        values = _per(words, dsp), _per(words, lut / 1000), _per(words, _WATTS.get(board))
        lines.append(f"| {report['device']}, {how} at {clock:.1f} MHz | {mode} | {words:,.0f} | {' | '.join(values)} |")
    for name, text in {"dsp": "its DSPs", "dsp_and_lut": "DSPs and LUTs"}.items():
        bound = evidence["dense_bounds"][name]
        lines.append(
            f"| {report['device']}, ideal dense bound: all {bound['multipliers']} multipliers of {text} busy in every "
            f"cycle | dense | {bound['words_per_second']:,.0f} | | | |"
        )
    return "\n".join(lines)


def replace_table(page: str, table: str) -> str:
    """``page`` with ``table`` between its two marks; InputError where they are not there."""
    return put_between(page, table, marks=(_MARK, _MARK), name="the page", what="table")


def _per(words: float | None, amount: float | None) -> str:
    """``words / amount`` to three places that count, or nothing."""
    if not words or not amount:
        return ""
    share = words / amount
    return f"{share:,.0f}" if share >= 100 else f"{share:.3g}"

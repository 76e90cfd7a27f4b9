"""Estimates beside synthesis: small modules here and now, every design of the record by its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cs_hdl.build.alone import synthesise_alone
from cs_hdl.estimate.elaborate import elaborate, without_tables
from cs_hdl.estimate.features import Features, features_of, total
from cs_hdl.estimate.model import accuracy, estimate_cells, fit_coefficients
from cs_hdl.estimate.tables import table_features
from cs_hdl.estimate.words import Table
from cs_hdl.report.benchmark import load_results
from cs_hdl.report.benchmark_table import TABLE, TRIAL

RECORD = Path(__file__).parent.parent / "docs" / "results" / "kernels.json"

MODULE = """
module m(input clk, input rst, input [8:0] a, input [15:0] b, input [15:0] c, input en,
         output reg [15:0] sum, output reg [7:0] wide, output reg [3:0] narrow, output reg less, output reg [7:0] ram);
  (* rom_style = "block" *)
  reg [7:0] big [511:0];
  initial begin
{big}  end
  (* rom_style = "logic" *)
  reg [3:0] small [31:0];
  initial begin
{small}  end
  reg [7:0] written [15:0];
  reg [15:0] copy;
  always @(posedge clk) begin
    wide <= big[a];
    narrow <= small[a[4:0]];
    less <= b < c;
    copy <= b;
    if (en) written[a[3:0]] <= b[7:0];
    ram <= written[a[7:4]];
    if (rst) sum <= 16'd0;
    else if (en) sum <= sum + (a[8] ? copy : c);
  end
endmodule
"""


def module() -> str:
    big = "".join(f"    big[{i}] = 8'h{(i * 37 + i // 7) % 256:02x};\n" for i in range(512))
    small = "".join(f"    small[{i}] = 4'h{(i * 11 + i // 3) % 16:x};\n" for i in range(32))
    return MODULE.replace("{big}", big).replace("{small}", small)


def test_a_module_with_every_kind_of_cell():
    text = module()
    real = synthesise_alone(text, top="m")
    (guess,) = [sum_cells(estimate_cells(text, top="m"))]
    assert real.block_ram == 1 and real.lut_ram == 2 and real.carry >= 8  # as it was meant
    assert (guess.ff, guess.block_ram, guess.lut_ram, guess.dsp) == (real.ff, real.block_ram, real.lut_ram, real.dsp)
    assert guess.carry == real.carry
    assert abs(guess.lut4 - real.lut4) <= 6  # (the factors are those of designs with hundreds of LUTs)


def sum_cells(parts):
    first, *rest = parts.values()
    for cells in rest:
        first += cells
    return first


def test_only_what_outputs_need_counts():
    text = (
        "module m(input clk, input [7:0] a, output reg q);\n reg [7:0] r;\n"
        " always @(posedge clk) begin r <= a; q <= r[0]; end\nendmodule\n"
    )
    assert total(features_of(elaborate(text, top="m"), "m").values()).ff == 2


def test_tables_for_block_ram_are_shortened_and_constant_columns_stay():
    text = module()
    short = without_tables(text)
    assert "big[1] =" in short and "big[2] =" not in short
    assert "small[31] =" in short
    assert "big[0] = 8'h0;" in short and "big[1] = 8'hff;" in short


@pytest.mark.parametrize(
    ("depth", "columns", "expected"),
    [
        (16, (0xF0F1, 0xF0F1, 0x0F0E, 0, 0xFFFF), (1, 0, 1)),  # equal, inverse and constant columns
        (64, (0x123456789ABCDEF1,), (4, 1, 1)),
        (32, (0xABCDABCD,), (1, 0, 1)),  # the upper half repeats the lower one
        (256, ((1 << 255) | 6,), (16, 1, 1)),
    ],
)
def test_tables_in_luts(depth, columns, expected):
    assert table_features(Table(depth=depth, columns=columns)) == expected


def test_the_fit_finds_the_coefficients_that_made_the_samples():
    wanted = {"and_": 2, "xor": 1, "mux": 1.5, "enabled": 0.25, "leaves": 3, "deep": 5}
    zero = {"carry": 0, "lut_ram": 0, "ff": 0, "dsp": 0, "block_ram": 0}
    rng = np.random.default_rng(1)
    samples = []
    for _ in range(12):
        counts = {key: int(rng.integers(0, 400)) for key in wanted}
        samples.append((Features(**counts, **zero), round(sum(wanted[key] * counts[key] for key in wanted), 2)))
    assert fit_coefficients(samples) == pytest.approx(wanted, rel=1e-3)


DESIGNS = load_results(RECORD)["designs"]


def test_the_record_has_trials_and_designs_that_were_fitted():
    names = {design["name"] for design in DESIGNS if "features" in design}
    assert len(names & {entry.name for entry in TRIAL}) >= 10
    assert {entry.name for entry in TABLE if entry.quick} <= names


@pytest.mark.parametrize("entry", accuracy(DESIGNS), ids=lambda entry: entry["name"])
def test_estimates_are_close_to_synthesis(entry):
    """Ten per cent for LUTs (of all kinds) and flip-flops, exact for the rest; for every design, fitted or not."""
    for kind in ("comb", "ff"):
        guess, real = entry[kind]
        assert guess == pytest.approx(real, rel=0.1), kind
    for kind in ("dsp", "block_ram"):
        guess, real = entry[kind]
        assert guess == real, kind


def test_most_estimates_of_lut4_alone_are_within_ten_per_cent():
    """Those of little logic beside their carry chains and RAM may be further off."""
    errors = [abs(guess / real - 1) for guess, real in (entry["lut4"] for entry in accuracy(DESIGNS))]
    assert sum(error <= 0.1 for error in errors) >= 0.85 * len(errors)

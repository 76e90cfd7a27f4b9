"""Scaled sums against their definition: every pair of operands, ties and limits among them, and the stated cycles."""

from __future__ import annotations

import numpy as np
import pytest
from stream_harness import run_stream

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.golden.dense import scaled_sum
from cs_hdl.network import ScaledSum as Scale
from cs_hdl.plan.sums import sum_terms
from cs_hdl.rtl.scaled_sum import ScaledSum

# operands' types, and what is made of them
CASES = [
    (("uint8",), Scale(multipliers=(1,), shift=0)),
    (("int8",), Scale(multipliers=(1,), shift=0, low=0, high=96)),
    (("int8",), Scale(multipliers=(1,), shift=1, dtype="int8")),
    (("uint8",), Scale(multipliers=(65535,), shift=17, dtype="int8", low=-5)),
    (("uint8",), Scale(multipliers=(40503,), shift=47)),
    (("int8", "int8"), Scale(multipliers=(1, 1), shift=1, dtype="int8")),
    (("int8", "uint8"), Scale(multipliers=(2, 1), shift=2)),
    (("uint8", "int8"), Scale(multipliers=(1, 32768), shift=15, dtype="int8")),
    (("uint8", "uint8"), Scale(multipliers=(43691, 21845), shift=16)),
    (("int8", "int8"), Scale(multipliers=(51783, 7), shift=16, dtype="int8", low=-100, high=3)),
]


def run(dtypes, scale, *, lanes, count=60, seed=1, **options):
    rng = np.random.default_rng(seed)
    operands = [rng.integers(*np.add(dtype_range(dtype), (0, 1)), (count, lanes)) for dtype in dtypes]
    for operand, dtype in zip(operands, dtypes, strict=True):
        operand[:2] = np.array(dtype_range(dtype))[:, None]
    dut = ScaledSum(scale=scale, dtypes=dtypes, lanes=lanes)
    inputs = [
        {f"operand_{n}": {"values": operand[beat].tolist()} for n, operand in enumerate(operands)}
        for beat in range(count)
    ]
    result = run_stream(dut, inputs, count, seed=seed, **options)
    np.testing.assert_array_equal([beat["values"] for beat in result.outputs], scaled_sum(scale, *operands))
    return dut, result


@pytest.mark.parametrize(("dtypes", "scale"), CASES)
def test_full_rate(dtypes, scale):
    dut, result = run(dtypes, scale, lanes=8)
    assert np.diff(result.in_cycles).tolist() == [1] * 59
    assert (np.array(result.out_cycles) - result.in_cycles).tolist() == [dut.latency] * 60


@pytest.mark.parametrize(("dtypes", "scale"), CASES[1::3])
@pytest.mark.parametrize("gap, stall, disturb", [(0.3, 0.0, 0), (0.0, 0.5, 0), (0.2, 0.3, 21)])
def test_stalls_and_resets(dtypes, scale, gap, stall, disturb):
    run(dtypes, scale, lanes=1, gap=gap, stall=stall, disturb=disturb, seed=3)


@pytest.mark.parametrize("multipliers", [(1,), (3,), (255,), (65535, 1), (43690, 21845), (51783, 9999)])
@pytest.mark.parametrize("shift", [0, 1, 16])
def test_terms_are_the_multipliers(multipliers, shift):
    totals = [0] * len(multipliers)
    half = 0
    for term in sum_terms(Scale(multipliers=multipliers, shift=shift)):
        if term.operand is None:
            half += term.sign << term.shift
        else:
            totals[term.operand] += term.sign << term.shift
    assert tuple(totals) == multipliers
    assert half == (1 << shift) >> 1


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="1 operands do not fit 2 multipliers"):
        ScaledSum(scale=Scale(multipliers=(1, 1), shift=0), dtypes=["uint8"], lanes=1)

"""fixedpoint against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cs_hdl.fixedpoint import (
    MAX_MULTIPLIER,
    MAX_SHIFT,
    bits_for_range,
    dtype_range,
    requantise,
    round_half_even,
    scale_to_multiplier,
    scales_to_multipliers,
    smallest_dtype,
)


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 16, 31, 47])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_requantise_is_exact(shift, dtype):
    rng = np.random.default_rng(shift)
    low, high = dtype_range(dtype)
    # Around the results that matter: values whose quotient lies near the range, ties among them.
    for multiplier in (1, 3, 255, 40961, 65535):
        centres = rng.integers(2 * low - 10, 2 * high + 10, 200) * 2**shift // (2 * multiplier)
        accumulators = np.clip(centres + rng.integers(-2, 3, 200), -(2**45), 2**45 - 1)
        expected = [min(high, max(low, round(Fraction(int(value) * multiplier, 2**shift)))) for value in accumulators]
        assert requantise(accumulators, multiplier, shift, dtype).tolist() == expected


def test_requantise_takes_a_pair_for_each_channel():
    result = requantise(np.array([[3, 3, 3], [-3, 5, 1000]]), np.array([1, 1, 2]), np.array([0, 1, 3]), "uint8")
    assert result.tolist() == [[3, 2, 1], [0, 2, 250]]


@pytest.mark.parametrize("accumulator", [2**45 - 1, -(2**45), 2**31, -(2**31)])
def test_requantise_does_not_overflow(accumulator):
    assert requantise(np.array([accumulator]), 65535, 0, "int8").tolist() == [127 if accumulator > 0 else -128]
    expected = round(Fraction(accumulator * 65535, 2**47))
    assert requantise(np.array([accumulator]), 65535, 47, "int8").tolist() == [min(127, max(-128, expected))]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_shifts_and_values_of_any_integer_type(dtype):
    values, shifts = np.array([2**31 - 1, 5, 7, 6]), np.array([1, 1, 1, 2])
    expected = [2**30, 2, 4, 2]
    assert round_half_even(values, shifts.astype(dtype)).tolist() == expected
    assert round_half_even(values.astype(np.int32), shifts.astype(dtype)).tolist() == expected


def test_requantise_is_monotone():
    values = requantise(np.arange(-3000, 3000), 40961, 19, "int8")
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize("exponent", range(-47, 16))
def test_powers_of_two_come_out_exact(exponent):
    multiplier, shift = scale_to_multiplier(2.0**exponent)
    assert Fraction(multiplier, 2**shift) == Fraction(2) ** exponent
    assert multiplier == (1 if exponent <= 0 else 2**exponent)


def test_nearest_pair_of_16_bits():
    rng = np.random.default_rng(0)
    for scale in np.exp(rng.uniform(np.log(2.0**-29), np.log(60000.0), 2000)):
        multiplier, shift = scale_to_multiplier(float(scale))
        assert 1 <= multiplier <= MAX_MULTIPLIER and 0 <= shift <= MAX_SHIFT
        assert multiplier % 2 == 1 or shift == 0
        error = abs(Fraction(multiplier, 2**shift) - Fraction(float(scale)))
        assert error <= Fraction(float(scale)) / 2**16


@pytest.mark.parametrize("steps", [1.01, 1.49, 1.51, 2.4, 100.3, 65534.6])
def test_tiny_scales_are_rounded_once(steps):
    """Below 2**-31 the shift is at its limit, and M is simply the scale in steps of 2**-47."""
    multiplier, shift = scale_to_multiplier(steps * 2.0**-47)
    assert Fraction(multiplier, 2**shift) == Fraction(round(steps), 2**47)


@pytest.mark.parametrize("exponents", [(0, 0), (-3, 4), (15, 0), (-20, -35), (-47, -40), (-1,)])
def test_powers_of_two_share_a_shift_exactly(exponents):
    multipliers, shift = scales_to_multipliers([2.0**exponent for exponent in exponents])
    for multiplier, exponent in zip(multipliers, exponents, strict=True):
        assert Fraction(multiplier, 2**shift) == Fraction(2) ** exponent
    assert shift == 0 or any(multiplier % 2 for multiplier in multipliers)


def test_scales_that_share_a_shift():
    rng = np.random.default_rng(0)
    for one, other in np.exp(rng.uniform(np.log(2.0**-20), np.log(2.0**-10), (500, 2))).tolist():
        multipliers, shift = scales_to_multipliers([one, other])
        assert all(1 <= multiplier <= MAX_MULTIPLIER for multiplier in multipliers) and 0 <= shift <= MAX_SHIFT
        for multiplier, scale in zip(multipliers, (one, other), strict=True):
            assert abs(Fraction(multiplier, 2**shift) - Fraction(scale)) <= Fraction(max(one, other)) / 2**16
        assert scales_to_multipliers([one]) == ([scale_to_multiplier(one)[0]], scale_to_multiplier(one)[1])


@pytest.mark.parametrize("scales", [[1.0, 2.0**-17], [0.0, 0.0], [1.0, float("nan")], [70000.0, 1.0], [1.0, -1.0]])
def test_scales_that_share_none(scales):
    with pytest.raises(ValueError, match="scale"):
        scales_to_multipliers(scales)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), -float("inf"), 2.0**-48, 65536.0, 1e30])
def test_scales_that_have_no_pair(scale):
    with pytest.raises(ValueError, match=r"scale"):
        scale_to_multiplier(scale)


def test_largest_scale():
    assert scale_to_multiplier(65535.0) == (65535, 0)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-32768, 32767, "int16"), (-32769, 0, "int24"), (0, 32768, "int24"), (-(2**23), 2**23 - 1, "int24"),
     (0, 2**23, "int32"), (-(2**31), 2**31 - 1, "int32")],
)  # fmt: skip
def test_smallest_dtype(low, high, dtype):
    assert smallest_dtype(low, high) == dtype


def test_smallest_dtype_refuses_what_fits_none():
    with pytest.raises(ValueError, match=r"0\.\.2147483648 fits none"):
        smallest_dtype(0, 2**31)


def test_bits_for_range():
    for low in range(-20, 20):
        for high in range(low, 20):
            bits = bits_for_range(low, high)
            assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
            assert bits == 1 or not (-(2 ** (bits - 2)) <= low and high < 2 ** (bits - 2))
    with pytest.raises(ValueError, match="empty"):
        bits_for_range(1, 0)


@pytest.mark.parametrize("scales", [[1.3 * 2.0**-40], [1.7 * 2.0**-36, 1.1 * 2.0**-38]])
def test_small_scales_keep_the_largest_shift(scales: list[float]) -> None:
    multipliers, shift = scales_to_multipliers(scales)
    assert shift <= MAX_SHIFT
    for scale, multiplier in zip(scales, multipliers, strict=True):
        assert abs(multiplier - scale * 2.0**shift) <= 0.5


@pytest.mark.parametrize("scale", [0.0, -0.5, -1.0, -3.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_positive_is_named_so(scale: float) -> None:
    with pytest.raises(ValueError, match="finite number above 0"):
        scale_to_multiplier(scale)

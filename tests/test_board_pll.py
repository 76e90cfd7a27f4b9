"""PLL settings: within the limits of the device, never faster than wanted, close to it."""

from __future__ import annotations

import pytest

from cs_hdl.board.pll import pll_settings
from cs_hdl.errors import InputError


@pytest.mark.parametrize("oscillator", [12.0, 25.0, 48.0, 100.0])
@pytest.mark.parametrize("wanted", [10.0, 48.0, 66.6667, 80.0, 99.99, 106.78, 118.37, 133.0, 200.0])
def test_settings(oscillator, wanted):
    pll = pll_settings(oscillator, wanted)
    detector = oscillator / pll.input_divider
    vco = detector * pll.feedback_divider * pll.feedback_output_divider
    assert 10 <= detector <= 400
    assert 10 <= detector * pll.feedback_divider <= 400
    assert 400 <= vco <= 800 and vco == pytest.approx(pll.oscillator_mhz)
    assert pll.output_mhz == pytest.approx(vco / pll.output_divider)
    assert wanted * 0.975 <= pll.output_mhz <= wanted * (1 + 1e-9)
    parameters = pll.parameters()
    assert all(1 <= parameters[name] <= 128 for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOS_DIV"))
    assert parameters["CLKFB_DIV"] <= 80
    assert parameters["CLKOS_CPHASE"] < parameters["CLKOS_DIV"]


@pytest.mark.parametrize(
    ("oscillator", "wanted"), [(25.0, 100.0), (25.0, 75.0), (12.0, 80.0), (48.0, 110.0), (100.0, 120.0)]
)
def test_a_clock_that_can_be_met_is_met(oscillator, wanted):
    assert pll_settings(oscillator, wanted).output_mhz == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("wanted", [0.0, -3.0, 9.9, 401.0])
def test_clocks_that_no_pll_makes(wanted):
    with pytest.raises(InputError, match=r"the PLL gives 10\.\.400 MHz"):
        pll_settings(25.0, wanted)

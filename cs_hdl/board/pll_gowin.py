"""Settings of the Gowin rPLL for a wanted clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cs_hdl.errors import InputError

__all__ = ["GowinPll", "gowin_pll"]

#: Limits in MHz that all chips of the two families keep (apycula's gowin_pack has them by chip; these are the
#: strictest of GW1N-9, GW1N-9C and GW2A-18).
_PHASE_DETECTOR = (3.0, 400.0)
_OSCILLATOR = (500.0, 1000.0)
_OUTPUT = (4.0, 500.0)
_DIVIDERS = range(1, 65)
_OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True, kw_only=True)
class GowinPll:
    """The dividers of one rPLL: the design's clock is ``input / input_divider * feedback_divider``.

    The internal oscillator runs ``output_divider`` times as fast.
    """

    source: ClassVar[str] = "pll"

    input_mhz: float
    input_divider: int
    feedback_divider: int
    output_divider: int

    @property
    def output_mhz(self) -> float:
        """The design's clock."""
        return self.input_mhz / self.input_divider * self.feedback_divider

    def parameters(self) -> dict[str, int]:
        """The parameters of the cell that depend on the frequency."""
        return {
            "IDIV_SEL": self.input_divider - 1,
            "FBDIV_SEL": self.feedback_divider - 1,
            "ODIV_SEL": self.output_divider,
        }


def gowin_pll(input_mhz: float, wanted_mhz: float) -> GowinPll:
    """The settings with the highest clock of at most ``wanted_mhz``; InputError where none exists."""
    most = wanted_mhz * (1 + 1e-9)  # a frequency that is met to the bit must not be lost to rounding
    if not _OUTPUT[0] <= wanted_mhz <= _OUTPUT[1]:
        raise InputError(f"a clock of {wanted_mhz:g} MHz: the PLL gives {_OUTPUT[0]:g}..{_OUTPUT[1]:g} MHz")
    best: GowinPll | None = None
    for divider in _DIVIDERS:
        detector = input_mhz / divider
        if not _PHASE_DETECTOR[0] <= detector <= _PHASE_DETECTOR[1]:
            continue
        for feedback in _DIVIDERS:
            output = detector * feedback
            if not _OUTPUT[0] < output <= min(most, _OUTPUT[1]):
                continue
            if best is not None and output <= best.output_mhz * (1 + 1e-9):
                continue
            for times in _OUTPUT_DIVIDERS:
                if _OSCILLATOR[0] <= output * times <= _OSCILLATOR[1]:
                    best = GowinPll(
                        input_mhz=input_mhz, input_divider=divider, feedback_divider=feedback, output_divider=times
                    )
                    break
    if best is None:
        raise InputError(f"the PLL cannot make at most {wanted_mhz:g} MHz from {input_mhz:g} MHz")
    return best

"""Settings of the ECP5's PLL for a wanted clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cs_hdl.errors import InputError

__all__ = ["PllSettings", "pll_settings"]

#: Limits of the EHXPLLL in MHz, as the open generators have them (Project Trellis' ecppll, LiteX). They
#: disagree about the phase detector's lowest frequency (3.125 or 10): the stricter one is taken.
_PHASE_DETECTOR = (10.0, 400.0)
_OSCILLATOR = (400.0, 800.0)
_OUTPUT = (10.0, 400.0)
_MOST_FEEDBACK = 80
_MOST_DIVIDER = 128


@dataclass(frozen=True, kw_only=True)
class PllSettings:
    """The dividers of one PLL.

    The feedback goes through CLKOP, the design's clock is CLKOS: the internal oscillator runs at
    ``input / input_divider * feedback_divider * feedback_output_divider``, and the design at that
    over ``output_divider``. Two outputs give many more frequencies than one.
    """

    source: ClassVar[str] = "pll"

    input_mhz: float
    input_divider: int
    feedback_divider: int
    feedback_output_divider: int
    output_divider: int

    @property
    def oscillator_mhz(self) -> float:
        """The internal oscillator's frequency."""
        return self.input_mhz / self.input_divider * self.feedback_divider * self.feedback_output_divider

    @property
    def output_mhz(self) -> float:
        """The design's clock."""
        return self.oscillator_mhz / self.output_divider

    def parameters(self) -> dict[str, int]:
        """The parameters of the EHXPLLL that depend on the frequency."""
        return {
            "CLKI_DIV": self.input_divider,
            "CLKFB_DIV": self.feedback_divider,
            "CLKOP_DIV": self.feedback_output_divider,
            "CLKOP_CPHASE": self.feedback_output_divider - 1,
            "CLKOS_DIV": self.output_divider,
            "CLKOS_CPHASE": self.output_divider - 1,
        }


def pll_settings(input_mhz: float, wanted_mhz: float) -> PllSettings:
    """The settings with the highest clock of at most ``wanted_mhz``; InputError where none exists."""
    best: PllSettings | None = None
    # A frequency that is met to the bit must not be lost to rounding.
    most = wanted_mhz * (1 + 1e-9)
    if not _OUTPUT[0] <= wanted_mhz <= _OUTPUT[1]:
        raise InputError(f"a clock of {wanted_mhz:g} MHz: the PLL gives {_OUTPUT[0]:g}..{_OUTPUT[1]:g} MHz")
    for input_divider in range(1, _MOST_DIVIDER + 1):
        detector = input_mhz / input_divider
        if not _PHASE_DETECTOR[0] <= detector <= _PHASE_DETECTOR[1]:
            continue
        for feedback in range(1, _MOST_FEEDBACK + 1):
            through = detector * feedback
            if not _OUTPUT[0] <= through <= _OUTPUT[1]:
                continue
            for divider in range(max(1, int(_OSCILLATOR[0] / through)), int(_OSCILLATOR[1] / through) + 1):
                oscillator = through * divider
                output = max(1, int(-(-oscillator // most)))
                if not _OSCILLATOR[0] <= oscillator <= _OSCILLATOR[1] or max(divider, output) > _MOST_DIVIDER:
                    continue
                if best is None or oscillator / output > best.output_mhz * (1 + 1e-9):
                    best = PllSettings(
                        input_mhz=input_mhz,
                        input_divider=input_divider,
                        feedback_divider=feedback,
                        feedback_output_divider=divider,
                        output_divider=output,
                    )
    if best is None:
        raise InputError(f"the PLL cannot make at most {wanted_mhz:g} MHz from {input_mhz:g} MHz")
    return best

"""Settings of the iCE40's PLL for a wanted clock."""

from __future__ import annotations

from dataclasses import dataclass

from cs_hdl.errors import InputError

__all__ = ["Ice40Pll", "ice40_pll"]

#: Limits of the SB_PLL40 in MHz, as Project IceStorm's icepll has them.
_PHASE_DETECTOR = (10.0, 133.0)
_OSCILLATOR = (533.0, 1066.0)
_OUTPUT = (16.0, 275.0)
_REFERENCE_DIVIDERS, _FEEDBACK_DIVIDERS, _OUTPUT_POWERS = range(1, 17), range(1, 129), range(1, 7)
#: The loop filter's setting by the phase detector's frequency in MHz (icepll).
_FILTER = ((17.0, 1), (26.0, 2), (44.0, 3), (66.0, 4), (101.0, 5))
_FASTEST_FILTER = 6


@dataclass(frozen=True, kw_only=True)
class Ice40Pll:
    """The dividers of one SB_PLL40 with simple feedback; ``bypass`` stands for none: the design runs at the oscillator.

    The internal oscillator runs at ``input / reference_divider * feedback_divider``, the design at that over
    2 to the power of ``output_power``.
    """

    input_mhz: float
    reference_divider: int
    feedback_divider: int
    output_power: int
    bypass: bool = False

    @property
    def source(self) -> str:
        """What a report says the clock comes from."""
        return "oscillator" if self.bypass else "pll"

    @property
    def output_mhz(self) -> float:
        """The design's clock."""
        if self.bypass:
            return self.input_mhz
        return self.input_mhz / self.reference_divider * self.feedback_divider / (1 << self.output_power)

    def parameters(self) -> dict[str, int]:
        """The parameters of the cell that depend on the frequency."""
        detector = self.input_mhz / self.reference_divider
        return {
            "DIVR": self.reference_divider - 1,
            "DIVF": self.feedback_divider - 1,
            "DIVQ": self.output_power,
            "FILTER_RANGE": next((value for limit, value in _FILTER if detector < limit), _FASTEST_FILTER),
        }

    @staticmethod
    def widths() -> dict[str, int]:
        """Bits of each of :meth:`parameters`."""
        return {"DIVR": 4, "DIVF": 7, "DIVQ": 3, "FILTER_RANGE": 3}


def ice40_pll(input_mhz: float, wanted_mhz: float) -> Ice40Pll:
    """The settings with the highest clock of at most ``wanted_mhz``.

    Below the PLL's lowest frequency that is the oscillator itself, if it is not too fast. InputError where there
    is none.
    """
    most = wanted_mhz * (1 + 1e-9)  # a frequency that is met to the bit must not be lost to rounding
    if wanted_mhz > _OUTPUT[1]:
        raise InputError(f"a clock of {wanted_mhz:g} MHz: the PLL gives {_OUTPUT[0]:g}..{_OUTPUT[1]:g} MHz")
    best: Ice40Pll | None = None
    for reference in _REFERENCE_DIVIDERS:
        detector = input_mhz / reference
        if not _PHASE_DETECTOR[0] <= detector <= _PHASE_DETECTOR[1]:
            continue
        for feedback in _FEEDBACK_DIVIDERS:
            oscillator = detector * feedback
            if not _OSCILLATOR[0] <= oscillator <= _OSCILLATOR[1]:
                continue
            for power in _OUTPUT_POWERS:
                output = oscillator / (1 << power)
                if not _OUTPUT[0] <= output <= min(most, _OUTPUT[1]):
                    continue
                if best is None or output > best.output_mhz * (1 + 1e-9):
                    best = Ice40Pll(
                        input_mhz=input_mhz,
                        reference_divider=reference,
                        feedback_divider=feedback,
                        output_power=power,
                    )
    if best is not None:
        return best
    if input_mhz <= most:
        return Ice40Pll(input_mhz=input_mhz, reference_divider=1, feedback_divider=64, output_power=5, bypass=True)
    raise InputError(
        f"a clock of {wanted_mhz:g} MHz: the PLL gives {_OUTPUT[0]:g}..{_OUTPUT[1]:g} MHz from {input_mhz:g} MHz"
    )

"""The requantiser equals its definition for every accumulator value, address and content of its registers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.hdl import Const, Elaboratable, Module, Mux, Signal, Value, signed
from prover import Proof, always, assumed, constant, prove
from slow import quick_first

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.rtl.requantise import Requantiser


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A requantiser's parameters, and how it is proven."""

    low: int
    high: int
    biases: list[int]
    multipliers: list[int] = field(default_factory=list)
    shifts: list[int] = field(default_factory=list)
    dtype: str = "uint8"
    engine: str = "smtbmc yices"

    def make(self) -> Requantiser:
        return Requantiser(
            low=self.low,
            high=self.high,
            biases=self.biases,
            multipliers=self.multipliers,
            shifts=self.shifts,
            dtype=self.dtype,
        )


def definition(total: Value, multiplier: int, shift: int, dtype: str) -> Value:
    """``clamp(round_half_even(total * multiplier / 2**shift))``, with quotient and remainder, as docs say it."""
    product = total * multiplier
    minimum, maximum = dtype_range(dtype)
    quotient = product >> shift
    remainder = product & ((1 << shift) - 1)
    half = (1 << shift) >> 1
    up: Value = Const(0)
    if shift:
        up = (remainder > half) | ((remainder == half) & quotient[0])
    rounded = quotient + up
    return Mux(rounded < minimum, minimum, Mux(rounded > maximum, maximum, rounded))


class AnyValue(Elaboratable):
    """One unknown value and address, and its result ``latency`` cycles of the enable later, which may fall at will.

    The component has no feedback: each result follows from the inputs of one cycle alone, so what other values
    come before and behind it are free, and so are its registers.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale, self._dut = scale, scale.make()
        self._go = Signal(name="go")

    @property
    def ports(self) -> list[Any]:
        return [self._dut.i, self._dut.address, self._dut.en, self._go]

    @property
    def depth(self) -> int:
        """Cycles in which a value has surely passed, with two more in which it may wait."""
        return self._dut.latency + 5

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, scale = self._dut, self._scale
        m.submodules.dut = dut
        value = constant(m, dut.i.shape(), "value")
        address = constant(m, len(dut.address), "address")
        m.d.comb += [
            assumed((value >= scale.low) & (value <= scale.high)),
            assumed(address < len(scale.biases)),
        ]
        age = Signal(range(dut.latency + 2))  # 0 until the value is taken, then the enabled cycles since
        with m.If((age == 0) & self._go & dut.en):
            m.d.comb += [assumed(dut.i == value), assumed(dut.address == address)]
            m.d.sync += age.eq(1)
        with m.Elif((age != 0) & (age != dut.latency + 1) & dut.en):
            m.d.sync += age.eq(age + 1)
        for number, bias in enumerate(scale.biases):
            total = Signal(signed(40), name=f"total_{number}")
            expected = Signal(dut.o.shape(), name=f"expected_{number}")
            m.d.comb += total.eq(value + bias)
            if scale.multipliers:
                m.d.comb += expected.eq(definition(total, scale.multipliers[number], scale.shifts[number], scale.dtype))
            else:
                m.d.comb += expected.eq(total)
            m.d.comb += always((age != dut.latency) | (address != number) | (dut.o == expected))
        return m


CASES = {
    "a shift": Scale(low=-(2**19), high=2**19 - 1, biases=[-77], multipliers=[1], shifts=[7]),
    "a shift, signed": Scale(low=-300000, high=290000, biases=[5, -9], multipliers=[1, 1], shifts=[9, 9], dtype="int8"),
    "no shift": Scale(low=-400, high=500, biases=[0], multipliers=[1], shifts=[0], dtype="int8"),
    "a power of two above 1": Scale(low=-99, high=120, biases=[3], multipliers=[4], shifts=[0]),
    "exact sums": Scale(low=-(2**22), high=2**22, biases=[1000, -1000, 7], dtype="int24"),
    "a multiplier": Scale(low=-5000, high=7000, biases=[11], multipliers=[181], shifts=[13]),
    "a multiplier, signed": Scale(low=-5000, high=7000, biases=[-400], multipliers=[77], shifts=[11], dtype="int8"),
    "each channel its own": Scale(
        low=-2000, high=2100, biases=[4, -4, 9], multipliers=[3, 5, 1], shifts=[6, 7, 3], dtype="uint8"
    ),
}
SLOW = {
    "16 bits": Scale(low=-(2**19), high=2**19 - 1, biases=[-3000], multipliers=[40503], shifts=[26]),
    "16 bits, signed": Scale(
        low=-(2**17), high=2**17, biases=[90, -1], multipliers=[65535, 33001], shifts=[25, 24], dtype="int8"
    ),
}


def run(scale: Scale, folder: Any, name: str) -> None:
    harness = AnyValue(scale)
    prove(harness, harness.ports, folder, name=name, proof=Proof(depth=harness.depth, engine=scale.engine))


@pytest.mark.parametrize("name", quick_first(CASES, 6))
def test_equals_its_definition(name, tmp_path):
    run(CASES[name], tmp_path, name)


@pytest.mark.slow_proof
@pytest.mark.parametrize("name", SLOW)
def test_equals_its_definition_at_full_width(name, tmp_path):
    run(SLOW[name], tmp_path, name)

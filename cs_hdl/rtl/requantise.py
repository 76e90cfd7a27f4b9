"""Bias and requantisation of accumulators, one value a cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import bits_for_range, dtype_range
from cs_hdl.plan.scale import common_scale
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width, value_shape

if TYPE_CHECKING:
    from amaranth.hdl import Value

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """``o = clamp(round_half_even((i + bias) * multiplier / 2**shift))``, or ``i + bias`` alone.

    Parameters
    ----------
    low, high: range of ``i``.
    biases: one for each address.
    multipliers, shifts: one for each address (0..47); empty where the result is the exact sum.
    dtype: of the result; the sum must fit it where nothing is scaled.

    Members
    -------
    en: everything moves in a cycle in which it is high. i, address: a value and where its bias and
        scale stand. o: ``latency`` such cycles later. Initiation interval 1.

    Where all shifts can be made one by widening the multipliers, and all multipliers are the same power
    of two, nothing is multiplied.
    """

    def __init__(
        self,
        *,
        low: int,
        high: int,
        biases: Sequence[int],
        multipliers: Sequence[int],
        shifts: Sequence[int],
        dtype: str,
    ) -> None:
        if len(multipliers) != len(shifts) or len(multipliers) not in (0, len(biases)):
            raise ValueError(
                f"{len(biases)} biases, {len(multipliers)} multipliers and {len(shifts)} shifts do not fit"
            )
        self._dtype = dtype
        self._biases = list(biases)
        self._low, self._high = low + min(biases), high + max(biases)
        self._scale = common_scale(multipliers, shifts, addresses=len(biases))
        super().__init__(
            {
                "en": In(1),
                "i": In(signed(bits_for_range(low, high))),
                "address": In(index_width(len(biases))),
                "o": Out(value_shape(dtype)),
            }
        )

    @property
    def latency(self) -> int:
        """Enabled cycles from ``i`` to ``o``."""
        return self._scale.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        scale = self._scale
        half = (1 << scale.shift) >> 1
        held = self._delayed(m, self.i, scale.table_latency, "held")
        if not scale.factors:
            m.d.comb += self.o.eq(self._add(m, held, self._biases, low=self._low, high=self._high, name="total"))
        elif scale.only_shifts:
            # Half of the last place comes in with the bias: (i + bias) << k is rounded as i + bias is.
            shift = scale.shift - (scale.factors[0].bit_length() - 1)
            assert shift == scale.shift or scale.shift == 0
            biases = [bias + (half if shift >= 0 else 0) for bias in self._biases]
            total = self._add(m, held, biases, low=self._low + half, high=self._high + half, name="total")
            self._clamp(m, total << max(0, -shift), max(0, shift))
        else:
            total = self._add(m, held, self._biases, low=self._low, high=self._high, name="total")
            product, low, high = self._multiply(m, total)
            rounded = Signal(signed(bits_for_range(low, high + half)), reset_less=True)
            with m.If(self.en):
                m.d.sync += rounded.eq(product + half)
            self._clamp(m, rounded, scale.shift)
        return m

    def _register(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(value.shape(), name=name, reset_less=True)
        with m.If(self.en):
            m.d.sync += register.eq(value)
        return register

    def _delayed(self, m: Module, value: Value, cycles: int, name: str) -> Value:
        return delayed(m, value, cycles, name=name, enable=self.en, reset_less=True)[-1]

    def _add(self, m: Module, value: Value, addends: list[int], *, low: int, high: int, name: str) -> Signal:
        """``value`` plus what belongs to its address, as it was ``table_latency`` enabled cycles ago."""
        addend = self._constant(m, "bias", addends, self.address)
        addend = self._delayed(m, addend, self._scale.table_latency - 1, "addend")
        total = Signal(signed(bits_for_range(low, high)), name=name, reset_less=True)
        with m.If(self.en):
            m.d.sync += total.eq(value + addend)
        return total

    def _constant(self, m: Module, name: str, values: list[int], address: Value) -> Value:
        """The value that belongs to ``address``, one enabled cycle later (at once where all are the same)."""
        low, high = min(values), max(values)
        shape = unsigned(max(1, high.bit_length())) if low >= 0 else signed(bits_for_range(low, high))
        if low == high:
            constant = Signal(shape, name=name)
            m.d.comb += constant.eq(low)
            return constant
        memory = m.submodules[name] = Memory(shape=shape, depth=len(values), init=values)
        read = memory.read_port()
        m.d.comb += [read.en.eq(self.en), read.addr.eq(address)]
        return read.data

    def _multiply(self, m: Module, total: Signal) -> tuple[Value, int, int]:
        """``total * factor`` after two cycles, and its range."""
        address = self._delayed(m, self.address, self._scale.table_latency, "address")
        factor = self._constant(m, "factor", list(self._scale.factors), address)
        largest = max(self._scale.factors)
        low, high = min(self._low * largest, 0), max(self._high * largest, 0)
        a = self._register(m, total, "a")
        b = self._register(m, factor, "b")
        product = Signal(signed(bits_for_range(low, high)), reset_less=True)
        with m.If(self.en):
            m.d.sync += product.eq(a * b)
        return product, low, high

    def _clamp(self, m: Module, raised: Value, shift: int) -> None:
        """From a value that half was added to: round ties to even, clamp, and give it.

        A tie has nothing left below the point; adding half made it odd or even, and even is wanted. The
        range is checked by bits: the sign, and whether any bit above the range differs from it.
        """
        minimum, maximum = dtype_range(self._dtype)
        width = max(len(raised), shift + maximum.bit_length() + 2)
        wide = Signal(signed(width))
        quotient = Signal(signed(width - shift))
        m.d.comb += [wide.eq(raised), quotient.eq(wide[shift:])]
        if shift:
            with m.If(~wide[:shift].any()):
                m.d.comb += quotient[0].eq(0)
        negative = quotient[-1]
        above = quotient[maximum.bit_length() : -1]
        too_low = negative & (~above.all() if minimum < 0 else 1)
        too_high = ~negative & above.any()
        with m.If(self.en):
            m.d.sync += self.o.eq(Mux(too_low, minimum, Mux(too_high, maximum, quotient)))

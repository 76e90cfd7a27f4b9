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
        self._scale = common_scale(multipliers, shifts)
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
        held = self._register(m, self.i, "held")
        total = Signal(signed(bits_for_range(self._low, self._high)), reset_less=True)
        bias = self._constant(m, "bias", self._biases, self.address)
        with m.If(self.en):
            m.d.sync += total.eq(held + bias)
        if not self._scale.factors:
            m.d.comb += self.o.eq(total)
            return m
        product, low, high = self._multiply(m, total)
        self._round(m, product, low, high)
        return m

    def _register(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(value.shape(), name=name, reset_less=True)
        with m.If(self.en):
            m.d.sync += register.eq(value)
        return register

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
        """``total * factor`` and its range; a mere shift takes no cycle, a multiplication two."""
        if self._scale.only_shifts:
            shift = self._scale.factors[0].bit_length() - 1
            return total << shift, self._low << shift, self._high << shift
        address = self._register(m, self.address, "address_1")
        factor = self._constant(m, "factor", list(self._scale.factors), address)
        largest = max(self._scale.factors)
        low, high = min(self._low * largest, 0), max(self._high * largest, 0)
        a = self._register(m, total, "a")
        b = self._register(m, factor, "b")
        product = Signal(signed(bits_for_range(low, high)), reset_less=True)
        with m.If(self.en):
            m.d.sync += product.eq(a * b)
        return product, low, high

    def _round(self, m: Module, product: Value, low: int, high: int) -> None:
        """Half to even: add one less than a half, and one more where the quotient is odd; then clamp."""
        shift = self._scale.shift
        # One bit to spare for the rounding, and never fewer than the result and its sign take.
        rounded = Signal(signed(max(bits_for_range(low, high) + 1, shift + 10)), reset_less=True)
        with m.If(self.en):
            if shift:
                m.d.sync += rounded.eq(product + ((1 << (shift - 1)) - 1) + product[shift : shift + 1].as_unsigned())
            else:
                m.d.sync += rounded.eq(product)
        self._clamp(m, rounded >> shift)

    def _clamp(self, m: Module, quotient: Value) -> None:
        """To the range of the result, by looking at bits: the sign, and whether any bit above the range differs."""
        minimum, maximum = dtype_range(self._dtype)
        negative = quotient[-1]
        above = quotient[maximum.bit_length() : -1]
        too_low = negative & (~above.all() if minimum < 0 else 1)
        too_high = ~negative & above.any()
        with m.If(self.en):
            m.d.sync += self.o.eq(Mux(too_low, minimum, Mux(too_high, maximum, quotient)))

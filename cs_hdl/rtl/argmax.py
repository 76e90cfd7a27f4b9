"""ArgMax: the index of a word's largest value."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.plan.select import argmax_latency, argmax_level_latency
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.streams import index_width, value_shape, values_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ArgMax"]

_MOST_VALUES = 65536


class ArgMax(wiring.Component):
    """The index of the largest of each word's ``values`` values, of equal ones the lowest, compared with their sign.

    A tree of comparators, a register behind each level, finds a beat's largest; another comparator keeps the
    largest of the beats so far. Where values have more than 16 bits, another register holds what was compared
    and who is larger: the carry chain and the fan-out of its last bit would be too long for one cycle.

    Parameters
    ----------
    values: of a word, 1..65536. lanes: values of a beat. dtype: of the values, as ``value_shape`` knows it.

    Members
    -------
    i: ``values_layout(dtype, lanes)``, ``ceil(values / lanes)`` beats a word; lanes beyond the last are ignored.
    o: ``values_layout(dtype, 1)``, one beat a word, uint8 up to 256 values, else uint16.

    Initiation interval ``interval`` cycles a word; ``latency`` cycles from its last beat to the result.
    ``i.ready`` follows ``o.ready`` in the same cycle.
    """

    def __init__(self, *, values: int, lanes: int, dtype: str) -> None:
        for name, number in (("values", values), ("lanes", lanes)):
            if not isinstance(number, int) or number < 1:
                raise TypeError(f"{name} must be a positive integer, not {number!r}")
        if values > _MOST_VALUES:
            raise TypeError(f"values must be at most {_MOST_VALUES}, so that an index fits 16 bits, not {values!r}")
        self._values, self._lanes, self._dtype = values, lanes, dtype
        self._beats = -(-values // lanes)
        # Lanes that no beat ever uses are not compared.
        self._used_lanes = min(lanes, values)
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, lanes))),
                "o": Out(stream.Signature(values_layout("uint8" if values <= 256 else "uint16", 1))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        return self._beats

    @property
    def latency(self) -> int:
        """Cycles from a word's last beat being taken to its result being valid, without stalls."""
        return argmax_latency(values=self._values, lanes=self._lanes, dtype=self._dtype)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]

        offset, last = self._place_in_word(m, self.i.valid & move)
        candidates = self._masked_lanes(m, last)
        valid: Value = self.i.valid
        # What goes along with the candidates; the first step is a register, since the mask comes before it.
        control: tuple[Value, ...] = (valid, last, offset)
        candidates, control = self._register(m, move, "0", candidates, control)
        for level in range(1, (self._used_lanes - 1).bit_length() + 1):
            wins = [second[0] > first[0] for first, second in itertools.pairwise(candidates)][::2]
            if argmax_level_latency(self._dtype) == 2:
                wins = self._held(m, move, wins, f"wins{level}")
                candidates, control = self._register(m, move, f"{level}_compared", candidates, control)
            # Of equal ones the first; an odd one out goes on as it is.
            pairs = itertools.zip_longest(candidates[::2], candidates[1::2], wins)
            candidates = [
                first if second is None else (Mux(larger, second[0], first[0]), Mux(larger, second[1], first[1]))
                for first, second, larger in pairs
            ]
            candidates, control = self._register(m, move, f"{level}", candidates, control)
        valid, last, offset = control

        (value, lane), best, index = candidates[0], Signal(value_shape(self._dtype)), Signal(index_width(self._values))
        running, done = Signal(), Signal()
        with m.If(move):
            m.d.sync += done.eq(valid & last)
            with m.If(valid):
                m.d.sync += running.eq(~last)
                # Strictly larger, so that the lower index stays.
                with m.If(~running | (value > best)):
                    m.d.sync += [best.eq(value), index.eq(offset + lane)]
        m.d.comb += [self.o.valid.eq(done), self.o.p.values[0].eq(index)]
        return m

    def _place_in_word(self, m: Module, step: Value) -> tuple[Value, Value]:
        """The index of the first value of the beat that comes in, and whether it is its word's last beat."""
        if self._beats == 1:
            return Const(0), Const(1)
        offset, last = Signal(index_width(self._values)), Signal()
        m.d.comb += last.eq(offset == (self._beats - 1) * self._lanes)
        with m.If(step):
            m.d.sync += offset.eq(Mux(last, 0, offset + self._lanes))
        return offset, last

    def _masked_lanes(self, m: Module, last: Value) -> list[tuple[Value, Value]]:
        """(value, lane) of each lane. Beyond the last value stands the smallest, which loses ties by its place."""
        smallest = Const(dtype_range(self._dtype)[0], value_shape(self._dtype))
        lanes_of_last = self._values - (self._beats - 1) * self._lanes
        candidates = []
        for lane in range(self._used_lanes):
            value = Signal(value_shape(self._dtype), name=f"lane{lane}")
            m.d.comb += value.eq(self.i.p.values[lane])
            if lane >= lanes_of_last:
                with m.If(last):
                    m.d.comb += value.eq(smallest)
            candidates.append((value, Const(lane, index_width(self._lanes))))
        return candidates

    def _register(
        self, m: Module, move: Value, name: str, candidates: list[tuple[Value, Value]], control: tuple[Value, ...]
    ) -> tuple[list[tuple[Value, Value]], tuple[Value, ...]]:
        values = self._held(m, move, [value for value, _ in candidates], f"value{name}")
        lanes = self._held(m, move, [lane for _, lane in candidates], f"lane{name}")
        kept_control = tuple(
            delayed(m, signal, 1, name=f"{kind}{name}", enable=move, reset_less=kind != "valid")[-1]
            for kind, signal in zip(("valid", "last", "offset"), control, strict=True)
        )
        return list(zip(values, lanes, strict=True)), kept_control

    @staticmethod
    def _held(m: Module, move: Value, values: Sequence[Value], name: str) -> list[Value]:
        return [
            delayed(m, value, 1, name=f"{name}_{number}", enable=move, reset_less=True)[-1]
            for number, value in enumerate(values)
        ]

"""ArgMax: the index of a word's largest value."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.rtl.streams import index_width, value_shape, values_layout

__all__ = ["ArgMax"]

_MOST_VALUES = 65536


class ArgMax(wiring.Component):
    """The index of the largest of each word's ``values`` values, of equal ones the lowest, compared with their sign.

    A tree of comparators, a register behind each level, finds a beat's largest; another comparator keeps the
    largest of the beats so far.

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
        return (self._used_lanes - 1).bit_length() + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]

        offset, last = self._place_in_word(m, self.i.valid & move)
        candidates = self._masked_lanes(m, last)
        valid: Value = self.i.valid
        # What goes along with the candidates; the first step is a register, since the mask comes before it.
        for level in range((self._used_lanes - 1).bit_length() + 1):
            if level:
                candidates = [_larger(*candidates[i : i + 2]) for i in range(0, len(candidates), 2)]
            candidates, (valid, last, offset) = self._register(m, move, level, candidates, (valid, last, offset))

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
        self, m: Module, move: Value, level: int, candidates: list[tuple[Value, Value]], control: tuple[Value, ...]
    ) -> tuple[list[tuple[Value, Value]], tuple[Value, ...]]:
        kept, kept_control = [], []
        with m.If(move):
            for number, (value, lane) in enumerate(candidates):
                kept_value = Signal(value_shape(self._dtype), name=f"value{level}_{number}", reset_less=True)
                kept_lane = Signal(index_width(self._lanes), name=f"lane{level}_{number}", reset_less=True)
                m.d.sync += [kept_value.eq(value), kept_lane.eq(lane)]
                kept.append((kept_value, kept_lane))
            for name, signal in zip(("valid", "last", "offset"), control, strict=True):
                kept_signal = Signal(len(signal), name=f"{name}{level}")
                m.d.sync += kept_signal.eq(signal)
                kept_control.append(kept_signal)
        return kept, tuple(kept_control)


def _larger(first: tuple[Value, Value], *second: tuple[Value, Value]) -> tuple[Value, Value]:
    """The larger of two candidates, the first on ties; or the only one."""
    if not second:
        return first
    wins = second[0][0] > first[0]
    return Mux(wins, second[0][0], first[0]), Mux(wins, second[0][1], first[1])

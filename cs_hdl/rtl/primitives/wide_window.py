"""A window over a raster that comes several columns at a time: faster than the raster, a window a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.delay_line import DelayLine
from cs_hdl.rtl.primitives.registers import delayed
from cs_hdl.rtl.primitives.window import window_layout
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from amaranth.hdl import Value

    from cs_hdl.plan.geometry import Geometry

__all__ = ["WideWindow"]


class WideWindow(wiring.Component):
    """Slides a kernel over words whose beats hold ``columns`` neighbouring positions of a row.

    A step takes a beat; its windows then leave one a cycle, while the registers shift by the kernel's stride. A row
    that completes no output row passes at a beat a cycle, so a word takes ``positions`` cycles and a few.

    Parameters
    ----------
    geometry: the kernel, without padding.
    columns: positions of a beat, as ``geometry.allows_columns``.
    channels: of a position; dtype: of a value.

    Members
    -------
    i: ``values_layout(dtype, columns * channels)``, position by position, raster order.
    o: ``window_layout``, one for each output position.

    Initiation interval: ``interval`` cycles a word. A window's last column is in the beat that was taken two
    cycles before the first window of that beat: what is decided moves many registers, a cycle later.
    """

    def __init__(self, *, geometry: Geometry, columns: int, channels: int, dtype: str) -> None:
        if not geometry.allows_columns(columns):
            raise ValueError(f"{columns} columns a beat: {geometry!r} allows {geometry.wide_columns()}")
        self._geometry, self._columns, self._channels, self._dtype = geometry, columns, channels, dtype
        self._beats = geometry.shape[1] // columns
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, columns * channels))),
                "o": Out(stream.Signature(window_layout(geometry, lanes=channels, dtype=dtype))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        return self._geometry.wide_cycles(self._columns)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kernel_width, stride = self._geometry.kernel[1], self._geometry.stride[1]
        move, step, shift = Signal(), Signal(), Signal()
        left = Signal(range(self._columns))  # windows of this beat behind the one that is given
        busy = Signal()  # there are some
        m.d.comb += [
            move.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(move & ~busy),
            step.eq(self.i.ready & self.i.valid),
            shift.eq(move & busy),
        ]
        row_start, gives = self._place(m, step)
        comes = Signal()  # a window, by what the cycle before decided
        with m.If(move):
            m.d.sync += [comes.eq(Mux(busy, 1, step & gives)), self.o.valid.eq(comes)]
        with m.If(shift):
            m.d.sync += [left.eq(left - 1), busy.eq(left != 1)]
        with m.If(step & gives):
            first = Mux(row_start, (self._columns - kernel_width) // stride, self._columns // stride - 1)
            m.d.sync += [left.eq(first), busy.eq(first != 0)]

        # Each row has flags and an enable of its own: one for all had the slowest wire of the whole engine.
        for row, slab in enumerate(self._rows(m, step)):
            m.submodules[f"part_{row}"] = part = Module()
            taps = self._hold(part, slab, move=move, step=step, shift=shift, row_start=row_start)
            for column, tap in enumerate(taps):
                m.d.comb += self.o.payload.taps[row * kernel_width + column].as_value().eq(tap)
        return m

    def _hold(
        self, m: Module, slab: Value, *, move: Value, step: Value, shift: Value, row_start: Value
    ) -> list[Signal]:
        """A row's registers, which take a beat or shift by the stride a cycle later; returns the kernel's columns."""
        (_, step), (_, shift), (_, row_start), (_, slab) = (
            delayed(m, value, 1, name=name, enable=move, reset_less=True)
            for name, value in (("step", step), ("shift", shift), ("row_start", row_start), ("slab", slab))
        )
        kernel_width, stride = self._geometry.kernel[1], self._geometry.stride[1]
        width = value_shape(self._dtype).width * self._channels
        kept = max(kernel_width - stride, 0)  # columns that the next beat's first window has in common with the last
        fresh = [slab[column * width : (column + 1) * width] for column in range(self._columns)]
        held = [Signal(width, name=f"held_{column}", reset_less=True) for column in range(kept + self._columns)]
        for column, register in enumerate(held):
            # Behind the last beat's last window comes the new beat; at the start of a row nothing is before it.
            after: Value = held[column + stride] if column + stride < len(held) else register
            on: Value = after if column < kept else fresh[column - kept]
            first: Value = fresh[column] if column < self._columns else on
            with m.If(move & step):
                m.d.sync += register.eq(Mux(row_start, first, on))
            with m.Elif(move & shift):
                m.d.sync += register.eq(after)
        return held[:kernel_width]

    def _place(self, m: Module, step: Value) -> tuple[Value, Value]:
        """Whether the beat is a row's first, and whether its row completes an output row."""
        geometry = self._geometry
        beat, y = Signal(range(max(self._beats, 2))), Signal(range(max(geometry.shape[0], 2)))
        row_start = Signal(init=1)
        with m.If(step):
            m.d.sync += [beat.eq(beat + 1), row_start.eq(beat == self._beats - 1)]
            with m.If(beat == self._beats - 1):
                m.d.sync += [beat.eq(0), y.eq(Mux(y == geometry.shape[0] - 1, 0, y + 1))]
        gives = Array(int(row in geometry.last_rows) for row in range(geometry.shape[0]))[y]
        return row_start, gives

    def _rows(self, m: Module, step: Value) -> list[Value]:
        """The beat that comes in, last, and what stood above it in the rows before."""
        rows: list[Value] = [self.i.payload.as_value()]
        above = self._geometry.kernel[0] - 1
        if above:
            bits = len(rows[0])
            lines = m.submodules.rows = DelayLine(shape=above * bits, length=self._beats)
            rows += [lines.o[row * bits : (row + 1) * bits] for row in range(above)]
            m.d.comb += [lines.en.eq(step), lines.i.eq(Cat(*rows[:-1]))]
        rows.reverse()
        return rows

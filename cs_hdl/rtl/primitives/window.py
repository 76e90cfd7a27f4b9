"""Line buffer and window: turns a raster of positions into the kernel's view of each output position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.rtl.primitives.delay_line import DelayLine
from cs_hdl.rtl.streams import value_shape, values_layout

if TYPE_CHECKING:
    from cs_hdl.plan.geometry import Geometry

__all__ = ["Window", "window_layout"]


def window_layout(geometry: Geometry, *, lanes: int, dtype: str) -> data.StructLayout:
    """``taps[row * kernel_width + column].values[lane]``: what the kernel sees of one beat's channels."""
    return data.StructLayout({"taps": data.ArrayLayout(values_layout(dtype, lanes), geometry.taps)})


class Window(wiring.Component):
    """Slides a kernel over words that follow each other without a gap.

    All values move through delay lines as one raster, rows and words end to end; what lies outside the
    input is replaced by ``padding_value`` when it is given out, so padding costs no cycles. Where no
    word follows, the last one is pushed out by empty steps.

    Parameters
    ----------
    geometry: the kernel; each padding must be smaller than the kernel on its side (ValueError).
    lanes, beats: values of a beat, and beats of a position.
    dtype: of the values; padding_value: what is seen outside the input.

    Members
    -------
    i: ``values_layout(dtype, lanes)``, ``beats`` a position, raster order.
    o: ``window_layout``, ``beats`` for each output position.

    Initiation interval: ``interval`` cycles a word (the number of input beats, more only where the
    padding is wider than the kernel minus one). ``latency`` cycles from taking a word's first beat to
    its first output with a driver that never waits.
    """

    def __init__(self, *, geometry: Geometry, lanes: int, beats: int, dtype: str, padding_value: int = 0) -> None:
        top, left = geometry.padding[:2]
        if top >= geometry.kernel[0] or left >= geometry.kernel[1]:
            raise ValueError(f"padding {geometry.padding!r} must be smaller than the kernel {geometry.kernel!r}")
        self._geometry, self._lanes, self._beats = geometry, lanes, beats
        self._dtype, self._padding_value = dtype, padding_value
        self._height, self._width = geometry.raster
        super().__init__(
            {
                "i": In(stream.Signature(values_layout(dtype, lanes))),
                "o": Out(stream.Signature(window_layout(geometry, lanes=lanes, dtype=dtype))),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles from one word to the next."""
        return self._height * self._width * self._beats

    @property
    def latency(self) -> int:
        """Cycles from a word's first beat to its first output."""
        return self._geometry.anchor_delay(self._beats) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, word_start = Signal(), Signal()  # all lines move on; the step takes a word's first beat
        words = Signal(range(self.latency // self.interval + 4))  # taken, and not given out whole
        self._take(m, step=step, word_start=word_start, words=words)
        taps, anchor_start = self._lines(m, step=step, word_start=word_start)
        finished = self._give(m, step=step, taps=taps, anchor_start=anchor_start)
        m.d.sync += words.eq(words + (step & word_start) - finished)
        return m

    def _take(self, m: Module, *, step: Signal, word_start: Signal, words: Value) -> None:
        """Decide on a step: a beat of the input, an empty place beyond it, or a push when none follows."""
        # Everything moves with the step, so it is made of as little as can be: flags that are registers.
        free, start = Signal(), Signal(init=1)
        y, x, _, last = self._raster(m, "in", step & (word_start | ~start))
        with m.If(step & (word_start | ~start)):
            m.d.sync += start.eq(last)
        real: Value = Const(1)
        if (self._height, self._width) != self._geometry.shape[:2]:
            real = (y < self._geometry.shape[0]) & (x < self._geometry.shape[1])
        m.d.comb += [
            free.eq(self.o.ready | ~self.o.valid),
            word_start.eq(start & self.i.valid),
            self.i.ready.eq(free & real),
            step.eq(free & (self.i.valid | ~real | (start & (words != 0)))),
        ]

    def _raster(self, m: Module, name: str, step: Value) -> tuple[Signal, Signal, Signal, Signal]:
        """Counters over height, width and beats, and whether they are at the last place."""
        y, x = (
            Signal(range(max(self._height, 2)), name=f"{name}_y"),
            Signal(range(max(self._width, 2)), name=f"{name}_x"),
        )
        beat, last = Signal(range(max(self._beats, 2)), name=f"{name}_beat"), Signal(name=f"{name}_last")
        beat_last, x_last, y_last = (Signal(name=f"{name}_{part}_last") for part in ("beat", "x", "y"))
        m.d.comb += [
            beat_last.eq(beat == self._beats - 1),
            x_last.eq(x == self._width - 1),
            y_last.eq(y == self._height - 1),
            last.eq(beat_last & x_last & y_last),
        ]
        with m.If(step):
            m.d.sync += beat.eq(Mux(beat_last, 0, beat + 1))
            with m.If(beat_last):
                m.d.sync += x.eq(Mux(x_last, 0, x + 1))
                with m.If(x_last):
                    m.d.sync += y.eq(Mux(y_last, 0, y + 1))
        return y, x, beat, last

    def _lines(self, m: Module, *, step: Value, word_start: Value) -> tuple[list[list[Signal]], Value]:
        """The delay lines: taps[row][column], and whether the anchor tap gets a word's first beat."""
        kernel_height, kernel_width = self._geometry.kernel
        top, left = self._geometry.padding[:2]
        width = value_shape(self._dtype).width * self._lanes
        rows: list[Value] = [self.i.payload.as_value()]
        flag: Value = word_start
        if kernel_height > 1:
            flags = kernel_height - 1 - top
            lines = m.submodules.rows = DelayLine(
                shape=(kernel_height - 1) * width + flags, length=self._width * self._beats
            )
            delayed = [lines.o[i * width : (i + 1) * width] for i in range(kernel_height - 1)]
            # A flag that was left from before a reset would start a word.
            flag_bits = [word_start, *(bit & lines.filled for bit in lines.o[(kernel_height - 1) * width :])]
            rows = [rows[0], *delayed]
            m.d.comb += [lines.en.eq(step), lines.i.eq(Cat(*rows[:-1], *flag_bits[:flags]))]
            flag = flag_bits[flags]
        rows.reverse()  # the newest row is the kernel's last
        taps = [
            [Signal(width, name=f"tap_{row}_{column}", reset_less=True) for column in range(kernel_width)]
            for row in range(kernel_height)
        ]
        sources: list[Value] = rows
        for column in reversed(range(kernel_width)):
            with m.If(step):
                for row in range(kernel_height):
                    m.d.sync += taps[row][column].eq(sources[row])
            if column == left:
                anchor_start = flag
            if column == 0:
                break
            if self._beats == 1:
                sources = [taps[row][column] for row in range(kernel_height)]
                held = Signal(name=f"flag_{column}")
                with m.If(step):
                    m.d.sync += held.eq(flag)
                flag = held
            else:
                line = m.submodules[f"column_{column}"] = DelayLine(shape=kernel_height * width + 1, length=self._beats)
                m.d.comb += [line.en.eq(step), line.i.eq(Cat(*sources, flag))]
                sources = [line.o[row * width : (row + 1) * width] for row in range(kernel_height)]
                flag = line.o[kernel_height * width] & line.filled
        return taps, anchor_start

    def _give(self, m: Module, *, step: Value, taps: list[list[Signal]], anchor_start: Value) -> Value:
        """Follow the anchor tap over the raster and give a window where the stride has an output.

        Returns whether the step ends a word.
        """
        geometry = self._geometry
        active, emit = Signal(), Signal()
        y, x, _, last = self._raster(m, "anchor", step & (active | anchor_start))
        # The counters are those of the beat that the step brings to the anchor.
        coming = Signal()
        m.d.comb += coming.eq(anchor_start | active)
        with m.If(step):
            m.d.sync += [active.eq(coming & ~last), emit.eq(coming & self._is_output(m, y, x))]
        with m.Elif(self.o.ready):
            m.d.sync += emit.eq(0)
        m.d.comb += self.o.valid.eq(emit)
        rows = [
            self._inside(m, step, y, offset=row - geometry.padding[0], axis=0, name=f"row_{row}")
            for row in range(geometry.kernel[0])
        ]
        columns = [
            self._inside(m, step, x, offset=column - geometry.padding[1], axis=1, name=f"column_{column}")
            for column in range(geometry.kernel[1])
        ]
        pad = sum((self._padding_value & 0xFF) << (8 * lane) for lane in range(self._lanes))
        for row, row_inside in enumerate(rows):
            for column, column_inside in enumerate(columns):
                checks = [check for check in (row_inside, column_inside) if check is not None]
                value: Value = taps[row][column]
                if checks:
                    value = Mux(Cat(*checks).all(), value, pad)
                m.d.comb += self.o.payload.taps[row * geometry.kernel[1] + column].as_value().eq(value)
        return step & coming & last

    def _is_output(self, m: Module, y: Value, x: Value) -> Value:
        """Whether the anchor at (y, x) belongs to an output position."""
        wanted = Signal()
        rows = [index * self._geometry.stride[0] for index in range(self._geometry.out[0])]
        columns = [index * self._geometry.stride[1] for index in range(self._geometry.out[1])]
        m.d.comb += wanted.eq(self._among(m, y, rows, "y") & self._among(m, x, columns, "x"))
        return wanted

    @staticmethod
    def _among(m: Module, value: Value, places: list[int], name: str) -> Signal:
        found = Signal(name=f"{name}_is_output")
        with m.Switch(value):
            with m.Case(*places):
                m.d.comb += found.eq(1)
        return found

    def _inside(self, m: Module, step: Value, value: Value, *, offset: int, axis: int, name: str) -> Signal | None:
        """Registered with the step: whether ``value + offset`` lies in the input; None where it always does."""
        geometry = self._geometry
        size, last = geometry.shape[axis], (geometry.out[axis] - 1) * geometry.stride[axis]
        if offset >= 0 and last + offset < size:
            return None
        inside = Signal(name=f"inside_{name}")
        with m.If(step):
            m.d.sync += inside.eq((value + offset >= 0) & (value + offset < size))
        return inside

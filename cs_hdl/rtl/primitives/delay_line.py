"""A delay of a fixed number of steps, as a register or as a circular memory."""

from __future__ import annotations

from amaranth.hdl import Module, Shape, ShapeLike, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["DelayLine"]


class DelayLine(wiring.Component):
    """Gives what came in ``length`` steps ago; a step is a cycle in which ``en`` is high.

    Before any step, ``o`` is ``i`` as it was ``length`` steps earlier; what it was before the first
    ``length`` steps is not defined. From two steps on it is a memory with a registered read, whose two
    ports never meet at one address.

    Memory has no reset: until ``filled`` rises, ``length`` steps after one, ``o`` means nothing (it may
    be left from before), so whoever steers by it must look at ``filled``.

    Members: ``i``, ``o`` of ``shape``; ``en``; ``filled``. Initiation interval 1, latency ``length`` steps.
    """

    def __init__(self, *, shape: ShapeLike, length: int) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, not {length!r}")
        self._shape, self._length = Shape.cast(shape), length
        super().__init__({"en": In(1), "i": In(shape), "o": Out(shape), "filled": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._length == 1:
            with m.If(self.en):
                m.d.sync += [self.o.eq(self.i), self.filled.eq(1)]
            return m
        memory = m.submodules.memory = Memory(
            shape=self._shape.width, depth=self._length, init=[], attrs={"no_rw_check": 1}
        )
        write, read = memory.write_port(), memory.read_port()
        here, after = Signal(range(self._length)), Signal(range(self._length))
        m.d.comb += after.eq(here + 1)
        with m.If(here == self._length - 1):
            m.d.comb += after.eq(0)
            with m.If(self.en):
                m.d.sync += self.filled.eq(1)
        with m.If(self.en):
            m.d.sync += here.eq(after)
        m.d.comb += [
            write.en.eq(self.en),
            write.addr.eq(here),
            write.data.eq(self.i),
            read.en.eq(self.en),
            read.addr.eq(after),
            self.o.eq(read.data),
        ]
        return m

"""A serial port: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

#: Fewer clocks a bit would sample too far from a bit's middle.
_LEAST_CLOCKS = 8


def _check_clocks(clocks_per_bit: int) -> None:
    if not isinstance(clocks_per_bit, int) or clocks_per_bit < _LEAST_CLOCKS:
        raise TypeError(f"clocks_per_bit must be an integer of at least {_LEAST_CLOCKS}, not {clocks_per_bit!r}")


class UartReceiver(wiring.Component):
    """Bytes from the line ``rx``, each given when its stop bit was seen in its middle.

    A byte without a stop bit is dropped, and the line must be high before the next one. A line
    cannot wait: a byte that is not taken before the next one is complete is kept, the next one is lost.

    Parameters
    ----------
    clocks_per_bit:
        Clock cycles of one bit, at least 8.

    Members
    -------
    rx:
        The line; need not be synchronous.
    o:
        Stream of bytes.
    """

    def __init__(self, *, clocks_per_bit: int) -> None:
        _check_clocks(clocks_per_bit)
        self._clocks = clocks_per_bit
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronise = FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self._clocks))
        bits = Signal(range(8))
        shift = Signal(8)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)

        with m.FSM():
            with m.State("IDLE"), m.If(~line):
                # To the middle of the start bit.
                m.d.sync += timer.eq(self._clocks // 2 - 1)
                m.next = "START"
            with m.State("START"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._clocks - 1), bits.eq(0)]
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "DATA"
            with m.State("DATA"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._clocks - 1), bits.eq(bits + 1), shift.eq(Cat(shift[1:], line))]
                with m.If(bits == 7):
                    m.next = "STOP"
            with m.State("STOP"), m.If(timer == 0):
                m.next = "BREAK"
                with m.If(line):
                    m.next = "IDLE"
                    with m.If(~self.o.valid | self.o.ready):
                        m.d.sync += [self.o.payload.eq(shift), self.o.valid.eq(1)]
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to the line ``tx``; initiation interval ten bits.

    Parameters
    ----------
    clocks_per_bit:
        Clock cycles of one bit, at least 8.

    Members
    -------
    i:
        Stream of bytes.
    tx:
        The line, from a register.
    """

    def __init__(self, *, clocks_per_bit: int) -> None:
        _check_clocks(clocks_per_bit)
        self._clocks = clocks_per_bit
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        timer = Signal(range(self._clocks))
        bits = Signal(range(11))  # still to be sent, the stop bit included
        shift = Signal(9, init=0x1FF)

        m.d.comb += self.i.ready.eq((bits == 0) & (timer == 0))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 0):
            m.d.sync += [
                Cat(self.tx, shift).eq(Cat(shift, 1)),
                bits.eq(bits - 1),
                timer.eq(self._clocks - 1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.i.payload, 1)),
                bits.eq(9),
                timer.eq(self._clocks - 1),
            ]
        return m

"""All of a board's top level but pins, clocks and resets: serial port, framing and the accelerator."""

from __future__ import annotations

import math
from typing import Any

from amaranth.hdl import ClockSignal, DomainRenamer, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from cs_hdl.board.byte_crossing import ByteCrossing
from cs_hdl.board.clock_meter import ClockMeter
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.largest_value import class_width
from cs_hdl.board.serial_core import SerialCore
from cs_hdl.board.uart import UartReceiver, UartTransmitter
from cs_hdl.host.protocol import FRAME_BYTES
from cs_hdl.rtl.primitives.queue import Queue

__all__ = ["BoardCore", "receive_depth"]

#: Bytes that wait for the core at least.
_LEAST_DEPTH = 16


def receive_depth(ports: DesignPorts, *, cycles_per_byte: float) -> int:
    """Bytes of the next request that may arrive while a word goes to the accelerator, and the least depth.

    ``cycles_per_byte`` are the accelerator's clock cycles in the ten bits of a byte. Its clock may be
    lowered to half of that after routing.
    """
    # Each byte is read from the payload's memory before the accelerator takes its time.
    cycles = ports.latency_cycles + 3 * ports.input.bytes_per_beat * ports.input.beats
    # The host sends no more than one request ahead.
    return _LEAST_DEPTH + min(math.ceil(2 * cycles / cycles_per_byte), ports.input.word_bytes + FRAME_BYTES)


class BoardCore(wiring.Component):
    """The module of ``design.v`` behind a serial port.

    The serial port runs in the domain ``serial`` (the board's oscillator), so that its baud rate
    is right whatever the accelerator's clock, domain ``sync``, is. No byte is lost between them.

    Parameters
    ----------
    ports:
        The accelerator's.
    clocks_per_bit:
        Of the domain ``serial``.
    oscillator_khz:
        Clock of the domain ``serial``.
    timeout:
        Silence that ends a frame, in cycles of the domain ``sync``.
    receive_depth:
        Bytes that wait while the core takes none, see :func:`receive_depth`.
    benchmark_cycles:
        About so many cycles of the domain ``sync`` a run of the benchmark takes.

    Members
    -------
    rx, tx:
        The serial lines.
    busy, error, largest:
        For LEDs, see :class:`cs_hdl.board.serial_core.SerialCore`.
    """

    def __init__(
        self,
        *,
        ports: DesignPorts,
        clocks_per_bit: int,
        oscillator_khz: int,
        timeout: int,
        receive_depth: int,
        benchmark_cycles: int = 1 << 24,
    ) -> None:
        self._receive_depth = receive_depth
        self._ports = ports
        self._clocks_per_bit = clocks_per_bit
        self._oscillator_khz = oscillator_khz
        self._timeout = timeout
        self._benchmark_words = max(1, benchmark_cycles // ports.cycles_per_word)
        largest = class_width(values=ports.output_values, dtype=ports.identity.output_dtype)
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "error": Out(1), "largest": Out(largest)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        serial = DomainRenamer("serial")
        receiver = UartReceiver(clocks_per_bit=self._clocks_per_bit)
        transmitter = UartTransmitter(clocks_per_bit=self._clocks_per_bit)
        m.submodules.receiver, m.submodules.transmitter = serial(receiver), serial(transmitter)
        m.submodules.arriving = arriving = ByteCrossing(source="serial", target="sync")
        m.submodules.leaving = leaving = ByteCrossing(source="sync", target="serial")
        m.submodules.received = received = Queue(layout=8, depth=self._receive_depth)
        m.submodules.core = core = SerialCore(
            ports=self._ports, timeout=self._timeout, benchmark_words=self._benchmark_words
        )
        m.submodules.meter = meter = ClockMeter(oscillator_khz=self._oscillator_khz)

        connect(m, receiver.o, arriving.i)
        connect(m, arriving.o, received.i)
        connect(m, received.o, core.i)
        connect(m, core.o, leaving.i)
        connect(m, leaving.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            self.busy.eq(core.busy),
            self.error.eq(core.error),
            self.largest.eq(core.largest),
            core.clock_khz.eq(meter.khz),
        ]
        m.submodules.accelerator = Instance(
            self._ports.top,
            i_aclk=ClockSignal(),
            i_aresetn=~ResetSignal(),
            i_s_axis_tdata=core.m_axis.tdata,
            i_s_axis_tvalid=core.m_axis.tvalid,
            o_s_axis_tready=core.m_axis.tready,
            i_s_axis_tlast=core.m_axis.tlast,
            o_m_axis_tdata=core.s_axis.tdata,
            o_m_axis_tvalid=core.s_axis.tvalid,
            i_m_axis_tready=core.s_axis.tready,
            o_m_axis_tlast=core.s_axis.tlast,
            o_m_axis_tuser=core.s_axis.tuser,
        )
        return m

"""The board that is simulated: all of a board's top level but the PLL and the pins, which stand around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from cs_hdl.board.board_core import BoardCore, receive_depth
from cs_hdl.board.design_ports import DesignPorts

__all__ = ["SimulatedBoard", "SimulatedTiming"]


@dataclass(frozen=True, kw_only=True)
class SimulatedTiming:
    """Of the simulated world: the fewest clocks that a bit may have, so that little time is spent on the lines.

    ``core_per_serial`` is the design's clock over the oscillator's (sim/board_link.cpp has it, too); the silence of
    ``quiet_bits`` ends a frame; ``oscillator_khz`` gives a millisecond that is not long to simulate.
    """

    clocks_per_bit: int = 8
    core_per_serial: float = 1.1
    quiet_bits: int = 150
    oscillator_khz: int = 300
    benchmark_cycles: int = 100_000


class SimulatedBoard(wiring.Component):
    """:class:`cs_hdl.board.board_core.BoardCore` with its two clocks, and a reset, as ports.

    Parameters
    ----------
    ports: the accelerator's. timing: of the simulated world.

    Members
    -------
    clk, serial_clk: the design's clock, and the oscillator's. rst: both domains', asynchronous.
    rx, tx: the serial lines. busy, error: the LEDs.
    """

    def __init__(self, ports: DesignPorts, *, timing: SimulatedTiming) -> None:
        core_per_bit = timing.clocks_per_bit * timing.core_per_serial
        self._core = BoardCore(
            ports=ports,
            clocks_per_bit=timing.clocks_per_bit,
            oscillator_khz=timing.oscillator_khz,
            timeout=round(timing.quiet_bits * core_per_bit),
            receive_depth=receive_depth(ports, cycles_per_byte=10 * core_per_bit),
            benchmark_cycles=timing.benchmark_cycles,
        )
        super().__init__(
            {
                "clk": In(1),
                "serial_clk": In(1),
                "rst": In(1),
                "rx": In(1),
                "tx": Out(1),
                "busy": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.serial = ClockDomain()
        m.submodules.core = core = self._core
        m.submodules.reset_sync = ResetSynchronizer(self.rst, domain="sync")
        m.submodules.reset_serial = ResetSynchronizer(self.rst, domain="serial")
        m.d.comb += [
            ClockSignal("sync").eq(self.clk),
            ClockSignal("serial").eq(self.serial_clk),
            core.rx.eq(self.rx),
            self.tx.eq(core.tx),
            self.busy.eq(core.busy),
            self.error.eq(core.error),
        ]
        return m

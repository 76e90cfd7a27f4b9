"""Measures the accelerator's clock against the board's oscillator."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

__all__ = ["ClockMeter"]


class ClockMeter(wiring.Component):
    """``khz``: cycles of the domain ``sync`` in each millisecond of the domain ``serial``.

    Parameters
    ----------
    oscillator_khz:
        The clock of the domain ``serial``.

    Members
    -------
    khz:
        In the domain ``sync``; 0 in the first two milliseconds, exact to one cycle then.
    """

    def __init__(self, *, oscillator_khz: int) -> None:
        self._oscillator_khz = oscillator_khz
        super().__init__({"khz": Out(32)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        timer = Signal(range(self._oscillator_khz))
        toggle, seen, before, started = Signal(), Signal(), Signal(), Signal()
        m.d.serial += timer.eq(timer + 1)
        with m.If(timer == self._oscillator_khz - 1):
            m.d.serial += [timer.eq(0), toggle.eq(~toggle)]
        m.submodules.synchronise = FFSynchronizer(toggle, seen)
        count = Signal(20)
        m.d.sync += [before.eq(seen), count.eq(count + 1)]
        with m.If(seen != before):
            # The first interval began before the reset was over.
            m.d.sync += [count.eq(1), started.eq(1)]
            with m.If(started):
                m.d.sync += self.khz.eq(count)
        return m

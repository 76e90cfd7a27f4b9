"""The top level on a board: oscillator, PLL, resets, pins, and :class:`BoardCore` in between."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from cs_hdl.board.board_core import BoardCore, receive_depth
from cs_hdl.board.catalogue import Board
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.pll import PllSettings
from cs_hdl.errors import ToolError

__all__ = ["BoardTop", "make_platform"]

#: Silence that ends a frame: longer than what a USB adapter leaves between two packets.
_TIMEOUT_SECONDS = 0.02


def make_platform(board: Board) -> Any:
    """The board's platform object of amaranth-boards, its serial port added where it has none of its own.

    Raises ToolError where amaranth-boards is missing or does not know the class.
    """
    module, _, name = board.platform.partition(":")
    if importlib.util.find_spec("amaranth_boards") is None:
        raise ToolError("amaranth-boards is missing; install it with: pip install 'cs-hdl[build]'")
    try:
        platform = getattr(importlib.import_module(module), name)()
    except (ModuleNotFoundError, AttributeError):
        raise ToolError(f"amaranth-boards has no {board.platform} ({board.name}); install a newer one") from None
    serial = board.serial
    if serial.resource is None:
        platform.add_resources(
            [
                Resource(
                    "uart",
                    0,
                    Subsignal("rx", Pins(serial.receive_pin, dir="i", conn=serial.connector)),
                    Subsignal("tx", Pins(serial.transmit_pin, dir="o", conn=serial.connector)),
                    Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"),
                )
            ]
        )
    return platform


class BoardTop(Elaboratable):
    """An elaboratable for ``platform.prepare``; the Verilog of the design is added by the build.

    Parameters
    ----------
    board:
        The board; its platform must be the one that elaborates this.
    ports:
        The accelerator's.
    pll:
        Settings for its clock. The frequency may be changed afterwards: nothing else depends on it but
        the time-out of a frame, and the FIFO that is deep enough down to half of it.
    """

    def __init__(self, *, board: Board, ports: DesignPorts, pll: PllSettings) -> None:
        self._board, self._ports, self._pll = board, ports, pll

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._clocks(m, platform)
        serial, clock_hz = self._board.serial, self._pll.output_mhz * 1e6
        m.submodules.core = core = BoardCore(
            ports=self._ports,
            clocks_per_bit=round(self._board.oscillator_mhz * 1e6 / serial.baud),
            oscillator_khz=round(self._board.oscillator_mhz * 1e3),
            timeout=round(clock_hz * _TIMEOUT_SECONDS),
            receive_depth=receive_depth(self._ports, cycles_per_byte=10 * clock_hz / serial.baud),
        )
        name = serial.resource or "uart"
        lines = platform.request(name, 0, dir={line.name: "-" for line in platform.lookup(name, 0).ios})
        m.submodules.rx = rx = io.Buffer("i", lines.rx)
        m.submodules.tx = tx = io.Buffer("o", lines.tx)
        m.d.comb += [core.rx.eq(rx.i), tx.o.eq(core.tx)]
        for index, light in enumerate((1, core.busy, core.error)):
            led = self._led(platform, index)
            if led is not None:
                m.submodules[f"led_{index}"] = buffer = io.Buffer("o", led)
                m.d.comb += buffer.o.eq(light)
        return m

    def _clocks(self, m: Module, platform: Any) -> None:
        """The domain ``serial`` is the oscillator, ``sync`` what the PLL makes of it."""
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request(self._board.clock_resource, dir="-"))
        m.domains.serial = ClockDomain()
        m.domains.sync = ClockDomain()
        clock, feedback, locked = Signal(), Signal(), Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            # The loop filter's values that Project Trellis' ecppll gives.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOS_ENABLE="ENABLED",
            **{f"p_{name}": value for name, value in self._pll.parameters().items()},
            i_CLKI=oscillator.i,
            i_CLKFB=feedback,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=0,
            i_PHASESTEP=0,
            i_PHASELOADREG=0,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            i_ENCLKOS=0,
            o_CLKOP=feedback,
            o_CLKOS=clock,
            o_LOCK=locked,
        )
        m.d.comb += [ClockSignal("serial").eq(oscillator.i), ClockSignal("sync").eq(clock)]
        m.submodules.reset_serial = ResetSynchronizer(~locked, domain="serial")
        m.submodules.reset_sync = ResetSynchronizer(~locked, domain="sync")

    def _led(self, platform: Any, index: int) -> Any:
        """The port of the LED for 0 configured, 1 busy, 2 error, or None."""
        if self._board.led is None:
            return None
        if self._board.led != "rgb_led":
            return platform.request(self._board.led, index, dir="-")
        if index == 0:
            self._rgb = platform.request("rgb_led", 0, dir={"r": "-", "g": "-", "b": "-"})
        return (self._rgb.g, self._rgb.b, self._rgb.r)[index]

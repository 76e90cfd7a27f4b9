"""The top level on a board: oscillator, PLL, resets, pins, and :class:`BoardCore` in between."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from amaranth.build import Attrs, Pins, Resource, ResourceError, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Module
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from cs_hdl.board.board_core import BoardCore, receive_depth
from cs_hdl.board.catalogue import Board
from cs_hdl.board.clocks import Pll, add_pll
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.errors import ToolError

__all__ = ["BoardTop", "has_leds", "make_platform"]

#: Silence that ends a frame: longer than what a USB adapter leaves between two packets.
_TIMEOUT_SECONDS = 0.02
#: Of serial pins that the platform does not know: 3.3 V, high where nothing is connected.
_PIN_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "ecp5": {"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"},
    "ice40": {"IO_STANDARD": "SB_LVCMOS", "PULLUP": 1},
    "gowin": {"IO_TYPE": "LVCMOS33", "PULL_MODE": "UP"},
}


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
                    Attrs(**_PIN_ATTRIBUTES[board.family]),
                )
            ]
        )
    return platform


def has_leds(platform: Any, board: Board, count: int) -> bool:
    """Whether ``board``, whose platform this is, has at least ``count`` single LEDs."""
    return board.led not in (None, "rgb_led") and all(
        (board.led, index) in platform.resources for index in range(count)
    )


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
        the time-out of a frame, and the queue that is deep enough down to half of it.
    """

    def __init__(self, *, board: Board, ports: DesignPorts, pll: Pll) -> None:
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
        lights = [Const(1), core.busy, core.error]
        if has_leds(platform, self._board, len(lights) + len(core.largest)):
            lights = [*lights, *core.largest]
        for index, light in enumerate(lights):
            led = self._led(platform, index)
            if led is not None:
                m.submodules[f"led_{index}"] = buffer = io.Buffer("o", led)
                m.d.comb += buffer.o.eq(light)
        return m

    def _clocks(self, m: Module, platform: Any) -> None:
        """The domain ``serial`` is the oscillator, ``sync`` what the PLL makes of it."""
        m.domains.serial = ClockDomain()
        m.domains.sync = ClockDomain()
        oscillator, clock, locked = add_pll(m, self._pll, board=self._board, platform=platform)
        m.d.comb += [ClockSignal("serial").eq(oscillator), ClockSignal("sync").eq(clock)]
        m.submodules.reset_serial = ResetSynchronizer(~locked, domain="serial")
        m.submodules.reset_sync = ResetSynchronizer(~locked, domain="sync")

    def _led(self, platform: Any, index: int) -> Any:
        """The port of the LED for 0 configured, 1 busy, 2 error, 3 and on the bits of the class, or None."""
        if self._board.led is None:
            return None
        if self._board.led != "rgb_led":
            try:
                return platform.request(self._board.led, index, dir="-")
            except ResourceError:  # a board with fewer of them
                return None
        if index == 0:
            self._rgb = platform.request("rgb_led", 0, dir={"r": "-", "g": "-", "b": "-"})
        return (self._rgb.g, self._rgb.b, self._rgb.r)[index]

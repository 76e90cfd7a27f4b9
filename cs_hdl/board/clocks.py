"""The clock of a design on a board: the oscillator, the family's PLL, and the settings of that."""

from __future__ import annotations

from typing import Any, Protocol

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import io

from cs_hdl.board.catalogue import Board
from cs_hdl.board.pll import PllSettings, pll_settings
from cs_hdl.board.pll_gowin import GowinPll, gowin_pll
from cs_hdl.board.pll_ice40 import Ice40Pll, ice40_pll

__all__ = ["Pll", "add_pll", "settings_for"]


class Pll(Protocol):
    """Settings of a PLL of any family."""

    @property
    def source(self) -> str:
        """``pll``, or ``oscillator`` where that is passed on as it is."""

    @property
    def output_mhz(self) -> float:
        """The design's clock."""

    def parameters(self) -> dict[str, int]:
        """The parameters of the cell that depend on the frequency."""


def settings_for(board: Board, wanted_mhz: float) -> Pll:
    """The settings with the highest clock of at most ``wanted_mhz`` on ``board``; InputError where none exists."""
    if board.family == "ice40":
        return ice40_pll(board.oscillator_mhz, wanted_mhz)
    if board.family == "gowin":
        return gowin_pll(board.oscillator_mhz, wanted_mhz)
    return pll_settings(board.oscillator_mhz, wanted_mhz)


def add_pll(m: Module, pll: Pll, *, board: Board, platform: Any) -> tuple[Any, Any, Any]:
    """Adds oscillator and PLL (none where it is bypassed) to ``m``: both clocks, and whether the second is steady."""
    port = platform.request(board.clock_resource, dir="-")
    if isinstance(pll, Ice40Pll) and not pll.bypass:
        return _ice40(m, pll, pad=board.pll_pad, port=port)
    m.submodules.oscillator = oscillator = io.Buffer("i", port)
    if isinstance(pll, Ice40Pll):
        return oscillator.i, oscillator.i, Const(1)
    if isinstance(pll, GowinPll):
        clock, locked = _gowin(m, pll, oscillator.i, family=platform.family)
    else:
        assert isinstance(pll, PllSettings)
        clock, locked = _ecp5(m, pll, oscillator.i)
    return oscillator.i, clock, locked


def _ecp5(m: Module, pll: PllSettings, oscillator: Any) -> tuple[Signal, Signal]:
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
        **{f"p_{name}": value for name, value in pll.parameters().items()},
        i_CLKI=oscillator,
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
    return clock, locked


def _ice40(m: Module, pll: Ice40Pll, *, pad: bool, port: Any) -> tuple[Signal, Signal, Signal]:
    """Where the oscillator's pin is the PLL's own pad, nothing but the PLL can read it: it gives both clocks."""
    source, clock, locked = Signal(), Signal(), Signal()
    widths = pll.widths()
    parameters = {f"p_{name}": Const(value, widths[name]) for name, value in pll.parameters().items()}
    common = {
        "p_FEEDBACK_PATH": "SIMPLE",
        **parameters,
        "i_RESETB": 1,
        "i_BYPASS": 0,
        "o_LOCK": locked,
    }
    if pad:
        m.submodules.pll = Instance(
            "SB_PLL40_2_PAD",
            p_PLLOUT_SELECT_PORTB="GENCLK",
            io_PACKAGEPIN=port.io,
            o_PLLOUTGLOBALA=source,
            o_PLLOUTGLOBALB=clock,
            **common,
        )
    else:
        m.submodules.oscillator = oscillator = io.Buffer("i", port)
        m.d.comb += source.eq(oscillator.i)
        m.submodules.pll = Instance(
            "SB_PLL40_CORE",
            p_PLLOUT_SELECT="GENCLK",
            i_REFERENCECLK=source,
            o_PLLOUTGLOBAL=clock,
            **common,
        )
    return source, clock, locked


def _gowin(m: Module, pll: GowinPll, oscillator: Any, *, family: str) -> tuple[Signal, Signal]:
    clock, locked = Signal(), Signal()
    m.submodules.pll = Instance(
        "rPLL",
        p_FCLKIN=f"{pll.input_mhz:g}",
        p_DEVICE=family,
        p_DYN_IDIV_SEL="false",
        p_DYN_FBDIV_SEL="false",
        p_DYN_ODIV_SEL="false",
        p_DYN_DA_EN="false",
        p_PSDA_SEL="0000",
        p_DUTYDA_SEL="1000",
        p_CLKFB_SEL="internal",
        p_CLKOUT_BYPASS="false",
        p_CLKOUTP_BYPASS="false",
        p_CLKOUTD_BYPASS="false",
        p_CLKOUTD_SRC="CLKOUT",
        p_CLKOUTD3_SRC="CLKOUT",
        p_DYN_SDIV_SEL=2,
        **{f"p_{name}": value for name, value in pll.parameters().items()},
        i_CLKIN=oscillator,
        i_CLKFB=0,
        i_RESET=0,
        i_RESET_P=0,
        i_FBDSEL=Const(0, 6),
        i_IDSEL=Const(0, 6),
        i_ODSEL=Const(0, 6),
        i_PSDA=Const(0, 4),
        i_DUTYDA=Const(0, 4),
        i_FDLY=Const(0, 4),
        o_CLKOUT=clock,
        o_LOCK=locked,
    )
    return clock, locked

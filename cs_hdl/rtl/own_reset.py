"""A component with reset registers of its own, so that no wire of the reset spans the chip."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

__all__ = ["RESET_DELAY", "OwnReset"]

#: Cycles by which all components leave reset later than the accelerator is told to.
RESET_DELAY = 3


class OwnReset(wiring.Component):
    """``component``, reset ``RESET_DELAY`` cycles after the domain ``whole`` is, with the members of ``component``.

    The registers of the delay let the reset travel to where the component lies; they are a module that synthesis
    keeps apart, or the equal ones of all components would become one. They begin at 1, so whoever looks at the
    component within ``RESET_DELAY`` cycles of power-up sees it in reset as well.
    """

    def __init__(self, component: Any) -> None:
        self._component = component
        super().__init__(dict(component.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = own = ClockDomain(local=True)
        m.submodules.part_0 = chain = Module()
        stages = [ResetSignal("whole")]
        for number in range(RESET_DELAY):
            stage = Signal(name=f"reset_{number}", init=1, reset_less=True)
            chain.d.whole += stage.eq(stages[-1])
            stages.append(stage)
        m.d.comb += [own.clk.eq(ClockSignal("whole")), own.rst.eq(stages[-1])]
        m.submodules.component = self._component
        for name in self._component.signature.members:
            inner, outer = getattr(self._component, name), getattr(self, name)
            if isinstance(outer, Signal):
                m.d.comb += outer.eq(inner)  # such members are outputs
            else:
                connect(m, flipped(outer), inner)
        return m

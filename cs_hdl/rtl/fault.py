"""What the input knows about each word and the output must say: was it as long as it should be?"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FaultQueue", "fault_reports"]


def fault_reports() -> wiring.Signature:
    """The link from ``AxiInput`` to ``AxiOutput``.

    ``finish`` is high for one cycle a word, when it is known whether the word is ``faulty``: at
    its last expected beat, or at an early ``tlast``. While ``full`` is high no word may begin; it comes three cycles
    behind the report that it is about.
    """
    return wiring.Signature({"finish": Out(1), "faulty": Out(1), "full": In(1)})


class FaultQueue(wiring.Component):
    """Keeps one bit for each word that has come in and whose result has not yet gone out.

    A report is seen at ``known`` and ``faulty`` two cycles after its ``finish``; one report a cycle. Input and output
    lie far apart: what goes from one to the other is a register, both ways.

    Parameters
    ----------
    words:
        Words that may be under way at once, at least 1; two more may begin before ``full`` is seen.

    Members
    -------
    reports:
        From the input, see :func:`fault_reports`.
    known:
        The oldest word's input is complete; ``faulty`` says whether it was wrong (0 until then).
    take:
        Strobe: the oldest word's result is complete. Only while ``known``.
    error_count:
        Faulty words since reset, modulo 65536.
    """

    def __init__(self, *, words: int) -> None:
        if not isinstance(words, int) or words < 1:
            raise TypeError(f"words must be a positive integer, not {words!r}")
        self._words = words
        super().__init__(
            {
                "reports": In(fault_reports()),
                "known": Out(1),
                "faulty": Out(1),
                "take": In(1),
                "error_count": Out(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # flags[0] is the newest word's, flags[level - 1] the oldest's.
        places = self._words + 2
        flags = Signal(places)
        level = Signal(range(places + 1))
        finish, faulty = Signal(), Signal()
        m.d.sync += [
            finish.eq(self.reports.finish),
            faulty.eq(self.reports.faulty),
            self.reports.full.eq(level >= self._words),
        ]
        m.d.comb += [
            self.known.eq(level != 0),
            self.faulty.eq((flags << 1).bit_select(level, 1) & self.known),
        ]
        with m.If(finish):
            m.d.sync += [
                flags.eq((flags << 1) | faulty),
                self.error_count.eq(self.error_count + faulty),
            ]
        with m.If(finish & ~self.take):
            m.d.sync += level.eq(level + 1)
        with m.Elif(~finish & self.take):
            m.d.sync += level.eq(level - 1)
        return m

"""The rules of a stream as a harness: for any component that makes groups of beats out of groups of beats.

One group is followed: *any* one, since a free signal says when to begin. Its input is an unknown constant, its
expected output a function of that constant written from the component's contract, so whatever holds for the group
holds for all, in any order of stalls and gaps. What is asserted:

- ``o.valid`` does not fall and ``o.payload`` does not change before the beat is taken (stable);
- each beat of the group's output is what it must be, in its place (nothing lost before it, doubled or swapped);
- no beat is given that no input was taken for (nothing invented);
- with a consumer that is ready and a producer that rests, all that is owed comes within ``drain`` cycles (nothing
  lost at the end), and a waiting input is taken within ``drain`` cycles of a ready consumer (it does not hang).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from prover import always, assumed, constant

__all__ = ["Contract", "StreamHarness", "exactly", "lasting", "outputs_of_followed", "unchanging"]

#: ``check(m, inputs, given, number, payload)``: assertions over output beat ``number`` of the followed group, to be
#: made while ``given`` is high.
Check = Callable[[Module, Sequence[Any], Value, Value, Any], None]
#: What a harness claims, see :class:`StreamHarness`.
Claims = Literal["all", "values", "control", "no end", "no rest"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a component does to a group of ``in_beats`` beats, which gives ``out_beats`` beats.

    ``assumed``: what inputs of the group keep to; ``most_owed``: output beats that may be owed at once, at most.
    ``bits``: bits of each value that are free, the others being 0 (for components that only move values, so what
    they do with one bit they do with all).
    """

    in_beats: int
    out_beats: int
    check: Check
    drain: int
    most_owed: int
    assumed: Callable[[Sequence[Any]], list[Value]] = lambda inputs: []
    bits: int = 8


def exactly(golden: Callable[[Sequence[Any]], Sequence[Value]]) -> Check:
    """The check that beat n of the output is ``golden(inputs)[n]``, bit by bit."""

    def check(m: Module, inputs: Sequence[Any], given: Value, number: Value, payload: Any) -> None:
        for index, value in enumerate(golden(inputs)):
            expected = Signal(len(Value.cast(payload)), name=f"expected_{index}")
            m.d.comb += expected.eq(value)
            with m.If(given & (number == index)):
                m.d.comb += always(Value.cast(payload) == expected)

    return check


def unchanging(m: Module, valid: Value, ready: Value, payload: Any, *, say: Callable[[Value], Any]) -> None:
    """``say`` (assumed or always) that a beat which is offered stays as it is until it is taken."""
    raw = Value.cast(payload)
    waited, last = Signal(), Signal(len(raw), reset_less=True)
    m.d.sync += [waited.eq(valid & ~ready), last.eq(raw)]
    m.d.comb += [say(~waited | valid), say(~waited | (raw == last))]


def outputs_of_followed(
    m: Module, *, start: Value, started: Value, owed: Value, given: Value, beats: int
) -> tuple[Signal, Signal]:
    """The number of the followed group's output beat, and whether it is given in this cycle.

    ``start``: the group begins in this cycle, ``owed`` output beats being owed before it; ``started``: it began.
    """
    ahead, before = Signal.like(owed), Signal.like(owed)
    number, mine = Signal(range(beats + 1)), Signal()
    here = start | started
    m.d.comb += [
        before.eq(Mux(start, owed, ahead)),
        mine.eq(here & (before == 0) & given & (number != beats)),
    ]
    m.d.sync += ahead.eq(Mux(here & given & (before != 0), before - 1, before))
    with m.If(mine):
        m.d.sync += number.eq(number + 1)
    return number, mine


def lasting(m: Module, condition: Value, cycles: int, name: str) -> Value:
    """Whether ``condition`` held in each of the last ``cycles`` cycles before this one."""
    count = Signal(range(cycles + 1), name=name)
    with m.If(~condition):
        m.d.sync += count.eq(0)
    with m.Elif(count != cycles):
        m.d.sync += count.eq(count + 1)
    return count == cycles


class StreamHarness(Elaboratable):
    """``dut`` (ports ``i`` and ``o``) between a producer and a consumer that do whatever the rules allow.

    ``claims`` says which of the rules are asserted: ``all``; ``values``, those over what a beat holds; ``control``, the
    others, which are decided far sooner, so that they can be looked at over more cycles. Or a wrong one in place of
    all, which is refuted where a bound is long enough for a proof to say anything: ``no end``, that no group comes to
    its end; ``no rest``, that ``drain`` cycles of rest never follow one (without them nothing is said to be lost).
    """

    def __init__(self, dut: Any, contract: Contract, *, claims: Claims = "all") -> None:
        self._dut, self._contract, self._claims = dut, contract, claims
        self._follow = Signal(name="follow")
        width = len(Value.cast(dut.i.payload))
        self._free = (
            Signal(width, name="free") if contract.bits == 8 else Signal(width // 8 * contract.bits, name="free")
        )

    @property
    def ports(self) -> list[Any]:
        """What is free in every cycle."""
        return [self._dut.i.valid, self._free, self._dut.o.ready, self._follow]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, contract = self._dut, self._contract
        m.submodules.dut = dut
        bits = contract.bits
        values = [self._free[first : first + bits] for first in range(0, len(self._free), bits)]
        payload = self._free if bits == 8 else Cat(Cat(value, Const(0, 8 - bits)) for value in values)
        m.d.comb += Value.cast(dut.i.payload).eq(payload)
        taken, given = Signal(), Signal()
        m.d.comb += [taken.eq(dut.i.valid & dut.i.ready), given.eq(dut.o.valid & dut.o.ready)]
        unchanging(m, dut.i.valid, dut.i.ready, dut.i.payload, say=assumed)
        if self._claims in ("all", "values"):
            unchanging(m, dut.o.valid, dut.o.ready, dut.o.payload, say=always)
        in_beat = Signal(range(max(2, contract.in_beats)))
        with m.If(taken):
            m.d.sync += in_beat.eq(Mux(in_beat == contract.in_beats - 1, 0, in_beat + 1))
        owed = Signal(range(contract.most_owed + contract.out_beats + 1))
        begun = Signal()
        m.d.comb += begun.eq(taken & (in_beat == 0))
        m.d.sync += owed.eq(owed + Mux(begun, contract.out_beats, 0) - given)
        m.d.comb += [self._claim((owed != 0) | begun | ~dut.o.valid), self._claim(owed <= contract.most_owed)]
        # A rest between two groups; in the middle of one, nothing can be demanded.
        rested = lasting(m, ~dut.i.valid & dut.o.ready & (in_beat == 0), contract.drain, "rests")
        hangs = lasting(m, dut.i.valid & ~taken & dut.o.ready, contract.drain, "hangs")
        m.d.comb += [self._claim(~rested | (owed == 0)), self._claim(~hangs)]
        self._followed(m, taken=taken, given=given, begun=begun, in_beat=in_beat, owed=owed, rested=rested)
        return m

    def _claim(self, condition: Any) -> Any:
        """The assertion of ``condition``, a rule of control."""
        return always(condition, up=1) if self._claims in ("all", "control") else assumed(Const(1))

    def _followed(
        self, m: Module, *, taken: Value, given: Value, begun: Value, in_beat: Value, owed: Value, rested: Value
    ) -> None:
        """The group that is followed: its input is an unknown constant, its output is looked at."""
        dut, contract = self._dut, self._contract
        inputs = [constant(m, dut.i.payload.shape(), f"input_{n}") for n in range(contract.in_beats)]
        for condition in contract.assumed(inputs):
            m.d.comb += assumed(condition)
        started, entering, start = Signal(), Signal(), Signal()
        m.d.comb += start.eq(begun & self._follow & ~started)
        with m.If(start):
            m.d.sync += [started.eq(1), entering.eq(contract.in_beats > 1)]
        with m.Elif(taken & (in_beat == contract.in_beats - 1)):
            m.d.sync += entering.eq(0)
        for number, beat in enumerate(inputs):
            same = Value.cast(dut.i.payload) == Value.cast(beat)
            m.d.comb += assumed(~(taken & (start | entering) & (in_beat == number)) | same)
        number, mine = outputs_of_followed(
            m, start=start, started=started, owed=owed, given=given, beats=contract.out_beats
        )
        match self._claims:
            case "all" | "values":
                contract.check(m, inputs, mine, number, dut.o.payload)
            case "no end":
                m.d.comb += always(number != contract.out_beats)
            case "no rest":
                m.d.comb += always(~(rested & (number == contract.out_beats)))
            case "control":
                pass

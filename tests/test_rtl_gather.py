"""Positions of several engines, back in raster order."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from stream_harness import run_stream

from cs_hdl.rtl.gather import Gather

LAYOUT = data.StructLayout({"value": 8})


class Scattered(wiring.Component):
    """Deals positions to the inputs of a Gather in turn, from one stream: the opposite of what it does."""

    def __init__(self, *, beats, inputs, groups, last):
        self.sizes = {"beats": beats, "inputs": inputs, "groups": groups, "last": last}
        super().__init__({"i": In(stream.Signature(LAYOUT)), "o": Out(stream.Signature(LAYOUT))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.gather = gather = Gather(layout=LAYOUT, **self.sizes)
        beats, inputs, groups, last = self.sizes.values()
        order = [n for group in range(groups) for n in range(last if group == groups - 1 else inputs)]
        count = Signal(range(len(order) * beats + 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(count == len(order) * beats - 1):
                m.d.sync += count.eq(0)
        with m.Switch(count):
            for beat in range(len(order) * beats):
                with m.Case(beat):
                    own = getattr(gather, f"i_{order[beat // beats]}")
                    m.d.comb += [own.valid.eq(self.i.valid), self.i.ready.eq(own.ready)]
        for index in range(inputs):
            m.d.comb += getattr(gather, f"i_{index}").payload.eq(self.i.payload)
        wiring.connect(m, gather.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("gap, stall", [(0, 0), (0.3, 0.4)])
@pytest.mark.parametrize(
    "beats, inputs, groups, last", [(1, 2, 1, 2), (1, 2, 2, 1), (3, 5, 2, 5), (2, 3, 3, 2), (4, 7, 1, 1), (1, 1, 4, 1)]
)
def test_order(beats, inputs, groups, last, gap, stall):
    row = ((groups - 1) * inputs + last) * beats
    rng = random.Random(row)
    values = [rng.randrange(256) for _ in range(3 * row)]
    dut = Scattered(beats=beats, inputs=inputs, groups=groups, last=last)
    result = run_stream(dut, [{"value": v} for v in values], len(values), gap=gap, stall=stall, seed=1)
    assert [beat["value"] for beat in result.outputs] == values
    if not stall:
        assert result.out_cycles == result.in_cycles


@pytest.mark.parametrize("last", [0, 4])
def test_a_last_group_that_does_not_fit_is_refused(last):
    with pytest.raises(ValueError, match=r"must have 1\.\.3 positions"):
        Gather(layout=LAYOUT, beats=1, inputs=3, groups=2, last=last)

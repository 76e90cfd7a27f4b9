"""Drives the AXI4-Stream border in Amaranth's simulator: beats in, beats out, with the cycle of each."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from cs_hdl.rtl.axi_input import AxiInput
from cs_hdl.rtl.axi_output import AxiOutput
from cs_hdl.rtl.axi_stream import axi_stream, bytes_per_value
from cs_hdl.rtl.primitives.register_slice import RegisterSlice
from cs_hdl.rtl.streams import value_shape


@dataclass
class Taken:
    """A beat that was taken; ``shown`` is the first cycle in which it was valid."""

    cycle: int
    shown: int
    data: int
    last: int
    user: int = 0


@dataclass
class Recording:
    """What a run saw."""

    sent: list[Taken] = field(default_factory=list)
    received: list[Taken] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)  # the cycles in which the input reported one
    errors: int = 0


class Loopback(wiring.Component):
    """AxiInput, a register as the shortest of stages has, AxiOutput; a reset of its own (the accelerator's aresetn)."""

    def __init__(self, **options):
        in_flight = options.pop("words_in_flight", 16)
        self.input = AxiInput(**options, before_slice=True)
        self.output = AxiOutput(**options, words_in_flight=in_flight)
        size = options["values_per_beat"] * bytes_per_value(options["dtype"])
        super().__init__(
            {
                "s_axis": In(axi_stream(size)),
                "m_axis": Out(axi_stream(size, user=True)),
                "error_count": Out(16),
                "restart": In(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        inner = Module()
        inner.submodules.input = self.input
        inner.submodules.output = self.output
        wiring.connect(inner, wiring.flipped(self.s_axis), self.input.s_axis)
        inner.submodules.stage = stage = RegisterSlice(self.input.o.payload.shape())
        wiring.connect(inner, self.input.o, stage.i)
        wiring.connect(inner, stage.o, self.output.i)
        wiring.connect(inner, self.input.reports, self.output.reports)
        wiring.connect(inner, self.output.m_axis, wiring.flipped(self.m_axis))
        inner.d.comb += [
            self.error_count.eq(self.output.error_count),
            self.fault.eq(self.input.reports.finish & self.input.reports.faulty),
        ]
        m = Module()
        m.submodules.inner = ResetInserter(self.restart)(inner)
        return m


def pack(values: list[int], dtype: str) -> int:
    """One beat of ``tdata``."""
    bits = 8 * bytes_per_value(dtype)
    return sum((value & ((1 << bits) - 1)) << (lane * bits) for lane, value in enumerate(values))


def unpack(beat: int, lanes: int, dtype: str) -> list[int]:
    """The values of one beat, read as the whole bytes of ``tdata`` say (so wrong sign bits show)."""
    bits = 8 * bytes_per_value(dtype)
    fields = [(beat >> (lane * bits)) & ((1 << bits) - 1) for lane in range(lanes)]
    if value_shape(dtype).signed:
        return [f - (1 << bits) if f >> (bits - 1) else f for f in fields]
    return fields


def run(dut, beats, *, expected: int, stall: float = 0.0, seed: int = 0, limit: int = 20000, idle: int = 40):
    """Send ``beats`` ((data, last) pairs), take ``expected`` beats, then wait: nothing may follow.

    Asserts the rules of the protocol (stable while stalled, valid not waiting for ready) on the way.
    """
    recording = Recording()
    choose = random.Random(seed)
    # The two sides look at each other only through the hardware.
    cycle_of = {"now": 0}

    async def clock(ctx):
        async for _, _, fault in ctx.tick().sample(dut.fault):
            cycle_of["now"] += 1
            if fault:
                recording.faults.append(cycle_of["now"])

    async def producer(ctx):
        for data, last in beats:
            while choose.random() < stall:
                ctx.set(dut.s_axis.tvalid, 0)
                ctx.set(dut.s_axis.tdata, choose.getrandbits(len(dut.s_axis.tdata)))
                await ctx.tick()
            ctx.set(dut.s_axis.tvalid, 1)
            ctx.set(dut.s_axis.tdata, data)
            ctx.set(dut.s_axis.tlast, last)
            shown = None
            for _ in range(limit):
                _, _, ready = await ctx.tick().sample(dut.s_axis.tready)
                shown = cycle_of["now"] if shown is None else shown
                if ready:
                    break
            else:
                raise AssertionError("s_axis.tready stays low")
            recording.sent.append(Taken(cycle_of["now"], shown, data, last))
        ctx.set(dut.s_axis.tvalid, 0)

    async def consumer(ctx):
        held, shown, quiet = None, 0, 0
        for _ in range(limit):
            ready = int(choose.random() >= stall)
            ctx.set(dut.m_axis.tready, ready)
            _, _, valid, *beat = await ctx.tick().sample(
                dut.m_axis.tvalid, dut.m_axis.tdata, dut.m_axis.tlast, dut.m_axis.tuser
            )
            if held is not None:
                assert valid and beat == held, "a beat changed or vanished while it was stalled"
            elif valid:
                shown = cycle_of["now"]
            held = beat if valid and not ready else None
            if valid and ready:
                recording.received.append(Taken(cycle_of["now"], shown, *map(int, beat)))
                assert len(recording.received) <= expected, "a beat too many"
            quiet = quiet + 1 if len(recording.received) == expected else 0
            if quiet == idle:
                recording.errors = ctx.get(dut.error_count)
                return
        raise AssertionError(f"{len(recording.received)} of {expected} beats after {limit} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_process(clock)
    simulator.add_testbench(producer)
    simulator.add_testbench(consumer)
    simulator.run()
    assert len(recording.sent) == len(beats)
    return recording


__all__ = ["Loopback", "Recording", "Taken", "pack", "run", "unpack"]

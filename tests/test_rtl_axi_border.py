# amaranth: UnusedElaboratable=no
"""AxiInput and AxiOutput back to back, and each alone, against a model of the stream boundary."""

import itertools
import random

import pytest
from amaranth.sim import Simulator
from axi_harness import Loopback, pack, run, unpack

from cs_hdl.fixedpoint import dtype_range
from cs_hdl.rtl.axi_input import AxiInput
from cs_hdl.rtl.axi_output import AxiOutput
from cs_hdl.rtl.fault import FaultQueue
from cs_hdl.rtl.primitives.register_slice import RegisterSlice

CASES = [  # values_per_beat, beats, dtype, values
    (1, 1, "uint8", 1),
    (1, 7, "uint8", 7),
    (2, 5, "int8", 9),
    (4, 3, "uint8", 10),
    (3, 4, "int24", 10),
    (1, 3, "int16", 3),
    (2, 1, "int32", 1),
    (1, 2, "uint16", 2),
]


def random_word(choose, *, lanes, dtype, length):
    """``length`` beats of values over all lanes, the last ones too: what lies there must not get through."""
    low, high = dtype_range(dtype)
    corners = (low, high, 0, -1 if low < 0 else 1)
    return [
        [choose.choice(corners) if choose.random() < 0.3 else choose.randint(low, high) for _ in range(lanes)]
        for _ in range(length)
    ]


def expected_word(word, *, beats, lanes, values):
    """The contract: zeros where the word is short, nothing beyond its length."""
    flat = list(itertools.chain.from_iterable(word[:beats]))
    flat += [0] * (beats * lanes - len(flat))
    return [value if i < values else 0 for i, value in enumerate(flat)]


def lengths(choose, beats, count):
    """Right, early and late words, in runs of the same kind too."""
    return [choose.choice((beats, beats, 1, max(1, beats - 1), beats + 1, beats + 5)) for _ in range(count)]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(("lanes", "beats", "dtype", "values"), CASES)
def test_words_of_any_length(lanes, beats, dtype, values, stall):
    choose = random.Random(1000 * lanes + beats)
    words = [
        random_word(choose, lanes=lanes, dtype=dtype, length=length) for length in [beats, *lengths(choose, beats, 25)]
    ]
    stream = [(pack(beat, dtype), int(beat is word[-1])) for word in words for beat in word]
    dut = Loopback(values_per_beat=lanes, beats=beats, dtype=dtype, values=values)
    seen = run(dut, stream, expected=beats * len(words), stall=stall, seed=beats)

    sent, faults = iter(seen.sent), iter(seen.faults)
    for number, word in enumerate(words):
        taken = [next(sent) for _ in word]
        got = seen.received[number * beats : (number + 1) * beats]
        flat = [v for beat in got for v in unpack(beat.data, lanes, dtype)]
        assert flat == expected_word(word, beats=beats, lanes=lanes, values=values)
        assert [beat.last for beat in got] == [0] * (beats - 1) + [1]
        if len(word) == beats:
            assert not any(beat.user for beat in got)
            continue
        # The fault is the early tlast, or the last expected beat that has none; it is reported later.
        fault = next(faults)
        assert fault > taken[min(len(word), beats) - 1].cycle
        assert [beat.user for beat in got] == [int(beat.shown >= fault + 3) for beat in got]
        assert got[-1].user == 1
    assert seen.errors == sum(len(word) != beats for word in words)


def test_latency_and_initiation_interval():
    stream = [(i, int(i % 4 == 3)) for i in range(40)]
    seen = run(Loopback(values_per_beat=1, beats=4, dtype="uint8"), stream, expected=40)
    # One cycle of AxiInput, one of the stage between, two of AxiOutput; then a beat a cycle.
    assert [r.cycle - s.cycle for s, r in zip(seen.sent, seen.received, strict=True)] == [4] * 40
    assert [b.cycle - a.cycle for a, b in itertools.pairwise(seen.received)] == [1] * 39


def test_one_word_in_flight_still_flows():
    stream = [(i % 256, int(i % 3 == 2)) for i in range(60)]
    dut = Loopback(values_per_beat=1, beats=3, dtype="uint8", words_in_flight=1)
    seen = run(dut, stream, expected=60, stall=0.3)
    assert [b.data for b in seen.received] == [data for data, _ in stream]
    assert seen.errors == 0


@pytest.mark.parametrize("when", range(3, 30))
def test_reset_at_any_time_brings_back_the_first_state(when):
    """Whatever was under way (a word, its completion, its excess, a stall): afterwards all is as at first."""
    dut = Loopback(values_per_beat=1, beats=5, dtype="uint8")
    before = [(9, 0), (9, 1), *[(8, 0)] * 9, (8, 1), *[(7, 0)] * 4, (7, 1)]
    after = [(value, int(value == 5)) for value in range(1, 6)]
    trace = {}

    async def offer(ctx, beats):
        for data, last in beats:
            ctx.set(dut.s_axis.tdata, data)
            ctx.set(dut.s_axis.tlast, last)
            ctx.set(dut.s_axis.tvalid, 1)
            await ctx.tick().until(dut.s_axis.tready)
        ctx.set(dut.s_axis.tvalid, 0)

    def record(restart_at):
        seen = []

        async def producer(ctx):
            if restart_at is not None:
                for cycle, (data, last) in zip(range(restart_at), itertools.cycle(before), strict=False):
                    ctx.set(dut.m_axis.tready, int(cycle % 3 != 0))
                    ctx.set(dut.s_axis.tdata, data)
                    ctx.set(dut.s_axis.tlast, last)
                    ctx.set(dut.s_axis.tvalid, 1)
                    await ctx.tick()
                ctx.set(dut.s_axis.tvalid, 0)
                ctx.set(dut.restart, 1)
                await ctx.tick()
                ctx.set(dut.restart, 0)
            ctx.set(dut.m_axis.tready, 1)
            await offer(ctx, after)
            for _ in range(30):
                await ctx.tick()

        async def monitor(ctx):
            if restart_at is not None:
                await ctx.tick().repeat(restart_at + 1)
            async for _, _, valid, ready, data, last, user, errors in ctx.tick().sample(
                dut.m_axis.tvalid, dut.s_axis.tready, dut.m_axis.tdata, dut.m_axis.tlast, dut.m_axis.tuser,
                dut.error_count,
            ):  # fmt: skip
                seen.append((valid, ready, errors, (data, last, user) if valid else None))

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(producer)
        simulator.add_testbench(monitor, background=True)
        simulator.run()
        return seen

    trace["fresh"], trace["restarted"] = record(None), record(when)
    assert trace["restarted"] == trace["fresh"]
    assert [entry[3] for entry in trace["fresh"] if entry[0]] == [(v, int(v == 5), 0) for v in range(1, 6)]


def test_the_last_beat_waits_for_the_rest_of_the_input():
    """A result that is ready before its input is complete is not called good before that is known."""
    dut = AxiOutput(values_per_beat=1, beats=2, dtype="uint8")

    async def bench(ctx):
        ctx.set(dut.m_axis.tready, 1)
        await ctx.tick()
        for faulty in (1, 0):
            seen = []
            for value in (3, 4):
                ctx.set(dut.i.payload.values[0], value)
                ctx.set(dut.i.valid, 1)
                assert ctx.get(dut.i.ready), "the components before it must not be held up"
                _, _, valid, data = await ctx.tick().sample(dut.m_axis.tvalid, dut.m_axis.tdata)
            ctx.set(dut.i.valid, 0)
            for cycle in range(12):
                ctx.set(dut.reports.finish, cycle == 6)
                ctx.set(dut.reports.faulty, faulty and cycle == 6)
                _, _, valid, data, last, user = await ctx.tick().sample(
                    dut.m_axis.tvalid, dut.m_axis.tdata, dut.m_axis.tlast, dut.m_axis.tuser
                )
                if valid:
                    seen.append((cycle, data, last, user))
            assert seen == [(0, 3, 0, 0), (9, 4, 1, faulty)]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_no_word_begins_while_too_many_are_under_way():
    dut = AxiInput(values_per_beat=1, beats=2, dtype="uint8")

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.s_axis.tvalid, 1)
        taken = []
        for cycle in range(20):
            ctx.set(dut.reports.full, cycle < 10)
            ctx.set(dut.s_axis.tlast, 1)
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            taken += [cycle] if valid else []
        assert taken[0] == 10

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_count_of_errors_wraps():
    dut = FaultQueue(words=2)

    async def bench(ctx):
        ctx.set(dut.reports.finish, 1)
        ctx.set(dut.reports.faulty, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.take, 1)
        await ctx.tick().repeat(65536)
        assert ctx.get(dut.error_count) == 1
        assert ctx.get(dut.known) and not ctx.get(dut.reports.full)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("words", [1, 2, 5])
def test_every_report_that_may_come_finds_room(words):
    """Words of one beat, one a cycle, by a producer that stops in the cycle in which it sees ``full``."""
    dut = FaultQueue(words=words)

    async def bench(ctx):
        begun = 0
        for _ in range(words + 9):
            begins = not ctx.get(dut.reports.full)
            ctx.set(dut.reports.finish, begins)
            ctx.set(dut.reports.faulty, begins and begun % 2)
            begun += begins
            await ctx.tick()
        assert words <= begun <= words + 2
        assert ctx.get(dut.reports.full)
        for number in range(begun):
            assert ctx.get(dut.known) and ctx.get(dut.faulty) == number % 2
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
        assert not ctx.get(dut.known)
        await ctx.tick()
        assert not ctx.get(dut.reports.full)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_slice_is_not_ready_in_its_first_cycle():
    dut = RegisterSlice(8)

    async def bench(ctx):
        assert ctx.get(dut.i.ready) == 0
        await ctx.tick()
        assert ctx.get(dut.i.ready) == 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("component", [AxiInput, AxiOutput])
def test_wrong_arguments(component):
    with pytest.raises(TypeError, match=r"values_per_beat must be a positive integer, not 0"):
        component(values_per_beat=0, beats=1, dtype="uint8")
    with pytest.raises(TypeError, match=r"beats must be a positive integer, not 1\.5"):
        component(values_per_beat=1, beats=1.5, dtype="uint8")
    with pytest.raises(ValueError, match=r"9 values do not take 2 beats of 4"):
        component(values_per_beat=4, beats=2, dtype="uint8", values=9)
    with pytest.raises(ValueError, match=r"4 values do not take 2 beats of 4"):
        component(values_per_beat=4, beats=2, dtype="uint8", values=4)


def test_wrong_depths():
    with pytest.raises(TypeError, match="words_in_flight must be a positive integer, not 0"):
        AxiOutput(values_per_beat=1, beats=1, dtype="uint8", words_in_flight=0)
    with pytest.raises(TypeError, match="words must be a positive integer, not -1"):
        FaultQueue(words=-1)

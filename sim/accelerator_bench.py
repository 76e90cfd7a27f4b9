"""cocotb tests of an emitted accelerator: it is known by its Verilog and its manifest only.

``full_rate`` lets harness.v feed and record (fast, and the cycles are exact); ``back_pressure``
drives the ports by cocotbext-axi, an independent AXI4-Stream library, with random pauses;
``wrong_lengths`` does the same with words whose tlast comes early or late. In all of them
harness.v counts the breaches of AXI4-Stream's rules.
"""

from __future__ import annotations

import dataclasses
import logging
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from job import Job, compare, load_job, load_wrong_lengths, save_result

_PERIOD_NS = 10
_RESET_CYCLES = 8
#: Resets amid words before the words that count, each in another phase: as many as these cycles hold, within bounds.
_INTERRUPTED_CYCLES, _INTERRUPTIONS = 8000, (16, 64)
#: One run of pauses or transfers in so many is long enough to fill, or to drain, all that stands between the ports.
_LONG_RUNS = 24


async def _reset(dut, job: Job, *, external: bool) -> int:
    """First state, inputs quiet; gives back the breaches of the stream's rules that were counted until then."""
    dut.aresetn.value = 0
    dut.external.value = int(external)
    dut.words.value = job.sent.shape[0]
    dut.beats_per_word.value = job.sent.shape[1]
    dut.patience.value = job.patience
    dut.beats_at_most.value = job.expected.shape[0] * job.expected.shape[1] + 64
    for signal in (dut.s_axis_tdata, dut.s_axis_tvalid, dut.s_axis_tlast, dut.m_axis_tready):
        signal.value = 0
    cocotb.start_soon(Clock(dut.aclk, _PERIOD_NS, unit="ns").start())
    await ClockCycles(dut.aclk, 1)
    broken = _number(dut.broken.value)
    await ClockCycles(dut.aclk, _RESET_CYCLES - 1)
    dut.aresetn.value = 1
    return broken


@cocotb.test()
async def full_rate(dut) -> None:
    """Words back to back into a sink that is always ready: values, tlast, tuser, and the cycles."""
    job = load_job()
    with open("input.hex", "w") as file:
        file.writelines(f"{bytes(beat[::-1]).hex()}\n" for word in job.sent for beat in word)
    broken = await _reset(dut, job, external=False)
    await RisingEdge(dut.finished)
    result, received = _read_events(job)
    result |= compare(job, received)
    result["faults"] += _breaches(dut, broken)
    result["error_count"] = _number(dut.errors.value)
    np.save(job.folder / "received.npy", received, allow_pickle=False)
    save_result(job, "full_rate", result)
    _judge(result)


def _read_events(job: Job) -> tuple[dict, np.ndarray]:
    """What harness.v recorded: ``{"faults", "first_taken", "last_given"}`` and the beats, zeros where none came."""
    words, beats, width = job.expected.shape
    received = np.zeros_like(job.expected)
    taken, last_given, faults = [], [], []
    beat = 0
    with open("events.txt") as file:
        for line in file:
            kind, cycle, *rest = line.split()
            if kind == "i":
                taken.append(int(cycle))
                continue
            word, index = divmod(beat, beats)
            last, user, data = rest
            beat += 1
            if word >= words:
                faults.append(f"a beat after the last result, in cycle {cycle}")
                break
            if last != str(int(index == beats - 1)):
                faults.append(f"word {word}, beat {index}: tlast is {last}")
            if user != "0":
                faults.append(f"word {word}, beat {index}: tuser is {user}")
            try:
                received[word, index] = list(bytes.fromhex(data.zfill(2 * width)))[::-1]
            except ValueError:
                faults.append(f"word {word}, beat {index}: tdata is {data}")
            if index == beats - 1:
                last_given.append(int(cycle))
    if beat < words * beats:
        faults.append(f"only {beat} of {words * beats} beats came; nothing moved for {job.patience} cycles")
    return {"faults": faults, "first_taken": taken, "last_given": last_given}, received


@cocotb.test()
async def back_pressure(dut) -> None:
    """The same words with random pauses on both sides, by a driver that is not ours, after a reset amid words."""
    job = load_job()
    generator = random.Random(job.seed)
    broken = await _reset(dut, job, external=True)
    source, sink = _endpoints(dut, job, generator)
    beats = job.sent.reshape(-1, job.sent.shape[2])
    lengths = np.full(len(job.sent), job.sent.shape[1])
    await _interrupt(dut, job, beats, lengths, source=source, sink=sink, generator=generator)
    for word in job.sent:
        source.send_nowait(AxiStreamFrame(word.tobytes()))
    unoffered = await _fill_first(dut, job, source, sink, generator)
    received, faults, marks = await _receive(sink, job)
    faults += [f"word {number}: tuser is {mark.tolist()}" for number, mark in enumerate(marks) if mark.any()]
    faults += unoffered + await _quiet(dut, sink, job, complete=len(marks) == len(received)) + _breaches(dut, broken)
    result = {"faults": faults, "error_count": _number(dut.errors.value)} | compare(job, received)
    save_result(job, "back_pressure", result)
    _judge(result)


@cocotb.test()
async def wrong_lengths(dut) -> None:
    """Words that are too short or too long among right ones: repaired, marked, counted, and no other is touched."""
    job = load_job()
    beats, lengths, expected = load_wrong_lengths(job)
    job = dataclasses.replace(job, expected=expected)
    wrong = lengths != job.sent.shape[1]
    broken = await _reset(dut, job, external=True)
    generator = random.Random(job.seed + 1)
    source, sink = _endpoints(dut, job, generator)
    await _interrupt(dut, job, beats, lengths, source=source, sink=sink, generator=generator)
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        source.send_nowait(AxiStreamFrame(beats[end - length : end].tobytes()))
    unoffered = await _fill_first(dut, job, source, sink, generator)
    received, faults, marks = await _receive(sink, job)
    for number, mark in enumerate(marks):
        # From the first beat after the fault to the last one.
        rises = (np.diff(mark) >= 0).all() and mark[-1] == 1
        if not (rises if wrong[number] else not mark.any()):
            faults.append(f"word {number} of {lengths[number]} beats: tuser is {mark.tolist()}")
    faults += unoffered + await _quiet(dut, sink, job, complete=len(marks) == len(received)) + _breaches(dut, broken)
    # What is reported is the difference, so that 0 is right here, too.
    surplus = _number(dut.errors.value) - int(wrong.sum())
    result = {"faults": faults, "error_count": surplus} | compare(job, received)
    save_result(job, "wrong_lengths", result)
    _judge(result)


def _endpoints(dut, job: Job, generator: random.Random) -> tuple[AxiStreamSource, AxiStreamSink]:
    """Source and sink of cocotbext-axi, both with random pauses."""
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
    lanes = {"reset_active_level": False}
    source = AxiStreamSource(
        AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, byte_lanes=job.sent.shape[2], **lanes
    )
    sink = AxiStreamSink(
        AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, byte_lanes=job.expected.shape[2], **lanes
    )
    for endpoint in (source, sink):
        endpoint.log.setLevel(logging.WARNING)
        endpoint.set_pause_generator(_pauses(generator, 2 * job.manifest["latency_cycles"]))
    return source, sink


async def _fill_first(dut, job: Job, source: AxiStreamSource, sink: AxiStreamSink, generator) -> list[str]:
    """A sink that waits until all between the ports is full, with a source that does not; then both at random.

    Gives back what is wrong: by then a result must be offered, for tvalid may not wait for tready (AXI4-Stream, 2.2.1).
    """
    source.clear_pause_generator()
    sink.clear_pause_generator()
    source.pause, sink.pause = False, True
    await _first_beat(dut, job)
    await ClockCycles(dut.aclk, job.patience)
    faults = [] if dut.m_axis_tvalid.value == 1 else ["no result is offered to a sink that waits"]
    long = 2 * job.manifest["latency_cycles"]
    for endpoint in (source, sink):
        endpoint.set_pause_generator(_pauses(generator, long))
    return faults


async def _first_beat(dut, job: Job) -> None:
    """Until a beat is taken: what is cleared after a reset is cleared by then."""
    for _ in range(job.patience):
        await RisingEdge(dut.aclk)
        if dut.s_axis_tvalid.value == 1 and dut.s_axis_tready.value == 1:
            break


async def _receive(sink: AxiStreamSink, job: Job) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    """The results that came (zeros for the others), what was wrong with them, and the tuser of each one's beats."""
    received, faults, marks = np.zeros_like(job.expected), [], []
    for number, expected in enumerate(job.expected):
        try:
            # Pauses on both sides take about three quarters of the cycles.
            frame = await with_timeout(sink.recv(compact=False), 8 * job.patience * _PERIOD_NS, "ns")
        except cocotb.triggers.SimTimeoutError:
            faults.append(f"word {number}: no result within {8 * job.patience} cycles")
            break
        if len(frame.tdata) != expected.size:
            faults.append(f"word {number}: a result of {len(frame.tdata)} bytes, not {expected.size}")
            break
        received[number] = np.frombuffer(bytes(frame.tdata), dtype=np.uint8).reshape(expected.shape)
        marks.append(np.array(frame.tuser, dtype=int).reshape(expected.shape)[:, 0])
    return received, faults, marks


async def _quiet(dut, sink: AxiStreamSink, job: Job, *, complete: bool) -> list[str]:
    """Nothing may follow the last result."""
    sink.clear_pause_generator()
    sink.pause = False
    await ClockCycles(dut.aclk, job.patience)
    return ["beats after the last result"] if complete and (sink.count() or not sink.idle()) else []


def _breaches(dut, before: int) -> list[str]:
    count = _number(dut.broken.value) - before
    return [f"m_axis broke a rule of AXI4-Stream in {count} cycles"] if count else []


async def _interrupt(dut, job: Job, beats: np.ndarray, lengths: np.ndarray, *, source, sink, generator) -> None:
    """Resets of a single cycle amid words that are under way: nothing of them may be left."""
    longest = 2 * job.manifest["latency_cycles"]
    fewest, most = _INTERRUPTIONS
    for _ in range(min(most, max(fewest, _INTERRUPTED_CYCLES // longest))):
        for end, length in zip(np.cumsum(lengths), lengths, strict=True):
            source.send_nowait(AxiStreamFrame(beats[end - length : end].tobytes()))
        # What was cleared before the first beat can be taken is the same each time.
        await _first_beat(dut, job)
        await ClockCycles(dut.aclk, 1 + generator.randrange(longest))
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 1)
        source.clear()
        sink.clear()
        dut.aresetn.value = 1


def _pauses(generator: random.Random, long: int):
    """Runs of pauses and of transfers of random lengths: single gaps, bursts, and now and then ``long`` cycles."""
    while True:
        for pause in (False, True):
            length = generator.choice((1, 1, 1, 2, 3, 7, 20)) if generator.randrange(_LONG_RUNS) else long
            for _ in range(length):
                yield pause


def _number(value) -> int:
    return int(value) if value.is_resolvable else -1


def _judge(result: dict) -> None:
    assert not result["faults"], "; ".join(result["faults"][:5])
    assert result["mismatches"] == 0, f"{result['mismatches']} mismatches, the first: {result['first']}"
    assert result["error_count"] == 0, f"error_count is {result['error_count']}"

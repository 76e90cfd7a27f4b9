# amaranth: UnusedElaboratable=no
"""Frames in, frames out: SerialCore around a loopback, with damaged frames, silence and back-pressure."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from axi_harness import Loopback

from cs_hdl.board.board_core import receive_depth
from cs_hdl.board.design_ports import DesignPorts
from cs_hdl.board.frame_receiver import FrameReceiver
from cs_hdl.board.serial_core import SerialCore
from cs_hdl.errors import InputError
from cs_hdl.host import (
    BenchmarkFigures,
    ErrorCode,
    Frame,
    FrameDecoder,
    FrameType,
    Identity,
    checksum,
    encode_frame,
    pack_values,
    stored_values,
)
from cs_hdl.rtl.axi_stream import axi_stream

TIMEOUT = 60
#: Words of a run of the benchmark: not a multiple of the words that are stored.
RUN = 37


def manifest(shape, values_per_beat, dtype="uint8"):
    count = shape[0] * shape[1] * shape[2]
    port = {"shape": shape, "dtype": dtype, "values_per_beat": values_per_beat, "beats": -(-count // values_per_beat)}
    return {
        "top": "t",
        "input": port,
        "output": port,
        "sources": {"design.v": "0123456789abcdef" * 4},
        "latency_cycles": 100,
        "cycles_per_word": 20,
    }


class Board(wiring.Component):
    def __init__(self, ports, accelerator):
        self.core, self.accelerator = SerialCore(ports=ports, timeout=TIMEOUT, benchmark_words=RUN), accelerator
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core, m.submodules.accelerator = self.core, self.accelerator
        wiring.connect(m, self.core.m_axis, self.accelerator.s_axis)
        wiring.connect(m, self.accelerator.m_axis, self.core.s_axis)
        wiring.connect(m, wiring.flipped(self.i), self.core.i)
        wiring.connect(m, self.core.o, wiring.flipped(self.o))
        m.d.comb += self.core.clock_khz.eq(123456)
        return m


def converse(chunks, *, shape=(1, 5, 3), lanes=2, stall=0.0, quiet=3 * TIMEOUT, ports=None, accelerator=None):
    """Send the byte strings with silence between to a board with ``accelerator``, or else one that gives a word back.

    Gives the frames that came back.
    """
    if accelerator is None:
        ports = DesignPorts.from_manifest(manifest(list(shape), lanes))
        values = shape[0] * shape[1] * shape[2]
        accelerator = Loopback(values_per_beat=lanes, beats=ports.input.beats, dtype="uint8", values=values)
    board = Board(ports, accelerator)
    choose = random.Random(3)
    answer = bytearray()

    async def send(ctx):
        for chunk in chunks:
            for byte in chunk:
                while choose.random() < stall:
                    await ctx.tick()
                ctx.set(board.i.payload, byte)
                ctx.set(board.i.valid, 1)
                await ctx.tick().until(board.i.ready)
                ctx.set(board.i.valid, 0)
            await ctx.tick().repeat(quiet)
        await ctx.tick().repeat(1500)

    async def receive(ctx):
        while True:
            ctx.set(board.o.ready, choose.random() >= stall)
            _, _, valid, ready, byte = await ctx.tick().sample(board.o.valid, board.o.ready, board.o.payload)
            if valid and ready:
                answer.append(byte)

    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    decoder = FrameDecoder()
    frames = list(decoder.feed(bytes(answer)))
    # Nothing but whole frames may have come.
    assert sum(len(encode_frame(f.type, f.payload, tag=f.tag)) for f in frames) == len(answer)
    return frames


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("shape", "lanes"), [((1, 5, 3), 2), ((1, 1, 1), 1), ((2, 2, 4), 4), ((1, 1, 3), 8)])
def test_every_word_comes_back(shape, lanes, stall):
    size = shape[0] * shape[1] * shape[2]
    choose = random.Random(size)
    words = [bytes(choose.randrange(256) for _ in range(size)) for _ in range(4)]
    frames = converse(
        [encode_frame(FrameType.INFER, word, tag=7 * n) for n, word in enumerate(words)],
        shape=shape, lanes=lanes, stall=stall, quiet=600,
    )  # fmt: skip
    assert frames == [Frame(FrameType.RESULT, 7 * n, word + b"\0") for n, word in enumerate(words)]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_identity(stall):
    (frame,) = converse([encode_frame(FrameType.IDENTIFY, tag=200)], stall=stall)
    assert (frame.type, frame.tag) == (FrameType.IDENTITY, 200)
    assert Identity.decode(frame.payload) == Identity(
        digest=bytes.fromhex("0123456789abcdef"), clock_khz=123456,
        input_shape=(1, 5, 3), input_dtype="uint8", output_shape=(1, 5, 3), output_dtype="uint8",
    )  # fmt: skip


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("shape", "lanes"), [((1, 5, 3), 2), ((1, 1, 1), 1), ((2, 2, 4), 4), ((1, 1, 3), 8)])
def test_the_benchmark_counts_the_same_each_time_and_leaves_the_link_as_it_was(shape, lanes, stall):
    size = shape[0] * shape[1] * shape[2]
    word, bench = bytes(range(1, size + 1)), [encode_frame(FrameType.BENCHMARK, tag=tag) for tag in (4, 5)]
    infer = encode_frame(FrameType.INFER, word, tag=6)
    # A request that comes while the benchmark runs waits for its end.
    chunks = [bench[0] + infer, bench[1], infer]
    frames = converse(chunks, shape=shape, lanes=lanes, stall=stall, quiet=900)
    result = Frame(FrameType.RESULT, 6, word + b"\0")
    assert [frame for frame in frames if frame.type == FrameType.RESULT] == [result, result]
    first, second = [frame for frame in frames if frame.type == FrameType.BENCHMARKED]
    assert (first.tag, second.tag) == (4, 5) and first.payload == second.payload
    figures = BenchmarkFigures.decode(first.payload)
    assert (figures.words, figures.faults) == (RUN, 0)
    beats = -(-size // lanes)
    assert RUN * beats <= figures.cycles <= RUN * (beats + 1) + 20
    # The accelerator gives its words back.
    stored = stored_values(DesignPorts.from_manifest(manifest(list(shape), lanes)).identity)
    results = [pack_values(stored[number % len(stored)], "uint8") for number in range(RUN)]
    assert figures.checksum == checksum(results, bytes_per_beat=lanes)
    assert figures.words_per_second(1000.0) == pytest.approx(RUN * 1e6 / figures.cycles)
    other = [*results[:-1], bytes([results[-1][0] ^ 1]) + results[-1][1:]]
    assert checksum(other, bytes_per_beat=lanes) != figures.checksum


def test_a_damaged_frame_gives_one_error_and_never_a_result():
    """Each bit of a frame is turned in turn; the good frame behind it is always answered."""
    word = bytes(range(1, 16))
    good = encode_frame(FrameType.INFER, word, tag=1)
    result = Frame(FrameType.RESULT, 1, word + b"\0")
    choose = random.Random(1)
    bits = sorted({choose.randrange(8 * len(good)) for _ in range(24)} | set(range(0, 8 * len(good), 24)))
    chunks = []
    for bit in bits:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        chunks += [bytes(bad), good]
    frames = converse(chunks, quiet=TIMEOUT + 250)
    expected = {0: 0, 1: 0}  # a wrong sync is no frame: silence
    position = 0
    for bit in bits:
        if expected.get(bit // 8, 1):
            assert frames[position].type == FrameType.ERROR and frames[position].tag == 0, bit
            position += 1
        assert frames[position] == result, bit
        position += 1
    assert position == len(frames)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (encode_frame(FrameType.INFER, bytes(14)), ErrorCode.LENGTH),
        (encode_frame(FrameType.INFER, bytes(300)), ErrorCode.LENGTH),
        (encode_frame(FrameType.IDENTIFY, b"x"), ErrorCode.LENGTH),
        (encode_frame(0x77, bytes(15)), ErrorCode.TYPE),
        (encode_frame(FrameType.RESULT, bytes(15)), ErrorCode.TYPE),
        (encode_frame(FrameType.INFER, bytes(15))[:-1] + b"\x99", ErrorCode.CRC),
        (encode_frame(FrameType.INFER, bytes(15))[:9], ErrorCode.TIMEOUT),
        (encode_frame(FrameType.INFER, bytes(15))[:-1], ErrorCode.TIMEOUT),
        (encode_frame(FrameType.INFER, bytes(15))[:3], ErrorCode.TIMEOUT),
        # A whole good frame inside a damaged one is not taken for a request.
        (encode_frame(0x77, encode_frame(FrameType.INFER, bytes(15))), ErrorCode.TYPE),
    ],
)
def test_what_is_wrong_is_said_once(bad, code):
    good = encode_frame(FrameType.INFER, bytes(range(15)), tag=9)
    frames = converse([bad, good])
    assert frames == [Frame(FrameType.ERROR, 0, bytes([code])), Frame(FrameType.RESULT, 9, bytes(range(15)) + b"\0")]


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_frames_back_to_back_are_answered_in_turn(stall):
    word = bytes(range(15))
    requests = [encode_frame(FrameType.INFER, word, tag=1), encode_frame(FrameType.INFER, word[::-1], tag=2)]
    requests += [encode_frame(FrameType.IDENTIFY, tag=3), encode_frame(FrameType.INFER, word, tag=4)]
    frames = converse([b"".join(requests)], stall=stall)
    assert [(frame.type, frame.tag) for frame in frames] == [
        (FrameType.RESULT, 1), (FrameType.RESULT, 2), (FrameType.IDENTITY, 3), (FrameType.RESULT, 4),
    ]  # fmt: skip
    assert [frame.payload for frame in frames if frame.type == FrameType.RESULT] == [
        word + b"\0", word[::-1] + b"\0", word + b"\0",
    ]  # fmt: skip


def test_a_damaged_frame_behind_a_good_one_does_not_harm_it():
    word = bytes(range(15))
    good, bad = encode_frame(FrameType.INFER, word, tag=1), bytearray(encode_frame(FrameType.INFER, word, tag=2))
    bad[10] ^= 1
    frames = converse([good + bad + good, good])
    result = Frame(FrameType.RESULT, 1, word + b"\0")
    # What follows the damaged one without a pause is skipped with it.
    assert frames == [result, Frame(FrameType.ERROR, 0, bytes([ErrorCode.CRC])), result]


class Hasty(wiring.Component):
    """Gives its result, the word's first byte, while most of the word is still to come; then stalls."""

    def __init__(self, beats):
        self._beats = beats
        super().__init__({"s_axis": In(axi_stream(1)), "m_axis": Out(axi_stream(1, user=True))})

    def elaborate(self, platform):
        m = Module()
        beat, pause = Signal(range(self._beats)), Signal(range(200))
        m.d.comb += self.s_axis.tready.eq((pause == 0) & ~self.m_axis.tvalid)
        m.d.comb += self.m_axis.tlast.eq(1)
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(self.m_axis.tready):
            m.d.sync += self.m_axis.tvalid.eq(0)
        with m.If(self.s_axis.tvalid & self.s_axis.tready):
            m.d.sync += beat.eq(Mux(self.s_axis.tlast, 0, beat + 1))
            with m.If(beat == 0):
                m.d.sync += [self.m_axis.tvalid.eq(1), self.m_axis.tdata.eq(self.s_axis.tdata)]
            with m.If(beat == 2):
                m.d.sync += pause.eq(199)
        return m


def test_a_result_that_comes_before_its_word_is_over():
    """Its response has long gone out when the rest of the word goes in: the next word waits for that."""
    given = manifest([1, 1, 8], 1)
    given["output"] = {"shape": [1, 1, 1], "dtype": "uint8", "values_per_beat": 1, "beats": 1}
    requests = [encode_frame(FrameType.INFER, bytes(range(n, n + 8)), tag=n) for n in (1, 2, 3)]
    frames = converse([b"".join(requests)], ports=DesignPorts.from_manifest(given), accelerator=Hasty(8))
    assert frames == [Frame(FrameType.RESULT, n, bytes([n, 0])) for n in (1, 2, 3)]


def test_garbage_is_skipped_silently():
    choose = random.Random(8)
    garbage = bytes(byte for byte in (choose.randrange(256) for _ in range(400)) if byte != 0x3A) + b"\xc5\xc5\xc5"
    # The last of several sync bytes is the one that counts.
    good = encode_frame(FrameType.INFER, bytes(15), tag=3)
    frames = converse([garbage + good])
    assert frames == [Frame(FrameType.RESULT, 3, bytes(16))]


def test_the_next_request_finds_room():
    """While a word goes to a slow accelerator, and at most a whole frame."""
    given = manifest([1, 8, 8], 4)
    ports = DesignPorts.from_manifest(given | {"latency_cycles": 2000})
    assert receive_depth(ports, cycles_per_byte=1000) == 16 + 5  # twice (2000 + 3 x 64) cycles
    assert receive_depth(ports, cycles_per_byte=1e6) == 16 + 1
    slow = DesignPorts.from_manifest(given | {"latency_cycles": 10**7})
    assert receive_depth(slow, cycles_per_byte=1000) == 16 + 64 + 10


def test_too_large_for_a_frame():
    with pytest.raises(InputError, match="the input of 65536 bytes does not fit a frame"):
        DesignPorts.from_manifest(manifest([256, 256, 1], 1))


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"payload_bytes must be 1\.\.65535, not 0"):
        FrameReceiver(payload_bytes=0, timeout=1)
    with pytest.raises(TypeError, match="timeout must be a positive integer, not 0"):
        FrameReceiver(payload_bytes=1, timeout=0)

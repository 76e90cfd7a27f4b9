"""The host's driver against a board made of Python, which holds two requests, and against lines that lose bytes."""

from __future__ import annotations

import os
import struct
import threading

import numpy as np
import pytest

from cs_hdl.errors import InputError, ResultError, ToolError
from cs_hdl.host import (
    Accelerator,
    BenchmarkFigures,
    ErrorCode,
    FrameDecoder,
    FrameType,
    Identity,
    encode_frame,
    pack_values,
)
from cs_hdl.host import accelerator as driver

IDENTITY = Identity(
    digest=b"12345678", clock_khz=100_000, input_shape=(2, 2, 1), input_dtype="uint8",
    output_shape=(1, 1, 3), output_dtype="int24",
)  # fmt: skip
LOST = None


def error(code: ErrorCode) -> bytes:
    return encode_frame(FrameType.ERROR, bytes([code]))


def answer(frame, *, faulty=False, identity=IDENTITY) -> bytes:
    if frame.type == FrameType.IDENTIFY:
        return encode_frame(FrameType.IDENTITY, identity.encode(), tag=frame.tag)
    if frame.type == FrameType.BENCHMARK:
        return encode_frame(FrameType.BENCHMARKED, struct.pack("<IIQI", 1000, 2, 50_000, 0xDEADBEEF), tag=frame.tag)
    result = pack_values(np.array([-sum(frame.payload), frame.payload[0], 70000]), "int24")
    return encode_frame(FrameType.RESULT, result + bytes([faulty]), tag=frame.tag)


def expected(words):
    return [[[[-int(word.sum()), int(word.flat[0]), 70000]]] for word in words]


class FakeBoard:
    """Answers as a board does. ``mischief``: for each request in turn, bytes that come before its answer.

    An error among them stands in the answer's place, and LOST means that nothing is answered.
    """

    def __init__(self, mischief=(), **how):
        self._decoder, self._answer = FrameDecoder(), b""
        self._mischief, self._how = list(mischief), how
        self.requests = 0
        self.waiting = self.most_waiting = 0

    def write(self, data):
        for frame in self._decoder.feed(data):
            self.requests += 1
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            before = self._mischief.pop(0) if self._mischief else b""
            if before is LOST:
                continue
            self._answer += before
            if not before.startswith(b"\xc5\x3a\xee"):
                self._answer += answer(frame, **self._how)

    def flush(self):
        pass

    def read(self, size):
        data, self._answer = self._answer[:size], self._answer[size:]
        self.waiting -= b"\xc5\x3a" in data  # a new answer has begun to be read
        return data


@pytest.fixture(autouse=True)
def short_silence(monkeypatch):
    """Nothing here comes late."""
    monkeypatch.setattr(driver, "_QUIET_SECONDS", 0.01)


def random_words(count):
    return np.random.default_rng(count).integers(0, 256, (count, 2, 2, 1))


def test_the_boards_own_benchmark():
    board = Accelerator(FakeBoard())
    figures = board.benchmark()
    assert (figures.words, figures.faults, figures.cycles, figures.checksum) == (1000, 2, 50_000, 0xDEADBEEF)
    assert figures.words_per_second(board.identity.clock_khz) == pytest.approx(2e6)  # 50 cycles a word at 100 MHz
    with pytest.raises(InputError, match="figures have 3 bytes, not 20"):
        BenchmarkFigures.decode(b"abc")


def test_the_benchmark_is_asked_for_again_where_the_answer_is_lost():
    board = FakeBoard(mischief=[b"", LOST])
    assert Accelerator(board, timeout=0.05).benchmark().words == 1000
    assert board.requests == 3


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_words(count):
    board = FakeBoard()
    accelerator = Accelerator(board)
    assert accelerator.identity == accelerator.identify() == IDENTITY
    words = random_words(count)
    results = accelerator.infer(words)
    assert results.dtype == np.int64 and results.shape == (count, 1, 1, 3)
    assert results.tolist() == expected(words)
    assert board.requests == count + 2
    assert board.most_waiting <= 2


def test_a_long_response_is_read_before_the_next_request(monkeypatch):
    monkeypatch.setattr(driver, "_MOST_UNREAD", 9)
    board = FakeBoard()
    accelerator = Accelerator(board)
    words = random_words(5)
    assert accelerator.infer(words).tolist() == expected(words)
    assert board.most_waiting == 1


@pytest.mark.parametrize(
    "mischief",
    [
        [b"noise"],
        [b"\xc5\xc5"],
        [b"\xc5\x3a\x82\x01\xff\xff"],  # announces 65535 bytes
        [LOST],
        [b"", LOST],
        [LOST, b""],
        [LOST, LOST],
        [encode_frame(FrameType.RESULT, bytes(10), tag=250)],  # an answer to something older
        [error(ErrorCode.CRC)],
        [b"", error(ErrorCode.TIMEOUT)],
        [error(ErrorCode.CRC), error(ErrorCode.CRC)],
        [error(ErrorCode.CRC), b"", LOST, b"", b"xyz", error(ErrorCode.LENGTH), LOST],
    ],
)
def test_what_happens_on_a_line(mischief):
    board = Accelerator(FakeBoard([b"", *mischief]), timeout=0.02)
    words = random_words(6)
    assert board.infer(words).tolist() == expected(words)
    assert board.infer(words[:1]).tolist() == expected(words[:1])


class BrokenLink(FakeBoard):
    """Unplugged after the identity."""

    def write(self, data):
        if self.requests:
            raise OSError("device disconnected")
        super().write(data)


class Babbler(FakeBoard):
    """Sends noise for ever."""

    def write(self, data):
        pass

    def read(self, size):
        return b"\xc5" * size


def test_no_answer():
    with pytest.raises(ToolError, match="the board does not answer; is it connected"):
        Accelerator(FakeBoard([LOST] * 3), timeout=0.02)
    with pytest.raises(ToolError, match="the board does not answer"):
        Accelerator(Babbler(), timeout=0.02)
    assert Accelerator(FakeBoard([LOST] * 2), timeout=0.02).identity == IDENTITY
    with pytest.raises(ToolError, match="the board does not answer"):
        Accelerator(FakeBoard([LOST]), timeout=0.02, attempts=1)
    with pytest.raises(ValueError, match="attempts must be at least 1, not 0"):
        Accelerator(FakeBoard(), attempts=0)


def test_refusals():
    with pytest.raises(ToolError, match=r"the board refuses the request \(length\)"):
        Accelerator(FakeBoard([error(ErrorCode.LENGTH)] * 3), timeout=0.02)
    board = Accelerator(BrokenLink(), timeout=0.02)
    with pytest.raises(ToolError, match=r"the link to the board broke while writing \(device disconnected\)"):
        board.infer(random_words(1))


def test_a_result_that_is_marked_as_faulty():
    board = Accelerator(FakeBoard(faulty=True))
    with pytest.raises(ResultError, match="word 0: the board marked its result as faulty"):
        board.infer(random_words(2))


def test_wrong_words():
    board = Accelerator(FakeBoard())
    with pytest.raises(InputError, match=r"words of uint8 \[2, 2, 1\]; the board takes integers \[words, 2, 2, 1\]"):
        board.infer(np.zeros((2, 2, 1), dtype=np.uint8))
    with pytest.raises(InputError, match="words of float64"):
        board.infer(np.zeros((1, 2, 2, 1)))
    with pytest.raises(InputError, match=r"values of 0\.\.256; the board takes 0\.\.255"):
        board.infer(np.array([[[[0], [256]], [[0], [0]]]]))


class Pipes:
    """A link over two pipes, as a process at their other end has it."""

    def __init__(self, read, write):
        self._read, self._write = read, write
        os.set_blocking(read, False)

    def write(self, data):
        os.write(self._write, data)

    def flush(self):
        pass

    def read(self, size):
        try:
            return os.read(self._read, size)
        except BlockingIOError:
            return b""


def test_over_a_pair_of_pipes():
    (board_read, host_write), (host_read, board_write) = os.pipe(), os.pipe()

    def board():
        decoder = FrameDecoder()
        while data := os.read(board_read, 3):
            for frame in decoder.feed(data):
                os.write(board_write, answer(frame))

    thread = threading.Thread(target=board)
    thread.start()
    try:
        words = random_words(20)
        assert Accelerator(Pipes(host_read, host_write)).infer(words).tolist() == expected(words)
    finally:
        os.close(host_write)
        thread.join()
        for end in (board_read, host_read, board_write):
            os.close(end)

"""The host's side of the serial link, against frames written by hand and a board made of Python."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from cs_hdl.errors import InputError, ResultError, ToolError
from cs_hdl.host import (
    Accelerator,
    ErrorCode,
    Frame,
    FrameDecoder,
    FrameType,
    Identity,
    encode_frame,
    pack_values,
    unpack_values,
)

IDENTITY = Identity(
    digest=b"12345678", clock_khz=100_000, input_shape=(2, 2, 1), input_dtype="uint8",
    output_shape=(1, 1, 3), output_dtype="int24",
)  # fmt: skip


def test_a_frame_byte_by_byte():
    body = bytes([2, 7, 3, 0, 10, 20, 30])
    assert encode_frame(FrameType.INFER, bytes([10, 20, 30]), tag=7) == b"\xc5\x3a" + body + zlib.crc32(body).to_bytes(
        4, "little"
    )


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_decoder_finds_frames_among_garbage(size):
    choose = random.Random(size)
    data, frames = b"", []
    for tag in range(20):
        data += bytes(choose.choice((0xC5, 0x3A, 1, 2, choose.randrange(256))) for _ in range(choose.randrange(6)))
        frame = Frame(2, tag, bytes(choose.choice((0xC5, 0x3A, 9)) for _ in range(choose.randrange(30))))
        data += encode_frame(frame.type, frame.payload, tag=tag)
        frames.append(frame)
    data += bytes(70000)  # whatever length garbage seemed to announce is over then
    decoder = FrameDecoder()
    found = [frame for start in range(0, len(data), size) for frame in decoder.feed(data[start : start + size])]
    assert found == frames


def test_a_damaged_frame_is_no_frame():
    good = encode_frame(FrameType.RESULT, b"abcd", tag=1)
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert list(FrameDecoder().feed(bytes(bad))) == []


def test_too_long():
    with pytest.raises(InputError, match="a frame holds 65535 bytes at most, not 65536"):
        encode_frame(FrameType.INFER, bytes(65536))


def test_identity_there_and_back():
    assert Identity.decode(IDENTITY.encode()) == IDENTITY
    with pytest.raises(InputError, match="protocol 9"):
        Identity.decode(b"\x09" + IDENTITY.encode()[1:])
    for end in range(len(IDENTITY.encode())):
        with pytest.raises(InputError, match=r"cannot be read|bytes, not"):
            Identity.decode(IDENTITY.encode()[:end])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int24", "int32"])
def test_values_there_and_back(dtype):
    bits = int(dtype.lstrip("uint"))
    low, high = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    values = np.array([low, high, 0, 1, low + 1])
    data = pack_values(values, dtype)
    assert data == b"".join((int(v) % 2**bits).to_bytes(bits // 8, "little") for v in values)
    assert unpack_values(data, dtype).tolist() == values.tolist()


class FakeBoard:
    """Answers as a board does; ``mischief`` comes before each answer, and may be all there is."""

    def __init__(self, mischief=(), faulty=False):
        self._decoder, self._answer = FrameDecoder(), b""
        self._mischief, self._faulty = list(mischief), faulty

    def write(self, data):
        for frame in self._decoder.feed(data):
            before = self._mischief.pop(0) if self._mischief else b""
            if before is None:
                continue  # lost on the way
            self._answer += before
            if before.startswith(b"\xc5\x3a\xee"):
                continue
            if frame.type == FrameType.IDENTIFY:
                self._answer += encode_frame(FrameType.IDENTITY, IDENTITY.encode(), tag=frame.tag)
            else:
                result = pack_values(np.array([-sum(frame.payload), frame.payload[0], 70000]), "int24")
                self._answer += encode_frame(FrameType.RESULT, result + bytes([self._faulty]), tag=frame.tag)

    def read(self, size):
        data, self._answer = self._answer[:size], self._answer[size:]
        return data


def test_infer():
    board = Accelerator(FakeBoard())
    assert board.identity == IDENTITY
    assert board.infer(np.array([[[1], [2]], [[3], [250]]])).tolist() == [[[-256, 1, 70000]]]


def test_infer_survives_what_happens_on_a_line():
    stale = encode_frame(FrameType.RESULT, bytes(10), tag=250)
    refused = encode_frame(FrameType.ERROR, bytes([ErrorCode.CRC]))
    board = Accelerator(FakeBoard([b"noise", None, stale, refused, b"\xc5\xc5"]), timeout=0.05)
    assert board.infer(np.ones((2, 2, 1), dtype=np.uint8)).tolist() == [[[-4, 1, 70000]]]
    assert board.infer(np.zeros((2, 2, 1), dtype=np.uint8)).tolist() == [[[0, 0, 70000]]]


def test_errors():
    with pytest.raises(ToolError, match="the board does not answer; is it connected"):
        Accelerator(FakeBoard([None] * 3), timeout=0.02)
    refused = encode_frame(FrameType.ERROR, bytes([ErrorCode.LENGTH]))
    with pytest.raises(ToolError, match=r"the board refuses the request \(length\)"):
        Accelerator(FakeBoard([refused] * 3), timeout=0.02)
    board = Accelerator(FakeBoard(faulty=True))
    with pytest.raises(ResultError, match="marked its result as faulty"):
        board.infer(np.zeros((2, 2, 1), dtype=np.uint8))
    with pytest.raises(InputError, match=r"a word of uint8 \[2, 2\]; the board takes integers \[2, 2, 1\]"):
        board.infer(np.zeros((2, 2), dtype=np.uint8))
    with pytest.raises(InputError, match="a word of float64"):
        board.infer(np.zeros((2, 2, 1)))
    with pytest.raises(InputError, match=r"values of 0\.\.256; the board takes 0\.\.255"):
        board.infer(np.array([[[0], [256]], [[0], [0]]]))

"""The frames of the serial link and the values in them, against bytes written by hand."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from cs_hdl.errors import InputError
from cs_hdl.host import (
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


def test_the_decoder_says_how_many_bytes_it_lacks():
    good = encode_frame(FrameType.RESULT, b"abcd", tag=1)
    decoder = FrameDecoder()
    assert decoder.missing == 10
    assert decoder.feed(b"\x00" + good[:3]) == [] and decoder.missing == 7
    assert decoder.feed(good[3:6]) == [] and decoder.missing == 8
    assert decoder.feed(good[6:]) == [Frame(FrameType.RESULT, 1, b"abcd")] and decoder.missing == 10


def test_a_length_that_cannot_be_is_not_waited_for():
    liar = b"\xc5\x3a\x82\x01\xff\xff"
    good = encode_frame(FrameType.RESULT, b"abcd", tag=1)
    assert FrameDecoder().feed(liar + good) == []
    assert FrameDecoder(max_payload=4).feed(liar + good) == [Frame(FrameType.RESULT, 1, b"abcd")]
    assert FrameDecoder(max_payload=3).feed(good) == []

"""Whatever comes over the line, the decoder gives the frames that were sent and no other one."""

from __future__ import annotations

import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from cs_hdl.host import Frame, FrameDecoder, encode_frame

# Many sync bytes, so that what looks like a frame is frequent.
BYTES = st.lists(st.one_of(st.sampled_from([0xC5, 0x3A]), st.integers(0, 255)), max_size=40).map(bytes)
FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), BYTES)
LONGEST = 40
#: After so many zeros whatever length the garbage announced is over.
END = bytes(2 * LONGEST)


def encode(frame: Frame) -> bytes:
    return encode_frame(frame.type, frame.payload, tag=frame.tag)


def is_subsequence(part: list[Frame], whole: list[Frame]) -> bool:
    rest = iter(whole)
    return all(frame in rest for frame in part)


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decode(parts: list[bytes]) -> list[Frame]:
    decoder = FrameDecoder(max_payload=LONGEST)
    frames = []
    for part in parts:
        frames += decoder.feed(part)
        assert decoder.missing >= 1
    return frames


@given(st.data(), st.lists(st.tuples(BYTES, FRAMES), max_size=6))
def test_all_frames_are_found_among_garbage_in_any_pieces(data, stream):
    line = b"".join(garbage + encode(frame) for garbage, frame in stream) + END
    assert decode(data.draw(pieces(line))) == [frame for _, frame in stream]


@given(BYTES.map(lambda data: data * 5))
def test_garbage_gives_no_frame_but_one_with_a_right_checksum(data):
    for frame in decode([data + END]):
        assert encode(frame) in data + END


@settings(max_examples=300)
@given(st.data(), st.lists(FRAMES, min_size=1, max_size=4))
def test_turned_bits_never_give_a_frame_that_was_not_sent(data, frames):
    line = bytearray(b"".join(map(encode, frames)))
    for bit in data.draw(st.lists(st.integers(0, 8 * len(line) - 1), min_size=1, max_size=6)):
        line[bit // 8] ^= 1 << bit % 8
    assert is_subsequence(decode(data.draw(pieces(bytes(line) + END))), frames)


@settings(max_examples=300)
@given(st.data(), st.lists(FRAMES, min_size=1, max_size=4))
def test_lost_and_added_bytes_never_give_a_frame_that_was_not_sent(data, frames):
    line = b"".join(map(encode, frames))
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, len(line)))
    line = line[:start] + data.draw(BYTES) + line[end:]
    found = decode([line + END])
    assert is_subsequence(found, frames)
    # What lies whole before the damage is found.
    whole, position = 0, 0
    for frame in frames:
        position += len(encode(frame))
        whole += position <= start
    assert found[:whole] == frames[:whole]


@given(FRAMES)
def test_the_form_of_a_frame(frame):
    data = encode(frame)
    assert data[:2] == b"\xc5\x3a"
    assert data[2:6] == bytes([frame.type, frame.tag]) + len(frame.payload).to_bytes(2, "little")
    assert data[-4:] == zlib.crc32(data[2:-4]).to_bytes(4, "little")

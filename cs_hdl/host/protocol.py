"""The frames of the serial link (docs/protocol.md): how they are written and how they are read."""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from cs_hdl.errors import InputError

__all__ = [
    "FRAME_BYTES",
    "HEADER_BYTES",
    "MAX_PAYLOAD",
    "SYNC",
    "VERSION",
    "ErrorCode",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "Identity",
    "encode_frame",
]

VERSION = 1
SYNC = bytes((0xC5, 0x3A))
#: Sync, type, tag, length.
HEADER_BYTES = 6
CRC_BYTES = 4
#: Of a frame without payload.
FRAME_BYTES = HEADER_BYTES + CRC_BYTES
MAX_PAYLOAD = 65535

DTYPES = ("uint8", "int8", "uint16", "int16", "int24", "int32")


class FrameType(enum.IntEnum):
    """Requests (host to board) and responses (board to host)."""

    IDENTIFY = 0x01
    INFER = 0x02
    BENCHMARK = 0x03
    IDENTITY = 0x81
    RESULT = 0x82
    BENCHMARKED = 0x83
    ERROR = 0xEE


class ErrorCode(enum.IntEnum):
    """Payload of an ERROR response."""

    CRC = 1
    TYPE = 2
    LENGTH = 3
    TIMEOUT = 4


@dataclass(frozen=True)
class Frame:
    """A frame whose checksum was right; the response to a request has the request's ``tag``."""

    type: int
    tag: int
    payload: bytes


def encode_frame(frame_type: int, payload: bytes = b"", *, tag: int = 0) -> bytes:
    """The bytes of one frame; InputError for a payload of more than 65535 bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise InputError(f"a frame holds {MAX_PAYLOAD} bytes at most, not {len(payload)}")
    body = struct.pack("<BBH", frame_type, tag & 0xFF, len(payload)) + payload
    return SYNC + body + struct.pack("<I", zlib.crc32(body))


class FrameDecoder:
    """Finds frames in a stream of bytes; what is no frame with a right checksum is skipped.

    A frame that announces more than ``max_payload`` bytes is skipped at once, so that garbage
    which looks like a header does not hold back the frames behind it for long.
    """

    def __init__(self, *, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self._buffer = bytearray()

    @property
    def missing(self) -> int:
        """Bytes, at least 1, that must still come before there can be another frame."""
        length = self._announced()
        expected = FRAME_BYTES + (0 if length is None else length)
        return max(1, expected - len(self._buffer))

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; all frames that are complete by now."""
        self._buffer += data
        frames: list[Frame] = []
        while True:
            self._skip_to_sync()
            length = self._announced()
            if length is None:
                return frames
            if length > self.max_payload:
                del self._buffer[0]
                continue
            end = FRAME_BYTES + length
            if len(self._buffer) < end:
                return frames
            body = bytes(self._buffer[len(SYNC) : end - CRC_BYTES])
            if zlib.crc32(body) == int.from_bytes(self._buffer[end - CRC_BYTES : end], "little"):
                frames.append(Frame(body[0], body[1], body[4:]))
                del self._buffer[:end]
            else:
                del self._buffer[0]

    def reset(self) -> None:
        """Forget what is incomplete."""
        self._buffer.clear()

    def _skip_to_sync(self) -> None:
        start = self._buffer.find(SYNC)
        if start < 0:
            # The last byte may be the first half of a sync.
            start = len(self._buffer) - (self._buffer[-1:] == SYNC[:1])
        del self._buffer[:start]

    def _announced(self) -> int | None:
        """The length in the header at the buffer's beginning, None until it is complete."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        return int.from_bytes(self._buffer[4:6], "little")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an IDENTITY response says: which design the board holds and how fast it runs.

    ``digest`` is the first 8 bytes of the SHA-256 of design.v; ``clock_khz`` is measured on the board.
    """

    digest: bytes
    clock_khz: int
    input_shape: tuple[int, ...]
    input_dtype: str
    output_shape: tuple[int, ...]
    output_dtype: str

    def encode(self) -> bytes:
        """The payload."""
        parts = [struct.pack("<B8sI", VERSION, self.digest, self.clock_khz)]
        for shape, dtype in ((self.input_shape, self.input_dtype), (self.output_shape, self.output_dtype)):
            parts.append(struct.pack(f"<BB{len(shape)}I", DTYPES.index(dtype), len(shape), *shape))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes) -> Identity:
        """What ``payload`` says; InputError where it is of another version or damaged."""
        try:
            version, digest, clock_khz = struct.unpack_from("<B8sI", payload)
            if version != VERSION:
                raise InputError(
                    f"the board speaks protocol {version}, this version of cs-hdl {VERSION}; build it again"
                )
            tensors, offset = [], 13
            for _ in range(2):
                dtype, count = struct.unpack_from("<BB", payload, offset)
                shape = struct.unpack_from(f"<{count}I", payload, offset + 2)
                tensors.append((shape, DTYPES[dtype]))
                offset += 2 + 4 * count
            if offset != len(payload):
                raise InputError(f"the board's identity has {len(payload)} bytes, not {offset}")
        except (struct.error, IndexError):
            raise InputError(f"the board's identity of {len(payload)} bytes cannot be read") from None
        return cls(
            digest=digest,
            clock_khz=clock_khz,
            input_shape=tensors[0][0],
            input_dtype=tensors[0][1],
            output_shape=tensors[1][0],
            output_dtype=tensors[1][1],
        )

"""The host's side of the serial link: identify a board, send it words, get its results."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cs_hdl.errors import InputError, ResultError, ToolError
from cs_hdl.host.protocol import ErrorCode, Frame, FrameDecoder, FrameType, Identity, encode_frame

__all__ = ["Accelerator", "Link", "bytes_of", "open_serial", "pack_values", "unpack_values"]

_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "int24": 3, "int32": 4}


class Link(Protocol):
    """A stream of bytes in both directions; a pyserial port is one."""

    def write(self, data: bytes, /) -> Any:
        """Send ``data``."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer, or none, after the link's own time-out."""


def bytes_of(dtype: str) -> int:
    """Bytes of one value of ``dtype`` on the link."""
    return _BYTES[dtype]


def open_serial(port: str, *, baud: int) -> Link:
    """The serial port ``port``; ToolError where pyserial is missing or the port cannot be opened."""
    try:
        import serial
    except ImportError:
        raise ToolError("pyserial is missing; install it with: pip install pyserial") from None
    try:
        link: Link = serial.Serial(port, baud, timeout=0.05)
    except (OSError, ValueError) as error:
        raise ToolError(f"{port}: cannot be opened ({error})") from None
    return link


def pack_values(values: NDArray[Any], dtype: str) -> bytes:
    """``values`` in C order, each in a whole number of bytes, the lowest first."""
    size = bytes_of(dtype)
    return np.ascontiguousarray(values, dtype="<i8").reshape(-1, 1).view(np.uint8)[:, :size].tobytes()


def unpack_values(data: bytes, dtype: str) -> NDArray[np.int64]:
    """The other way round, sign-extended."""
    size = bytes_of(dtype)
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, size).astype(np.int64)
    values: NDArray[np.int64] = (raw << (8 * np.arange(size))).sum(axis=1)
    if not dtype.startswith("u"):
        values = np.where(values >= 1 << (8 * size - 1), values - (1 << (8 * size)), values)
    return values


class Accelerator:
    """A board at the other end of ``link``. ``identity`` says which network it holds."""

    def __init__(self, link: Link, *, timeout: float = 2.0, attempts: int = 3) -> None:
        self._link = link
        self._timeout = timeout
        self._attempts = attempts
        self._decoder = FrameDecoder()
        self._tag = 0
        self.identity = Identity.decode(self._ask(FrameType.IDENTIFY, b"", FrameType.IDENTITY))

    def infer(self, word: NDArray[Any]) -> NDArray[np.int64]:
        """The result for one ``word`` of the input's shape.

        Raises InputError where shape or range is wrong, ToolError where the board does not
        answer, ResultError where it marks its result as faulty.
        """
        identity = self.identity
        word = np.asarray(word)
        if word.shape != identity.input_shape or word.dtype.kind not in "iu":
            raise InputError(
                f"a word of {word.dtype} {list(word.shape)}; the board takes integers {list(identity.input_shape)}"
            )
        low, high = (0, 255) if identity.input_dtype == "uint8" else (-128, 127)
        if word.size and (word.min() < low or word.max() > high):
            raise InputError(f"values of {word.min()}..{word.max()}; the board takes {low}..{high}")
        payload = self._ask(FrameType.INFER, pack_values(word, identity.input_dtype), FrameType.RESULT)
        if payload[-1] != 0:
            raise ResultError("the board marked its result as faulty")
        return unpack_values(payload[:-1], identity.output_dtype).reshape(identity.output_shape)

    def _ask(self, request: FrameType, payload: bytes, response: FrameType) -> bytes:
        problem = "does not answer"
        for _ in range(self._attempts):
            self._tag = (self._tag + 1) & 0xFF
            self._decoder.reset()
            self._link.write(encode_frame(request, payload, tag=self._tag))
            frame = self._wait()
            if frame is not None and frame.type == response:
                return frame.payload
            if frame is not None:
                code = frame.payload[0] if frame.payload else 0
                name = ErrorCode(code).name.lower() if code in list(ErrorCode) else str(code)
                problem = f"refuses the request ({name})"
        raise ToolError(f"the board {problem}; is it connected, and loaded with a bitstream of cs-hdl?")

    def _wait(self) -> Frame | None:
        """The response to the last request, or None when time is up."""
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            for frame in self._decoder.feed(self._link.read(4096)):
                # An error says that nothing in the request could be trusted, its tag included.
                if frame.tag == self._tag or frame.type == FrameType.ERROR:
                    return frame
        return None

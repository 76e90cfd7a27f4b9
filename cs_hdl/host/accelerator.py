"""The host's side of the serial link: identify a board, send it words, get its results."""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cs_hdl.emit.manifest import read_manifest
from cs_hdl.errors import InputError, ResultError, ToolError
from cs_hdl.host.design import check_identity
from cs_hdl.host.protocol import ErrorCode, Frame, FrameDecoder, FrameType, Identity, encode_frame
from cs_hdl.host.self_benchmark import BenchmarkFigures
from cs_hdl.host.values import bytes_of, pack_values, unpack_values

__all__ = ["DEFAULT_BAUD", "Accelerator", "Link", "open_serial"]

#: Requests under way: the board answers one and holds another.
_WINDOW = 2
#: Longer responses are read before the next request goes out: a serial port's buffer may hold no more.
_MOST_UNREAD = 2048
#: After so long without a byte the board has answered whatever it got: its own limit is 20 ms.
_QUIET_SECONDS = 0.1
#: No identity is longer: 13 bytes, and twice a type and a few dimensions.
_MOST_IDENTITY = 256


#: Of most boards, see the files in boards/.
DEFAULT_BAUD = 1_000_000


class Link(Protocol):
    """A stream of bytes in both directions; a pyserial port is one."""

    def write(self, data: bytes, /) -> Any:
        """Send ``data``."""

    def flush(self) -> Any:
        """Return when all of it has gone out."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer, or none, after the link's own time-out."""


def open_serial(port: str, *, baud: int) -> Link:
    """The serial port ``port``, 8N1; ToolError where pyserial is missing or the port cannot be opened."""
    try:
        import serial
    except ImportError:
        raise ToolError("pyserial is missing; install it with: pip install 'cs-hdl[host]'") from None
    try:
        # Time enough to write the longest frame.
        link: Link = serial.Serial(port, baud, timeout=0.05, write_timeout=1 + 10 * 65545 / baud)
    except (OSError, ValueError) as error:
        raise ToolError(f"{port}: cannot be opened ({error}){_advice(error)}") from None
    return link


def _advice(error: Exception) -> str:
    """What to do about it, where we know."""
    code = getattr(error, "errno", None)
    if code == errno.EACCES:
        return "; your user may not open serial ports: sudo usermod -aG dialout $USER, then log in again"
    if code == errno.ENOENT:
        return "; is the board connected? dmesg, or ls /dev/ttyUSB* /dev/ttyACM*, says what its name is"
    return ""


class Accelerator:
    """A board at the other end of ``link``. ``identity`` says which network it holds.

    ``link`` is a :class:`Link`, or the name of a serial port (``/dev/ttyUSB0``), which is opened at ``baud``. With the
    folder ``design`` the board must hold that design (InputError otherwise).

    ``timeout`` is the silence in seconds, after a request was sent, that counts as no answer, and
    ``attempts`` how often a request is sent before the board is given up. The constructor asks
    for the identity; ToolError where the board does not answer.
    """

    def __init__(
        self,
        link: Link | str,
        *,
        baud: int = DEFAULT_BAUD,
        design: Path | str | None = None,
        timeout: float = 2.0,
        attempts: int = 3,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts!r}")
        self._link: Link = open_serial(link, baud=baud) if isinstance(link, str) else link
        self._timeout = timeout
        self._attempts = attempts
        self._decoder = FrameDecoder()
        self._frames: deque[Frame] = deque()
        self._tag = 0
        self.identity = self.identify()
        if design is not None:
            check_identity(self.identity, read_manifest(Path(design)))

    def identify(self) -> Identity:
        """Ask the board again what it is. Raises ToolError where it does not answer."""
        (payload,) = self._ask([b""], request=FrameType.IDENTIFY, response=FrameType.IDENTITY, longest=_MOST_IDENTITY)
        return Identity.decode(payload)

    def infer(self, words: NDArray[Any]) -> NDArray[np.int64]:
        """The results, int64 ``[words, *output_shape]``, for ``words``, integers ``[words, *input_shape]``.

        The next word goes to the board while it works on the one before.

        Raises InputError where shape or range is wrong, ToolError where the board does not
        answer, ResultError where it marks a result as faulty.
        """
        identity = self.identity
        words = _checked(np.asarray(words), identity)
        size = math.prod(identity.output_shape) * bytes_of(identity.output_dtype) + 1
        requests = [pack_values(word, identity.input_dtype) for word in words]
        payloads = self._ask(requests, request=FrameType.INFER, response=FrameType.RESULT, longest=size)
        for number, payload in enumerate(payloads):
            if len(payload) != size:
                raise ToolError(
                    f"word {number}: a result of {len(payload)} bytes, not {size}; load the bitstream again"
                )
            if payload[-1] != 0:
                raise ResultError(f"word {number}: the board marked its result as faulty")
        values = unpack_values(b"".join(payload[:-1] for payload in payloads), identity.output_dtype)
        return values.reshape(len(words), *identity.output_shape)

    def benchmark(self) -> BenchmarkFigures:
        """Have the board replay the words that are stored in it, and count. Raises ToolError where it does not answer.

        ``identify().clock_khz`` is its clock; compare the checksum with :func:`cs_hdl.host.self_benchmark.checksum`
        over the golden model's results for :func:`cs_hdl.host.self_benchmark.stored_values`.
        """
        (payload,) = self._ask(
            [b""], request=FrameType.BENCHMARK, response=FrameType.BENCHMARKED, longest=_MOST_IDENTITY
        )
        return BenchmarkFigures.decode(payload)

    def _ask(self, payloads: Sequence[bytes], *, request: FrameType, response: FrameType, longest: int) -> list[bytes]:
        """The payloads of the responses, in order; none is of more than ``longest`` bytes.

        Where the oldest of the requests under way is not answered as it should, all of them are
        sent again: what was lost may have taken the next one with it.
        """
        self._decoder.reset()
        self._frames.clear()
        self._decoder.max_payload = longest
        window = _WINDOW if longest <= _MOST_UNREAD else 1
        answers: list[bytes] = []
        tags: list[int] = []  # of the requests under way
        failures = 0
        while len(answers) < len(payloads):
            while len(tags) < window and len(answers) + len(tags) < len(payloads):
                self._tag = (self._tag + 1) & 0xFF
                self._write(encode_frame(request, payloads[len(answers) + len(tags)], tag=self._tag))
                tags.append(self._tag)
            frame = self._wait(tags)
            if frame is not None and frame.type == response:
                answers.append(frame.payload)
                del tags[0]
                failures = 0
                continue
            failures += 1
            if failures == self._attempts:
                raise ToolError(f"the board {_problem(frame)}; is it connected, and loaded with a bitstream of cs-hdl?")
            tags.clear()
            self._settle()
        return answers

    def _wait(self, tags: Sequence[int]) -> Frame | None:
        """The response to the first of ``tags`` or an error; None after silence, or where a later one is answered."""
        end = time.monotonic() + self._timeout
        # Noise that never ends must not hold us for ever.
        patience = 4 * _WINDOW * (self._decoder.max_payload + _MOST_UNREAD)
        while True:
            while self._frames:
                frame = self._frames.popleft()
                # An error says that nothing in the request could be trusted, its tag included.
                if frame.tag == tags[0] or frame.type == FrameType.ERROR:
                    return frame
                if frame.tag in tags:
                    return None
            if time.monotonic() >= end or patience < 0:
                return None
            data = self._read(self._decoder.missing)
            if data:
                end = time.monotonic() + self._timeout
                patience -= len(data)
            self._frames.extend(self._decoder.feed(data))

    def _settle(self) -> None:
        """Drop what comes until the line is quiet, so that the board has nothing left to do."""
        start = quiet = time.monotonic()
        while time.monotonic() < min(quiet + _QUIET_SECONDS, start + self._timeout):
            if self._read(4096):
                quiet = time.monotonic()
        self._decoder.reset()
        self._frames.clear()

    def _write(self, data: bytes) -> None:
        try:
            self._link.write(data)
            self._link.flush()
        except OSError as error:
            raise ToolError(f"the link to the board broke while writing ({error})") from None

    def _read(self, size: int) -> bytes:
        try:
            return self._link.read(size) or b""
        except OSError as error:
            raise ToolError(f"the link to the board broke while reading ({error})") from None


def _checked(words: NDArray[Any], identity: Identity) -> NDArray[Any]:
    shape = identity.input_shape
    if words.ndim != len(shape) + 1 or words.shape[1:] != shape or words.dtype.kind not in "iu":
        wanted = ", ".join(["words", *map(str, shape)])
        raise InputError(f"words of {words.dtype} {list(words.shape)}; the board takes integers [{wanted}]")
    low, high = (0, 255) if identity.input_dtype == "uint8" else (-128, 127)
    if words.size and (words.min() < low or words.max() > high):
        raise InputError(f"values of {words.min()}..{words.max()}; the board takes {low}..{high}")
    return words


def _problem(frame: Frame | None) -> str:
    if frame is None:
        return "does not answer"
    if frame.type != FrameType.ERROR:
        return f"answers with a frame of the wrong type ({frame.type:#04x})"
    code = frame.payload[0] if frame.payload else 0
    name = ErrorCode(code).name.lower() if code in list(ErrorCode) else str(code)
    return f"refuses the request ({name})"

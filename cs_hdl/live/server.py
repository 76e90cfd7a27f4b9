"""A small HTTP server for the page: its files, and two questions that it asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cs_hdl.errors import CsHdlError, InputError, ToolError
from cs_hdl.live.recogniser import Recogniser

__all__ = ["make_server"]

_FOLDER = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
#: An image is some hundred bytes.
_MOST_BYTES = 10_000


def make_server(recogniser: Recogniser, *, host: str, port: int, samples: Callable[[int], Any]) -> ThreadingHTTPServer:
    """A server that is bound but not yet serving; port 0 takes a free one. ToolError where it cannot be bound.

    ``samples`` gives the pixels and the label of the test image with a number (modulo how many there are), or None
    where there are no test images.
    """

    class Handler(_Handler):
        pass

    Handler.recogniser = recogniser
    Handler.samples = staticmethod(samples)
    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ToolError(f"{host}:{port}: cannot listen there ({error.strerror}); take another --http-port") from None


class _Handler(BaseHTTPRequestHandler):
    recogniser: Recogniser
    samples: Callable[[int], Any]
    server_version = "cs-hdl"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in _FILES:
            name, kind = _FILES[path]
            self._send(HTTPStatus.OK, (_FOLDER / name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/api/info":
            self._json(HTTPStatus.OK, self.recogniser.describe() | {"samples": self.samples(0) is not None})
        elif path == "/api/sample":
            self._answer(lambda: self._sample(query))
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": f"{path}: not found"})

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= _MOST_BYTES:
            self.close_connection = True  # what else comes is not read
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "a request of no, or of too great a length"})
            return
        body = self.rfile.read(length)
        if self.path != "/api/infer":
            self._json(HTTPStatus.NOT_FOUND, {"error": f"{self.path}: not found"})
            return
        self._answer(lambda: self.recogniser.infer(_pixels(body)))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a page asks many times a second."""

    def _sample(self, query: str) -> Any:
        name, _, number = query.partition("=")
        if name != "number" or not number.isdecimal():
            raise InputError("give ?number=N")
        found = self.samples(int(number))
        if found is None:
            raise InputError("the test images come with scikit-learn: pip install 'cs-hdl[digits]'")
        return found

    def _answer(self, work: Callable[[], Any]) -> None:
        try:
            content, status = work(), HTTPStatus.OK
        except InputError as error:
            content, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        except CsHdlError as error:
            content, status = {"error": str(error)}, HTTPStatus.BAD_GATEWAY
        self._json(status, content)

    def _json(self, status: HTTPStatus, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _pixels(body: bytes) -> Any:
    try:
        content = json.loads(body)
    except ValueError:
        raise InputError("the request is not JSON") from None
    if not isinstance(content, dict) or "pixels" not in content:
        raise InputError('the request must be {"pixels": [...]}')
    return content["pixels"]

"""A small HTTP server for the page: its files, and the questions that it asks."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import CsHdlError, InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cs_hdl.live.recogniser import Recogniser
    from cs_hdl.live.task import Task

__all__ = ["make_server"]

_FOLDER = Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in ("page", "results", "digits", "speech")},
}


def make_server(recogniser: Recogniser, task: Task, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound but not yet serving; port 0 takes a free one. ToolError where it cannot be bound."""

    class Handler(_Handler):
        pass

    Handler.recogniser, Handler.task = recogniser, task
    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ToolError(f"{host}:{port}: cannot listen there ({error.strerror}); take another --http-port") from None


class _Handler(BaseHTTPRequestHandler):
    recogniser: Recogniser
    task: Task
    server_version = "cs-hdl"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in _FILES:
            name, kind = _FILES[path]
            self._send(HTTPStatus.OK, (_FOLDER / name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/api/info":
            self._json(HTTPStatus.OK, self.recogniser.describe() | self.task.describe())
        elif path == "/api/sample":
            self._answer(lambda: self._sample(query))
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": f"{path}: not found"})

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= self.task.most_bytes:
            self.close_connection = True  # what else comes is not read
            self._json(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                {"error": f"a request of no, or of too great a length; accepted: at most {self.task.most_bytes} bytes"},
            )
            return
        body = self.rfile.read(length)
        if self.path != "/api/infer":
            self._json(HTTPStatus.NOT_FOUND, {"error": f"{self.path}: not found"})
            return
        self._answer(lambda: self.recogniser.infer(self.task.read(body)))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a page asks many times a second."""

    def _sample(self, query: str) -> Any:
        name, _, number = query.partition("=")
        if name != "number" or not number.isdecimal():
            raise InputError("give ?number=N")
        return self.task.sample(int(number))

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

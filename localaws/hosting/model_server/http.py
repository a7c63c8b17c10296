"""HTTP/1.1 around a model: `GET /ping`, `POST /invocations`, connections kept open.

One thread a connection; as many requests in the model's handlers at once as the caller says. The
answer leaves in one write, without Nagle's delay.
"""

import io
import os
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from typing import ClassVar, NamedTuple

from .handlers import Answer, Model
from .head import TooLong, read_head

LARGEST_BODY = 6_291_456  # bytes, as InvokeEndpoint's
_LONGEST_LINE, _MOST_LINES = 16_384, 100
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Head(NamedTuple):
    """A request without its body. Header names are in lower case."""

    method: str
    path: str
    version: str
    headers: dict[str, str]


class Refused(Exception):
    """The request cannot be read; the connection ends with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(socketserver.StreamRequestHandler):
    """Answers for the model of its server."""

    rfile: io.BufferedReader
    disable_nagle_algorithm = True
    model: ClassVar[Model]
    predictions: ClassVar[threading.Semaphore]

    def handle(self) -> None:
        try:
            while (head := self._read_head()) is not None:
                stays = head.headers.get("connection", "").lower() != "close"
                stays = stays and head.version == "HTTP/1.1"
                self._send(self._answer(head), stays)
                if not stays:
                    return
        except Refused as refused:
            self._send(Answer(refused.status, str(refused).encode(), "text/plain"), False)

    def _read_head(self) -> Head | None:
        """None at the end of the connection."""
        try:
            lines = read_head(self.rfile, _LONGEST_LINE, _MOST_LINES)
        except TooLong as error:
            raise Refused(431, str(error)) from error
        if not lines:
            return None
        words = lines[0].split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise Refused(400, "this is no HTTP/1.1 request")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Head(words[0], words[1], words[2], headers)

    def _answer(self, head: Head) -> Answer:
        body = self._read_body(head)
        if (head.method, head.path) == ("GET", "/ping"):
            return Answer(200, b"", "text/plain")
        if (head.method, head.path) != ("POST", "/invocations"):
            return Answer(404, b"", "text/plain")
        with self.predictions:
            return self.model.invoke(
                body, head.headers.get("content-type"), head.headers.get("accept")
            )

    def _read_body(self, head: Head) -> bytes:
        length = head.headers.get("content-length", "0" if head.method == "GET" else "")
        if not length.isdecimal():
            raise Refused(411, "give the body's Content-Length")
        if int(length) > LARGEST_BODY:
            raise Refused(413, f"a body may have {LARGEST_BODY} bytes")
        if head.headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.rfile.read(int(length))

    def _send(self, answer: Answer, stays: bool) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n"
            f"Content-Type: {' '.join(answer.content_type.split())}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"Connection: {'keep-alive' if stays else 'close'}\r\n\r\n"
        )
        self.wfile.write(head.encode("latin-1", errors="replace") + answer.body)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def server_activate(self) -> None:
        super().server_activate()
        if self.address_family == socket.AF_UNIX:
            os.chmod(str(self.server_address), 0o600)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):  # a caller that went away is no news
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # a socket


class _UnixServer(_Server):
    address_family = socket.AF_UNIX


def listen(bind: str, model: Model, predictions: int) -> socketserver.BaseServer:
    """A server that accepts from now on, on a socket file or at HOST:PORT."""
    members = {"model": model, "predictions": threading.Semaphore(predictions)}
    host, colon, port = bind.rpartition(":")
    if colon and port.isdecimal() and not bind.startswith("/"):
        return _Server((host, int(port)), type("BoundHandler", (Handler,), members))
    if os.path.exists(bind):
        os.unlink(bind)  # of the process before this one
    handler = type("BoundHandler", (Handler,), {**members, "disable_nagle_algorithm": False})
    return _UnixServer(bind, handler)  # type: ignore[arg-type]  # the address is a path

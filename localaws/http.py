"""HTTP/1.1 in front of the gateway: connections stay open, and a request's head costs little.

werkzeug's handler ends each connection with its answer, because it cannot tell what of a request's
body is still unread, and so every call of every client pays for a connection and a thread. Here a
body knows its length: what the application leaves is read and forgotten, and the next request
follows. A head is read at a stroke, and not taken for an e-mail, as the standard library does.
"""

import io
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

from moto.moto_server.werkzeug_app import MotoRequestHandler

from localaws.hosting.model_server.head import TooLong, read_head

log = logging.getLogger(__name__)

IDLE = 30.0  # seconds that a connection may wait for its next request; it holds a thread
_LONGEST_LINE, _MOST_LINES = 65_536, 200
_LARGE = 65_536  # bytes
_BODILESS = (204, 304)
_GONE = (ConnectionError, TimeoutError)


class Body(io.RawIOBase):
    """A request's body: the next `left` bytes of the connection."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream, self.left = stream, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self.left]
        count: int = self._stream.readinto(view) if view else 0
        if count < len(view):
            raise ConnectionError("the client went away in the middle of its request")
        self.left -= count
        return count

    def drain(self) -> None:
        """Reads the rest, so that the next request is what comes next."""
        scratch = bytearray(min(self.left, 65_536))
        while self.left:
            self.readinto(scratch)


class Headers(list[tuple[str, str]]):
    """A request's headers in order, with what the base class asks of an e-mail's."""

    def items(self) -> "Headers":
        return self

    def keys(self) -> list[str]:
        return [name for name, _ in self]


class Handler(MotoRequestHandler):
    """Answers the requests of one connection, in turn, from the server's application."""

    rfile: io.BufferedReader
    headers: Headers  # type: ignore[assignment]  # an e-mail's in the base class
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        try:
            while self._read_head():
                self.connection.settimeout(None)
                if getattr(self.server, "is_closing", False) or not self._answer():
                    return
        except _GONE:
            return  # the client has left, or had nothing more to ask

    def _read_head(self) -> bool:
        """Whether there is another request; sets what the base class's `parse_request` would."""
        self.connection.settimeout(IDLE)
        try:
            lines = read_head(self.rfile, _LONGEST_LINE, _MOST_LINES)
        except TooLong:
            return self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not lines:
            return False
        words = lines[0].split()
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        self.requestline = lines[0]
        self.command, path, self.request_version = words
        self.path = "/" + path.lstrip("/") if path.startswith("//") else path
        self.headers = Headers()
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or line[0] in " \t":
                return self._refuse(HTTPStatus.BAD_REQUEST)
            self.headers.append((name, value.strip()))
        return True

    def _refuse(self, status: HTTPStatus) -> bool:
        line = f"HTTP/1.1 {status.value} {status.phrase}"
        self.wfile.write(f"{line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        return False

    def _answer(self) -> bool:
        """One answer. False ends the connection."""
        self.environ = environ = self.make_environ()
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ  # then its end is not known beforehand
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return self._refuse(HTTPStatus.BAD_REQUEST)
        body = Body(self.rfile, int(length))
        if not is_chunked:
            environ["wsgi.input"] = body
        wants_close = environ.get("HTTP_CONNECTION", "").lower() == "close"
        stays = not is_chunked and not wants_close and self.request_version == "HTTP/1.1"
        response = Response(self.wfile.write, self.command, self.request_version, stays)
        try:
            self._run(environ, response)
        except _GONE:
            raise
        except Exception:  # the gateway answers its own failures; this is one of moto's generators
            log.exception("%s failed", self.requestline)
            return False if response.is_started else self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        body.drain()
        return response.stays

    def _run(self, environ: WSGIEnvironment, response: "Response") -> None:
        parts = self.server.app(environ, response.start)
        try:
            for part in parts:
                response.write(part)
            response.end()
        finally:
            if hasattr(parts, "close"):
                parts.close()


class Response:
    """Writes one answer: its head together with the first part, chunks when its length is unknown.

    `stays` says whether the connection may be used again, `is_started` whether anything was sent.
    """

    def __init__(
        self, send: Callable[[bytes], Any], method: str, version: str, stays: bool
    ) -> None:
        self.stays = stays
        self._send, self._method, self._version = send, method, version
        self._head = b""
        self.is_started = self._is_chunked = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """WSGI's `start_response`."""
        names = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        has_body = self._method != "HEAD" and int(status[:3]) not in _BODILESS
        if has_body and "content-length" not in names:
            self._is_chunked = self._version == "HTTP/1.1"
            self.stays = self.stays and self._is_chunked
            if self._is_chunked:
                lines.append("Transfer-Encoding: chunked")
        lines.append(f"Connection: {'keep-alive' if self.stays else 'close'}")
        self._head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return self.write

    def write(self, part: bytes) -> None:
        if part and self._method != "HEAD":
            self._put(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)

    def end(self) -> None:
        """After the last part."""
        self._put(b"0\r\n\r\n" if self._is_chunked else b"")

    def _put(self, data: bytes) -> None:
        head, self._head, self.is_started = self._head, b"", True
        if len(data) > _LARGE:  # not worth copying for the sake of one packet less
            self._send(head)
            self._send(data)
        elif head or data:
            self._send(head + data)

"""Connections to a model server's socket file, kept open from one request to the next.

At the other end is `model_server.http`, so this speaks the little HTTP that it speaks.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from localaws.hosting.model_server.head import TooLong, read_head

_LONGEST_LINE, _MOST_LINES = 65_536, 200


class Reply(NamedTuple):
    """What a model server answered, and the seconds from the request's first byte to its last.

    Names of headers are in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class NotReached(ConnectionError):
    """There was nobody to take the request; it may be sent again."""


class _Connection:
    """One socket. OSError when it cannot be reached or ends too early."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._reader = self._socket.makefile("rb")
        self._path: str | None = path

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        if self._path:
            self._socket.connect(self._path)
            self._path = None
        given = {"Host": "localhost", **headers, "Content-Length": str(len(body))}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {given[name]}" for name in given)]
        self._socket.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        try:
            first, *lines = read_head(self._reader, _LONGEST_LINE, _MOST_LINES)
            headers: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers["content-length"])
            body = self._reader.read(length)
            status = int(first.split(None, 2)[1])
        except (ValueError, LookupError, TooLong) as error:
            raise ConnectionError("the answer is cut off") from error
        if len(body) < length:
            raise ConnectionError("the answer is cut off")
        return status, headers, body

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


class Connections:
    """The connections to one socket file. Safe to use from several threads.

    The folder is opened, and the file reached through its descriptor, because the address of a
    socket file may have 107 bytes and a folder's name of the user's more.
    """

    def __init__(self, folder: Path, name: str, timeout: float) -> None:
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path = f"/proc/self/fd/{self._folder}/{name}"
        self._timeout = timeout
        self._idle: deque[_Connection] = deque()
        self._closing = threading.Lock()

    def request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """One exchange. TimeoutError when it takes too long; NotReached when nothing was asked;
        ConnectionError when the server ended over it."""
        began = time.perf_counter()
        connection = self._send(method, path, body, headers)
        try:
            status, answered, content = connection.receive()
        except TimeoutError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            raise ConnectionError(f"the model server is gone: {error}") from error
        if answered.get("connection") == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return Reply(status, answered, content, time.perf_counter() - began)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Connection:
        while True:
            connection, is_fresh = self._take()
            try:
                connection.send(method, path, body, headers)
                return connection
            except TimeoutError:
                connection.close()
                raise
            except OSError as error:
                connection.close()
                if is_fresh:
                    raise NotReached(f"the model server does not answer: {error}") from error
                # Else it was idle while the server ended: the next one, or a new one.

    def _take(self) -> tuple[_Connection, bool]:
        try:
            return self._idle.pop(), False
        except IndexError:
            return _Connection(self._path, self._timeout), True

    def close(self) -> None:
        """May be called more than once."""
        with self._closing:
            while self._idle:
                self._idle.pop().close()
            if self._folder >= 0:
                os.close(self._folder)
                self._folder = -1

"""Connections to a model server's socket file, kept open from one request to the next."""

import http.client
import os
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple


class Reply(NamedTuple):
    """What a model server answered, and the seconds from the request's first byte to its last."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float


class NotReached(ConnectionError):
    """There was nobody to take the request; it may be sent again."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


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
            response = connection.getresponse()
            content = response.read()
        except TimeoutError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionError(f"the model server is gone: {error}") from error
        if not response.will_close:
            self._idle.append(connection)
        return Reply(response.status, response.headers, content, time.perf_counter() - began)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Connection:
        while True:
            connection, is_fresh = self._take()
            try:
                connection.request(method, path, body, headers)
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

"""The model server's HTTP: kept connections, limits, and heads that are none."""

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from localaws.hosting.model_server.handlers import Model
from localaws.hosting.model_server.http import listen

Address = tuple[str, int]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    script = ModuleType("script")
    script.model_fn = lambda folder: None  # type: ignore[attr-defined]  # made here
    script.transform_fn = lambda model, body, kind, accept: str(len(body))  # type: ignore[attr-defined]  # too
    server = listen("127.0.0.1:0", Model(script, tmp_path, "script"), predictions=2)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address  # type: ignore[misc]  # host and port
    server.shutdown()
    server.server_close()
    thread.join()


def said(address: Address, text: bytes) -> bytes:
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_one_connection_takes_many_requests(address: Address) -> None:
    connection = http.client.HTTPConnection(*address, timeout=5)
    for size in (0, 5, 100_000):
        connection.request("POST", "/invocations", b"x" * size, {"Content-Type": "image/png"})
        taken = connection.sock
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, str(size).encode())
        assert connection.sock is taken
    connection.close()


def test_a_ping_is_answered_and_other_paths_are_not(address: Address) -> None:
    assert said(address, b"GET /ping HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert said(address, b"GET /other HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\n\r\n", 411),
        (b"POST /invocations HTTP/1.1\r\nContent-Length: 6291457\r\n\r\n", 413),
        (b"GET /ping HTTP/1.1\r\n" + b"a" * 20_000, 431),
        (b"GET /ping HTTP/1.1\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(200)), 431),
    ],
)
def test_a_head_that_cannot_be_taken_ends_the_connection(
    address: Address, head: bytes, status: int
) -> None:
    answer = said(address, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in answer


def test_a_large_body_that_asks_first_is_told_to_go_on(address: Address) -> None:
    head = b"POST /invocations HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    assert said(address, head + b"abc").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")

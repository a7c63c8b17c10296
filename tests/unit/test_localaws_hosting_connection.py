"""Connections to a model server: kept, renewed, and what is said when it ends over a request."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localaws.hosting.connection import Connections, NotReached

OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"
)
Serve = Callable[[list[bytes]], None]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Answers each connection's first request with the next of these bytes, and closes it."""
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []

    def run(answers: list[bytes]) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

    def start(answers: list[bytes]) -> None:
        listener.bind(str(tmp_path / "server.sock"))
        listener.listen()
        threads.append(threading.Thread(target=run, args=(answers,)))
        threads[0].start()

    yield start
    for thread in threads:
        thread.join(5)
    listener.close()


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Connections]:
    made = Connections(tmp_path, "server.sock", timeout=5)
    yield made
    made.close()


def test_an_answer_is_taken_apart(serve: Serve, connections: Connections) -> None:
    serve([OK])
    reply = connections.request("POST", "/invocations", b"x", {"Content-Type": "image/png"})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"hi", "a/b")


def test_who_has_nobody_to_ask_is_told_that_it_may_ask_again(connections: Connections) -> None:
    with pytest.raises(NotReached):
        connections.request("GET", "/ping", b"", {})


@pytest.mark.parametrize("cut", [0, 10, 40, len(OK) - 1])
def test_an_answer_that_is_cut_off_is_no_answer(
    serve: Serve, connections: Connections, cut: int
) -> None:
    serve([OK[:cut]])
    with pytest.raises(ConnectionError, match="the model server is gone"):
        connections.request("POST", "/invocations", b"x", {})

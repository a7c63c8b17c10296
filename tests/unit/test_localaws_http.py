"""The HTTP in front of the gateway: connections that stay open, bodies nobody reads, bad heads."""

import http.client
import socket
import threading
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.serving import BaseWSGIServer, make_server

from localaws.http import Handler


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """`/read` answers the body, `/ignore` leaves it, `/parts` comes in parts of unknown length."""
    path, length = environ["PATH_INFO"], int(environ.get("CONTENT_LENGTH") or 0)
    if path == "/fail":
        raise ValueError("a bug")
    if path == "/parts":
        start_response("200 OK", [])
        return [b"one ", b"", b"two"]
    body: bytes = environ["wsgi.input"].read(length) if path == "/read" else b"ignored"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def server() -> Iterator[BaseWSGIServer]:
    made = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    made.daemon_threads = True  # type: ignore[attr-defined]  # from socketserver's mix-in
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def connection(server: BaseWSGIServer) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    yield made
    made.close()


def said(server: BaseWSGIServer, text: bytes) -> bytes:
    """All that comes back to these bytes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as raw:
        raw.sendall(text)
        raw.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: raw.recv(65_536), b""))


def test_one_connection_takes_many_requests_read_or_not(
    connection: http.client.HTTPConnection,
) -> None:
    for path, answer in (("/ignore", b"ignored"), ("/read", b"x" * 200_000)) * 3:
        connection.request("POST", path, b"x" * 200_000)
        taken = connection.sock
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, answer)
        assert connection.sock is taken


def test_an_answer_of_unknown_length_comes_in_chunks_and_the_connection_stays(
    connection: http.client.HTTPConnection,
) -> None:
    for _ in range(2):
        connection.request("GET", "/parts")
        response = connection.getresponse()
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.read() == b"one two"


def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(
    server: BaseWSGIServer,
) -> None:
    answer = said(server, b"GET /parts HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\n\r\none two")


def test_the_answer_to_a_head_has_no_body(connection: http.client.HTTPConnection) -> None:
    connection.request("HEAD", "/ignore")
    response = connection.getresponse()
    assert (response.headers["Content-Length"], response.read()) == ("7", b"")
    connection.request("GET", "/ignore")
    assert connection.getresponse().read() == b"ignored"


def test_who_expects_to_be_told_to_go_on_is_told_once(server: BaseWSGIServer) -> None:
    head = b"POST /read HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    answer = said(server, head)
    assert answer.count(b"100 Continue") == 1
    assert answer.endswith(b"\r\n\r\nab")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
    ],
)
def test_a_head_that_is_none_is_refused_and_the_connection_ends(
    server: BaseWSGIServer, head: bytes, status: int
) -> None:
    answer = said(server, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in answer


def test_a_request_that_is_cut_off_gets_no_answer_and_harms_nobody(
    server: BaseWSGIServer, connection: http.client.HTTPConnection
) -> None:
    assert said(server, b"POST /read HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc") == b""
    connection.request("GET", "/ignore")
    assert connection.getresponse().status == 200


def test_a_bug_of_the_application_ends_the_connection_and_is_logged(
    server: BaseWSGIServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(server, b"GET /fail HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500 ")
    assert "GET /fail HTTP/1.1 failed" in caplog.text


def test_a_server_that_closes_takes_nothing_more_from_an_open_connection(
    server: BaseWSGIServer, connection: http.client.HTTPConnection
) -> None:
    connection.request("GET", "/ignore")
    connection.getresponse().read()
    server.is_closing = True  # type: ignore[attr-defined]  # as localaws.server does
    connection.request("GET", "/ignore")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()

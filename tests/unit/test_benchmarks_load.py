"""The benchmarks' client: counts whole answers, and stops at the first one that is none."""

import threading
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.serving import make_server

from benchmarks.load import Client, Target, latencies, rate, request
from localaws.http import Handler


@pytest.fixture
def seen() -> list[bytes]:
    return []


@pytest.fixture
def port(seen: list[bytes]) -> Iterator[int]:
    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        body: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        seen.append(body)
        status = "200 OK" if environ["PATH_INFO"] == "/fine" else "500 Broken"
        start(status, [("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # from socketserver's mix-in
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_are_sent_in_turn_and_each_answer_is_whole(port: int) -> None:
    target = Target(
        "mine", port, [request("/fine", {}, b"a" * 100_000), request("/fine", {}, b"b")]
    )
    client = Client(target)
    assert [client.ask(n) for n in range(3)] == [b"a" * 100_000, b"b", b"a" * 100_000]
    client.close()


def test_every_answer_is_counted(port: int, seen: list[bytes]) -> None:
    target = Target("mine", port, [request("/fine", {}, b"x")])
    assert len(latencies(target, 0.2)) == len(seen) > 0
    seen.clear()
    assert rate(target, 3, 0.2) * 0.2 == pytest.approx(len(seen))


def test_an_error_ends_the_measurement_with_the_servers_name(port: int) -> None:
    target = Target("mine", port, [request("/broken", {}, b"x")])
    with pytest.raises(RuntimeError, match=r"mine answers b'HTTP/1\.1 500"):
        rate(target, 2, 0.5)

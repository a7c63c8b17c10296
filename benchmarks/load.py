"""A client that costs little: whole requests made beforehand, over connections that stay open.

The same code asks every server. One thread a client; each sends its next request when it has the
answer to the last one (a closed loop). On two cores the client's own time is the servers' loss, so
while the clock runs nothing is signed or encoded, and no more is parsed than tells one answer from
the next.
"""

import socket
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TIMEOUT = 60.0  # seconds for one answer


@dataclass(frozen=True)
class Target:
    """A server at `port` on this machine, and whole HTTP/1.1 requests to send it in turn.

    `group` is the process group of a server that may be halted while it is not asked.
    """

    name: str
    port: int
    requests: Sequence[bytes]
    group: int | None = None


def request(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of one POST."""
    given = {"Host": "127.0.0.1", **headers, "Content-Length": str(len(body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Client:
    """One connection. Raises RuntimeError for any answer but a 200."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._target.port), _TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, number: int) -> bytes:
        """The answer's body to the target's request of this number (they repeat)."""
        self._socket.sendall(self._target.requests[number % len(self._target.requests)])
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{self._target.name} answers {received[:200]!r}")
        length = int(head.partition(b"content-length:")[2].split(None, 1)[0])
        while len(received) < end + 4 + length:
            received += self._more()
        if b"connection: close" in head:
            self.close()
            self._connect()
        return received[end + 4 :]

    def _more(self) -> bytes:
        part = self._socket.recv(65_536)
        if not part:
            raise RuntimeError(f"{self._target.name} closed the connection")
        return part

    def close(self) -> None:
        self._socket.close()


def latencies(target: Target, seconds: float) -> list[float]:
    """The seconds of each answer to one client, in order."""
    client = Client(target)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        client.ask(len(found))
        found.append(time.perf_counter() - began)
    client.close()
    return found


def rate(target: Target, clients: int, seconds: float) -> float:
    """Answers a second with this many clients."""
    counts: list[int] = []
    failures: list[Exception] = []
    ready = threading.Barrier(clients)

    def run(offset: int) -> None:
        try:
            client, count = Client(target), 0
            ready.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                client.ask(offset + count)
                count += 1
            client.close()
            counts.append(count)
        except Exception as error:  # whatever it is, it is raised below, in the caller's thread
            failures.append(error)
            ready.abort()

    threads = [threading.Thread(target=run, args=(7 * n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts) / seconds


def percentile(values: Sequence[float], percent: int) -> float:
    """By `statistics.quantiles`, inclusive."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]

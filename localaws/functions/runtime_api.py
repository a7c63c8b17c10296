"""Lambda's Runtime API for one process, on a loopback port of its own.

The process asks for the next invocation and posts its response or its error; the port tells which
process it is. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PREFIX = "/2018-06-01/runtime/"
_LONGEST_ANSWER = 6 << 20  # bytes of a synchronous response


@dataclass
class Invocation:
    """One call of a function. `done` is set when `payload` is there, or the process is gone."""

    request_id: str
    event: bytes
    arn: str
    trace_id: str
    client_context: str = ""
    deadline_ms: int = 0
    payload: bytes | None = None
    error: str | None = None  # None, "Unhandled" or "Handled"
    done: threading.Event = field(default_factory=threading.Event)

    def answer(self, payload: bytes, error: str | None = None) -> None:
        """The first answer counts."""
        if not self.done.is_set():
            self.payload, self.error = payload, error
            self.done.set()

    def fail(self, kind: str, message: str) -> None:
        """An error of the platform's own, in Lambda's form."""
        self.answer(json.dumps({"errorType": kind, "errorMessage": message}).encode(), "Unhandled")


class RuntimeApi(ThreadingHTTPServer):
    """`ready` is set when the process has loaded the function, or has said why it cannot."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ready = threading.Event()
        self.init_error: bytes | None = None
        self.current: Invocation | None = None
        self._next: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True
        ).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def submit(self, invocation: Invocation) -> None:
        self.current = invocation
        self._next.put(invocation)

    def close(self) -> None:
        """Lets go of the port and of a process that waits."""
        self._next.put(None)
        threading.Thread(target=self.shutdown, daemon=True).start()
        self.server_close()

    def wait_next(self) -> Invocation | None:
        self.ready.set()
        return self._next.get()

    def fail_init(self, body: bytes) -> None:
        self.init_error = body
        self.ready.set()

    def find(self, request_id: str) -> Invocation | None:
        current = self.current
        return current if current is not None and current.request_id == request_id else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: RuntimeApi

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}invocation/next":
            return self._send(404)
        invocation = self.server.wait_next()
        if invocation is None:
            self.close_connection = True
            return None
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return self._send(200, invocation.event, headers)

    def do_POST(self) -> None:
        body = self._body()
        if self.path == f"{_PREFIX}init/error":
            self.server.fail_init(body)
            return self._send(202, b'{"status":"OK"}')
        _, _, rest = self.path.partition(f"{_PREFIX}invocation/")
        request_id, _, what = rest.partition("/")
        invocation = self.server.find(request_id)
        if invocation is None or what not in ("response", "error"):
            return self._send(400)
        self._send(202, b'{"status":"OK"}')
        if what == "error":
            return invocation.answer(body, "Unhandled")
        if len(body) > _LONGEST_ANSWER:
            return invocation.fail(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            )
        return invocation.answer(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each call would be noise."""

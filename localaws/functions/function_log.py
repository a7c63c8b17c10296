"""One process's log stream: what it prints, and the platform's lines between.

A function's line is in the pipe before its answer is, so `drain` after the answer has them all. The
lines reach CloudWatch Logs within a quarter of a second, beside the invocation.
"""

import datetime
import os
import select
import threading
from collections.abc import Callable

from localaws.jobs.logs import LogEvent, LogSink

_LATENCY = 0.25  # seconds that a line waits for others
_LONGEST = 256 * 1024 - 26  # bytes of an event
_TAIL = 4096  # bytes of the log that an invocation may bring along


class FunctionLog:
    """Reads `descriptor`, the reading end of the process's output."""

    def __init__(
        self,
        sink: LogSink,
        group: str,
        stream: str,
        now: Callable[[], datetime.datetime],
        descriptor: int,
    ) -> None:
        self._sink, self._group, self._stream, self._now = sink, group, stream, now
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._lock = threading.Lock()
        self._waiting: list[LogEvent] = []
        self._tail: list[str] = []
        self._rest = b""
        self._ended = False

    def begin(self, line: str) -> None:
        """An invocation starts: its tail begins here."""
        self.drain()
        with self._lock:
            self._tail = []
            self._append(line)

    def say(self, *lines: str) -> None:
        """Lines of the platform's own."""
        with self._lock:
            for line in lines:
                self._append(line)

    def tail(self) -> bytes:
        """The last 4 KB of the invocation's log."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._tail).encode()[-_TAIL:]

    def drain(self) -> None:
        """Takes what is in the pipe now."""
        with self._lock:
            while not self._ended:
                try:
                    chunk = os.read(self._descriptor, 1 << 16)
                except BlockingIOError:
                    return
                except OSError:  # closed, because the process is gone
                    chunk = b""
                self._ended = not chunk
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                if (not chunk and self._rest) or len(self._rest) > _LONGEST:
                    lines, self._rest = [*lines, self._rest], b""
                for line in lines:
                    text = line[:_LONGEST].decode("utf-8", errors="replace")
                    self._append(text.replace("\r", "\n") or " ")

    def follow(self) -> None:
        """Reads to the end of the pipe, which comes when every process that holds it is gone."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while not self._ended:
            if poll.poll(1000 * _LATENCY):
                self.drain()
                threading.Event().wait(_LATENCY / 10)  # gathers what comes in a burst
            self.flush()

    def flush(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
        if events:
            self._sink.put(self._group, self._stream, events)

    def _append(self, text: str) -> None:
        self._waiting.append({"timestamp": int(self._now().timestamp() * 1000), "message": text})
        self._tail.append(text)
        if len(self._tail) > 1000:
            del self._tail[:500]

"""A job's output, line by line, as CloudWatch Logs shows it while the job runs.

One log stream a job, named `<job>/algo-1-<milliseconds>` as on SageMaker, in the group of its kind.
Lines reach the stream within a quarter of a second, in batches, with the time of their arrival.
"""

import datetime
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

from moto.backends import get_backend

LogEvent = dict[str, int | str]

_LATENCY = 0.25  # seconds that a line waits for others
# An event's limit, less the 26 bytes that CloudWatch counts for each.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_LONGEST_LINE = 256 * 1024 - 26
# The streams live in memory, about 1 KB a line; a job that prints in a tight loop must not fill it.
_MOST_LINES = 100_000


class LogSink(Protocol):
    """Takes log events (`timestamp` in milliseconds, `message`) in order."""

    def put(self, group: str, stream: str, events: list[LogEvent]) -> None: ...


class CloudWatchLogs:
    """The log streams that CloudWatch clients of this process's moto see."""

    def __init__(self, account: str, region: str) -> None:
        self._account, self._region = account, region
        self._lock = threading.Lock()  # moto's backend has none

    def put(self, group: str, stream: str, events: list[LogEvent]) -> None:
        with self._lock:
            backend = get_backend("logs")[self._account][self._region]
            backend.ensure_log_group(group)
            backend.ensure_log_stream(group, stream)
            if events:
                backend.put_log_events(group, stream, events)


class JobLog:
    """One job's log stream; `on_line` sees each line as well (for metrics)."""

    def __init__(
        self,
        sink: LogSink,
        group: str,
        stream: str,
        now: Callable[[], datetime.datetime],
        on_line: Callable[[str], None] = lambda line: None,
        most_lines: int = _MOST_LINES,
    ) -> None:
        self._sink, self._group, self._stream = sink, group, stream
        self._now, self._on_line, self._most_lines = now, on_line, most_lines
        self._lock = threading.Lock()
        self._waiting: list[LogEvent] = []
        self._kept = self._dropped = 0
        self._rest = b""
        self._sink.put(group, stream, [])

    def say(self, text: str) -> None:
        """A line of the engine's own, at once."""
        self._append(text)
        self._flush()

    def follow(self, descriptor: int) -> None:
        """Reads a pipe to its end, which comes when every process that holds it is gone."""
        flushed = time.monotonic()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while True:
            if poll.poll(_LATENCY * 1000):
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    break
                self._feed(chunk)
            if time.monotonic() - flushed >= _LATENCY:
                self._flush()
                flushed = time.monotonic()
        if self._rest:
            self._line(self._rest)
        if self._dropped:
            first = f"the first {self._most_lines}"
            self._append(f"localaws left out {self._dropped} lines after {first}.")
        self._flush()

    def _feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST_LINE:  # an endless line is cut, not gathered
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", errors="replace").rstrip("\r")
        self._on_line(text)
        if self._kept >= self._most_lines:
            self._dropped += 1
            return
        self._kept += 1
        # CloudWatch refuses an empty message; the awslogs driver sends such a line as a space.
        self._append(text or " ")

    def _append(self, text: str) -> None:
        with self._lock:
            event: LogEvent = {"timestamp": int(self._now().timestamp() * 1000), "message": text}
            self._waiting.append(event)

    def _flush(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
            if events:
                self._sink.put(self._group, self._stream, events)

"""A job's program while it runs: its output read, its limits kept, its end waited for."""

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum

from localaws.jobs import sandbox
from localaws.jobs.logs import JobLog
from localaws.jobs.spec import RunLimits
from localaws.jobs.volume import Volume


class Cause(Enum):
    """What brought a program's end about."""

    ITSELF = "the program ended by itself"
    STOP = "somebody asked for it"
    TIME = "MaxRuntimeInSeconds passed"
    VOLUME = "the volume was full"


class Program:
    """Runs one program in its sandbox. `stop` and `kill` may come from any thread, at any time."""

    def __init__(
        self, log: JobLog, volume: Volume, limits: RunLimits, sync: Callable[[], None] | None
    ) -> None:
        self.is_stopping = self.is_killed = False
        self.seconds = 0.0
        self._log, self._volume, self._limits = log, volume, limits
        self._sync = sync  # None when no output is continuous
        self._wake, self._waker = os.pipe()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        self.is_stopping = True
        self._wake_up()

    def kill(self) -> None:
        """SIGKILL now, to every process of the job."""
        self.is_killed = True
        self._wake_up()

    def close(self) -> None:
        os.close(self._wake)
        os.close(self._waker)

    def _wake_up(self) -> None:
        with contextlib.suppress(OSError):  # the job has just ended and closed the pipe
            os.write(self._waker, b"!")

    def run(
        self,
        plan: sandbox.Plan,
        command: list[str],
        environment: dict[str, str],
        max_seconds: float,
    ) -> tuple[int, Cause]:
        """Runs the command to its end; returns its exit status (128 + N after signal N)."""
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0):
            try:
                process = sandbox.start(plan, command, environment, writer)
            finally:
                os.close(writer)
            began = time.monotonic()
            following = threading.Thread(target=self._log.follow, args=(reader,), daemon=True)
            following.start()
            try:
                cause = self._wait(process, began + max_seconds)
            finally:
                process.kill()
                process.wait()
                self.seconds = time.monotonic() - began
                following.join()
        if cause is Cause.ITSELF and self._volume.is_full():
            cause = Cause.VOLUME  # it was quicker than the watch
        code = process.returncode
        return (code if code >= 0 else 128 - code), cause

    def _wait(self, process: subprocess.Popen[bytes], deadline: float) -> Cause:
        cause = Cause.ITSELF
        next_sync = time.monotonic() + self._limits.sync if self._sync else float("inf")
        with _watching(process.pid, self._wake) as has_ended:
            while not has_ended(min(deadline, next_sync, self._next_look(cause))):
                now = time.monotonic()
                if self.is_killed or (cause is not Cause.ITSELF and now >= deadline):
                    process.kill()
                    deadline = float("inf")
                elif cause is Cause.ITSELF:
                    cause = self._reason_to_end(now >= deadline)
                    if cause is Cause.VOLUME:
                        process.kill()
                    elif cause is not Cause.ITSELF:
                        process.terminate()
                        deadline = now + self._limits.grace
                if self._sync and now >= next_sync:
                    self._sync()
                    next_sync = time.monotonic() + self._limits.sync
        return cause

    def _next_look(self, cause: Cause) -> float:
        return self._volume.next_look if cause is Cause.ITSELF else float("inf")

    def _reason_to_end(self, is_late: bool) -> Cause:
        if self.is_stopping:
            return Cause.STOP
        if is_late:
            return Cause.TIME
        return Cause.VOLUME if self._volume.looks_full() else Cause.ITSELF


@contextlib.contextmanager
def _watching(process: int, wake: int) -> Iterator[Callable[[float], bool]]:
    """Yields `has_ended(until)`: sleeps until the process ends, `wake` is written, or the time."""
    ended = os.pidfd_open(process)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(wake, select.POLLIN)

    def has_ended(until: float) -> bool:
        seconds = min(max(0.0, until - time.monotonic()), 3600.0)
        ready = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
        if wake in ready:
            os.read(wake, 64)
        return ended in ready

    try:
        yield has_ended
    finally:
        os.close(ended)

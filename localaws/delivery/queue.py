"""Entries that wait for their delivery, on the disk from the moment in which they are put.

An entry has a kind, and each kind one handler. The handler returns when it has delivered or has
given up; it raises `Again` to be called later with the same entry and one attempt more. An entry is
removed once what its delivery caused (an execution, a message in a queue) is on the disk too, so a
kill in between means a second delivery, never none.
"""

import heapq
import itertools
import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localaws.context import Context

log = logging.getLogger(__name__)

KIND = "delivery"
_WORKERS = 32  # an entry may last as long as the function that it calls

Entry = dict[str, Any]
Handler = Callable[[Entry], None]


class Again(Exception):
    """Not now: try again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class Queue:
    """The entries that are not delivered yet.

    `when_saved` calls what it is given once all that has happened up to then is on the disk.
    """

    def __init__(
        self,
        context: Context,
        when_saved: Callable[[Callable[[], None]], None] = lambda then: then(),
    ) -> None:
        self._store, self._now = context.store, context.now
        self._when_saved = when_saved
        self._handlers: dict[str, Handler] = {}
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Entry]] = []
        self._numbers = itertools.count()
        self._closing = False
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="delivery")
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def register(self, kind: str, handler: Handler) -> None:
        self._handlers[kind] = handler

    def put(self, kind: str, delay: float = 0.0, **body: Any) -> str:
        """Keeps an entry and returns its id; it is delivered after `delay` seconds."""
        now = self._now().timestamp()
        entry: Entry = {
            **body,
            **{"id": uuid.uuid4().hex, "kind": kind, "attempt": 0, "since": now},
            "due": now + delay,
        }
        self._store.put(KIND, entry["id"], entry)
        self._line_up(entry)
        return str(entry["id"])

    def recover(self) -> None:
        """Takes up what an earlier process has left, and starts to deliver."""
        for entry in self._store.all(KIND):
            self._line_up(entry)
        self._thread.start()

    def shutdown(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _line_up(self, entry: Entry) -> None:
        with self._changed:
            heapq.heappush(self._due, (entry["due"], next(self._numbers), entry))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing:
                    left = self._due[0][0] - self._now().timestamp() if self._due else 3600.0
                    if left <= 0:
                        break
                    self._changed.wait(min(left, 1.0) if self._due else None)
                if self._closing:
                    return
                entry = heapq.heappop(self._due)[2]
            self._workers.submit(self._deliver, entry)

    def _deliver(self, entry: Entry) -> None:
        try:
            self._handlers[entry["kind"]](entry)
        except Again as again:
            if not self._closing:
                due = self._now().timestamp() + again.seconds
                entry = {**entry, "attempt": entry["attempt"] + 1, "due": due}
                self._store.put(KIND, entry["id"], entry)
                self._line_up(entry)
            return
        except Exception:  # a handler that cannot deal with its entry must not stop the others
            if self._closing:
                return
            log.exception("%s %s could not be delivered and is dropped", entry["kind"], entry["id"])
        if not self._closing:
            self._when_saved(lambda: self._store.delete(KIND, entry["id"]))

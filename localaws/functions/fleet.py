"""The warm processes of all functions. An invocation takes an idle one, or starts another."""

import threading
import time
from typing import Any

from localaws.functions.errors import TooManyRequests
from localaws.functions.instance import Instance
from localaws.functions.runtime_api import Invocation
from localaws.functions.world import World

MOST = 10  # processes of one version; then invocations wait for one to be free
_IDLE_SECONDS = 300.0
_OLDEST_SECONDS = 6 * 3600.0  # the role's credentials last twelve hours
_LOOK_SECONDS = 5.0

Key = tuple[str, str, str]  # function, version, revision


class Fleet:
    """Processes by function, version and revision."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = threading.Condition()
        self._idle: dict[Key, list[Instance]] = {}
        self._counts: dict[Key, int] = {}
        self._busy: dict[str, int] = {}  # invocations by function
        self._all: set[Instance] = set()
        self._closing = False
        threading.Thread(target=self._reap, name="functions", daemon=True).start()

    def run(self, settings: dict[str, Any], invocation: Invocation, limit: int | None) -> bytes:
        """Runs the invocation and returns the tail of its log.

        `limit` is the function's reserved concurrency; past it the call is refused with
        TooManyRequests.
        """
        name = settings["FunctionName"]
        with self._changed:
            if limit is not None and self._busy.get(name, 0) >= limit:
                raise TooManyRequests("Rate Exceeded.")
            self._busy[name] = self._busy.get(name, 0) + 1
        key = (name, settings["Version"], settings["RevisionId"])
        instance = self._take(key, settings)
        try:
            return instance.run(invocation)
        finally:
            self._give_back(key, instance)

    def retire(self, name: str, version: str | None = None) -> None:
        """Ends the processes of a function that has changed; busy ones after their work."""
        with self._changed:
            keys = [k for k in self._idle if k[0] == name and version in (None, k[1])]
            for key in keys:
                for instance in self._idle.pop(key):
                    self._drop(key, instance)

    def shutdown(self) -> None:
        with self._changed:
            self._closing = True
            instances = list(self._all)
            self._changed.notify_all()
        for instance in instances:
            instance.kill()
        for instance in instances:
            instance.join()

    def _take(self, key: Key, settings: dict[str, Any]) -> Instance:
        with self._changed:
            while True:
                idle = self._idle.setdefault(key, [])
                while idle:
                    instance = idle.pop()  # the last used: the others may end of idleness
                    if instance.is_usable:
                        return instance
                    self._drop(key, instance)
                if self._counts.get(key, 0) < MOST:
                    self._counts[key] = self._counts.get(key, 0) + 1
                    break
                self._changed.wait()
        instance = Instance(self._world, settings)
        with self._changed:
            self._all.add(instance)
        return instance

    def _give_back(self, key: Key, instance: Instance) -> None:
        with self._changed:
            self._busy[key[0]] -= 1
            if instance.is_usable and key in self._idle and not self._closing:
                self._idle[key].append(instance)
            else:
                self._drop(key, instance)
            self._changed.notify()

    def _drop(self, key: Key, instance: Instance) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
        self._all.discard(instance)
        instance.kill()

    def _reap(self) -> None:
        while not self._closing:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            with self._changed:
                for key, idle in list(self._idle.items()):
                    for instance in list(idle):
                        is_idle = now - instance.used > _IDLE_SECONDS
                        if is_idle or now - instance.born > _OLDEST_SECONDS:
                            idle.remove(instance)
                            self._drop(key, instance)

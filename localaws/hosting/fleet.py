"""The instances of one endpoint configuration, and which of them answers a request."""

import random
import threading
from collections.abc import Iterator

from localaws.hosting.capture import Capture
from localaws.hosting.instance import Host, Instance
from localaws.hosting.spec import FleetSpec, HostingFailed, Interrupted, VariantSpec


class Fleet:
    """All variants of one configuration. `capture` is None when it captures nothing."""

    def __init__(self, host: Host, spec: FleetSpec) -> None:
        self.spec = spec
        self._host = host
        self._lock = threading.Lock()
        self._random = random.Random()
        self._instances: dict[str, list[Instance]] = {
            variant.name: self._new(variant, variant.instances) for variant in spec.variants
        }
        self.capture = self._make_capture()

    def start(self) -> None:
        """Starts every instance. Returns at once."""
        for instance in self.instances():
            instance.start()

    def wait_ready(self, stop: threading.Event) -> None:
        """Returns when all serve. HostingFailed with the first one's reason, or Interrupted."""
        for instance in self.instances():
            while not instance.settled.wait(0.05):
                if stop.is_set():
                    raise Interrupted
        self.check()

    def check(self) -> None:
        """HostingFailed when an instance has given up."""
        failures = [i.failure for i in self.instances() if i.failure]
        if failures:
            raise HostingFailed(failures[0])

    def instances(self) -> Iterator[Instance]:
        with self._lock:
            return iter([i for group in self._instances.values() for i in group])

    def count(self, variant: str) -> int:
        with self._lock:
            return len(self._instances[variant])

    def has(self, variant: str) -> bool:
        return variant in self._instances

    def pick_variant(self) -> str:
        """By weight. All weights zero: the first variant."""
        weights = [variant.weight for variant in self.spec.variants]
        names = [variant.name for variant in self.spec.variants]
        if len(names) == 1 or not any(weights):
            return names[0]
        return self._random.choices(names, weights)[0]

    def pick_instance(self, variant: str, seconds: float) -> Instance | None:
        """The least busy one that serves; waits while all start again; None when none does in time.

        Of equally busy ones it is always the first: its model lies in the processor's caches.
        """
        with self._lock:
            group = list(self._instances[variant])
        ready = [instance for instance in group if instance.is_ready]
        if ready:
            return min(ready, key=lambda instance: instance.in_flight)
        hopeful = [instance for instance in group if instance.failure is None]
        return hopeful[0] if hopeful and hopeful[0].wait_ready(seconds) else None

    def resize(self, spec: FleetSpec, stop: threading.Event) -> None:
        """Takes new weights and instance counts; HostingFailed leaves the old counts."""
        surplus: list[Instance] = []
        for variant in spec.variants:
            missing = variant.instances - self.count(variant.name)
            if missing > 0:
                self._grow(variant, missing, stop)
            with self._lock:
                group = self._instances[variant.name]
                surplus += group[variant.instances :]
                self._instances[variant.name] = group[: variant.instances]
        self.spec = spec
        for instance in surplus:
            instance.drain()
            instance.stop()

    def retire(self) -> None:
        """Ends it after the answers that are under way, and writes what it captured."""
        for instance in self.instances():
            instance.drain()
        self.stop()

    def stop(self) -> None:
        """Ends it now, and writes what it captured."""
        instances = list(self.instances())
        for instance in instances:
            instance.stop()
        for instance in instances:
            instance.join()
        if self.capture:
            self.capture.close()

    def _grow(self, variant: VariantSpec, missing: int, stop: threading.Event) -> None:
        added = self._new(variant, missing)
        for instance in added:
            instance.start()
        for instance in added:
            while not instance.settled.wait(0.05):
                if stop.is_set():
                    raise Interrupted
        failures = [instance.failure for instance in added if instance.failure]
        if failures:
            for instance in added:
                instance.stop()
            raise HostingFailed(failures[0] or "")
        with self._lock:
            self._instances[variant.name] += added

    def _new(self, variant: VariantSpec, count: int) -> list[Instance]:
        return [Instance(self._host, self.spec.endpoint, variant) for _ in range(count)]

    def _make_capture(self) -> Capture | None:
        settings = self.spec.capture
        if not settings or settings.get("EnableCapture") is False:
            return None
        context = self._host.context
        role = self.spec.variants[0].role_arn  # SageMaker's, which all variants share here
        return Capture(
            context.objects_of(role),
            context.home / "capture" / self.spec.endpoint,
            self.spec.endpoint,
            settings,
            context.now,
            self._host.limits.capture,
        )

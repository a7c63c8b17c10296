"""The endpoints that serve: each one's fleet, and a second one with its share in an update."""

import random
import threading
from collections.abc import Callable

from localaws.hosting.capture import upload_leftovers
from localaws.hosting.fleet import Fleet
from localaws.hosting.instance import Host
from localaws.hosting.spec import FleetSpec
from localaws.jobs.job import remove_folder


class Live:
    """One endpoint. Of its traffic, `share` (0 to 1) goes to `candidate`, the rest to `active`."""

    def __init__(self, active: Fleet) -> None:
        self.active = active
        self.candidate: Fleet | None = None
        self.share = 0.0
        self._random = random.Random()

    def route(self) -> Fleet:
        """The fleet that answers the next request."""
        candidate = self.candidate
        if candidate is not None and self.share > 0 and self._random.random() < self.share:
            return candidate
        return self.active

    def promote(self) -> Fleet:
        """The candidate takes over; returns the fleet that served before."""
        assert self.candidate is not None
        before, self.active = self.active, self.candidate
        self.candidate, self.share = None, 0.0
        return before

    def reject(self) -> Fleet | None:
        """All traffic goes back to the old fleet; returns the other one, if there was one."""
        rejected, self.candidate, self.share = self.candidate, None, 0.0
        return rejected


class Hosting:
    """All endpoints that serve, by name."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}
        self._fleets: set[Fleet] = set()
        self._threads: list[threading.Thread] = []

    def find(self, endpoint: str) -> Live | None:
        return self._live.get(endpoint)

    def host_fleet(self, spec: FleetSpec) -> Fleet:
        """A fleet that starts, and that ends with the server whatever becomes of it."""
        fleet = Fleet(self.host, spec)
        with self._lock:
            self._fleets.add(fleet)
        fleet.start()
        return fleet

    def end_fleet(self, fleet: Fleet, *, gently: bool = False) -> None:
        """Ends a fleet; `gently` lets the answers under way be given first."""
        if gently:
            fleet.retire()
        else:
            fleet.stop()
        with self._lock:
            self._fleets.discard(fleet)

    def serve(self, endpoint: str, fleet: Fleet) -> Live:
        """Requests to the endpoint go to this fleet from now on."""
        live = self._live[endpoint] = Live(fleet)
        return live

    def withdraw(self, endpoint: str) -> None:
        """Requests find nothing any more; its fleets end after the answers under way."""
        live = self._live.pop(endpoint, None)
        if live is not None:
            for fleet in (live.active, live.candidate):
                if fleet is not None:
                    self.end_fleet(fleet, gently=True)

    def in_background(self, name: str, work: Callable[[], None]) -> None:
        """A thread that `shutdown` waits for; the work watches `stopping`."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        with self._lock:
            self._threads = [t for t in self._threads if t.is_alive()]
            self._threads.append(thread)
            thread.start()

    def clean_up(self) -> None:
        """After a kill: what was captured goes to S3, the folders of dead instances go."""
        home = self.host.context.home
        upload_leftovers(self.host.context.objects, home / "capture")
        remove_folder(home / "endpoints")

    def shutdown(self) -> None:
        """Ends every process and writes what was captured."""
        self.stopping.set()
        for thread in list(self._threads):
            thread.join()
        for fleet in list(self._fleets):
            self.end_fleet(fleet)

"""What happens to an endpoint after the call that asked for it has returned: in a thread each.

    Creating ──► InService | Failed
    Updating ──► InService                       the new fleet serves
             └─► RollingBack ──► InService       the old one serves on; FailureReason says why
    Deleting ──► gone

After a restart of the server what was in service is hosted again (a request waits for it), and
what was under way starts over from the fleet that served.
"""

import logging
from collections.abc import Callable

from localaws.hosting.deployment import AlarmStates, Guard, Plan, shift
from localaws.hosting.live import Hosting, Live
from localaws.hosting.spec import FleetSpec, HostingFailed, Interrupted
from localaws.sagemaker.endpoint_records import (
    CREATING,
    DELETING,
    FAILED,
    IN_SERVICE,
    ROLLING_BACK,
    EndpointRecords,
)
from localaws.sagemaker.service import Response

log = logging.getLogger(__name__)


class EndpointChanges:
    """Creates, updates, resizes and deletes in the background."""

    def __init__(
        self, records: EndpointRecords, hosting: Hosting, alarm_states: AlarmStates
    ) -> None:
        self._records, self._hosting, self._alarm_states = records, hosting, alarm_states

    def create(self, name: str) -> None:
        self._background(name, lambda: self._create(name))

    def update(self, name: str) -> None:
        self._background(name, lambda: self._update(name))

    def resize(self, name: str) -> None:
        self._background(name, lambda: self._resize(name))

    def delete(self, name: str) -> None:
        self._background(name, lambda: self._delete(name))

    def recover(self) -> None:
        """After a restart: what was served is served again, what was under way goes on."""
        self._hosting.clean_up()
        for record in self._records.all():
            name, status = record["EndpointName"], record["EndpointStatus"]
            if status == CREATING:
                self.create(name)
            elif status == DELETING:
                self.delete(name)
            elif status != FAILED:
                spec = FleetSpec.from_json(record["Fleet"])
                self._hosting.serve(name, self._hosting.host_fleet(spec))
                self._background(name, self._resumption(name, record))

    def _resumption(self, name: str, record: Response) -> Callable[[], None]:
        """For an endpoint that is hosted again."""

        def resume() -> None:
            live = self._live(name)
            try:
                live.active.wait_ready(self._hosting.stopping)
            except HostingFailed as failure:
                self._hosting.withdraw(name)
                self._records.change(name, FAILED, FailureReason=str(failure), Pending=None)
                return
            if not record.get("Pending"):
                return
            if FleetSpec.from_json(record["Pending"]["Fleet"]).config == record["Fleet"]["config"]:
                self._resize(name)
            else:
                self._update(name)

        return resume

    def _background(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Interrupted:
                log.info("endpoint %s: the server stops; the next start goes on", name)
            except Exception as problem:  # the last stop of a thread: the endpoint must say it
                log.exception("endpoint %s", name)
                self._give_up(name, f"InternalServerError: {type(problem).__name__}: {problem}")

        self._hosting.in_background(f"endpoint/{name}", run)

    def _give_up(self, name: str, reason: str) -> None:
        status = IN_SERVICE if self._hosting.find(name) else FAILED
        self._records.change(name, status, FailureReason=reason, Pending=None)

    def _live(self, name: str) -> Live:
        live = self._hosting.find(name)
        if live is None:
            raise RuntimeError(f"endpoint {name} is not hosted")
        return live

    def _create(self, name: str) -> None:
        spec = FleetSpec.from_json(self._records.get(name)["Fleet"])
        fleet = self._hosting.host_fleet(spec)
        try:
            fleet.wait_ready(self._hosting.stopping)
        except HostingFailed as failure:
            self._hosting.end_fleet(fleet)
            self._records.change(name, FAILED, FailureReason=str(failure))
            return
        self._hosting.serve(name, fleet)
        self._records.change(name, IN_SERVICE)

    def _update(self, name: str) -> None:
        pending = self._records.get(name)["Pending"]
        spec = FleetSpec.from_json(pending["Fleet"])
        plan = Plan.of(pending["DeploymentConfig"], spec)
        live = self._live(name)
        self._records.note(name, "Creating", "Starting the new fleet.")
        fleet = live.candidate = self._hosting.host_fleet(spec)
        try:
            fleet.wait_ready(self._hosting.stopping)
            guard = Guard(plan, fleet, self._alarm_states, self._hosting.stopping)
            shift(live, plan, guard, lambda *words: self._records.note(name, *words))
        except HostingFailed as failure:
            live.reject()
            self._records.change(name, ROLLING_BACK, FailureReason=str(failure))
            self._hosting.end_fleet(fleet, gently=True)
            self._records.change(name, IN_SERVICE, Pending=None)
            return
        before = live.promote()
        self._hosting.end_fleet(before, gently=True)
        self._records.change(
            name,
            IN_SERVICE,
            Fleet=spec.to_json(),
            EndpointConfigName=spec.config,
            LastDeploymentConfig=pending["DeploymentConfig"],
            FailureReason=None,
            Pending=None,
        )

    def _resize(self, name: str) -> None:
        """New weights and instance counts of the fleet that serves."""
        spec = FleetSpec.from_json(self._records.get(name)["Pending"]["Fleet"])
        try:
            self._live(name).active.resize(spec, self._hosting.stopping)
        except HostingFailed as failure:
            self._records.change(name, IN_SERVICE, FailureReason=str(failure), Pending=None)
            return
        self._records.change(
            name, IN_SERVICE, Fleet=spec.to_json(), FailureReason=None, Pending=None
        )

    def _delete(self, name: str) -> None:
        self._hosting.withdraw(name)
        self._records.delete(name)

"""Schedules that fire: EventBridge rules with an expression, and those of EventBridge Scheduler.

moto keeps them. A thread looks at the clock twice a second; when a schedule was last looked at is
kept in the store, so that a restart neither repeats a time nor, after a short break, misses one.
"""

import datetime
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.events.models import events_backends
from moto.scheduler.models import scheduler_backends

from localaws.context import Context
from localaws.delivery.expressions import next_time
from localaws.delivery.rules import Rules
from localaws.moto_side.state import MotoState

log = logging.getLogger(__name__)

KIND = "schedule-clock"
_LOOK_SECONDS = 0.5
_LONGEST_BREAK = datetime.timedelta(minutes=5)  # a server that slept longer does not catch up


@dataclass(frozen=True)
class _Schedule:
    arn: str
    expression: str
    zone: str
    source: Any  # moto's rule or schedule
    created: datetime.datetime | None = None
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


class Schedules:
    """The clock of all schedules."""

    def __init__(self, context: Context, state: MotoState, rules: Rules) -> None:
        self._context, self._store, self._state, self._rules = context, context.store, state, rules
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def recover(self) -> None:
        self._thread.start()

    def shutdown(self) -> None:
        self._closing.set()
        self._thread.join()

    def look(self) -> None:
        """Fires what has become due since the last look."""
        now = self._context.now()
        found = {schedule.arn: schedule for schedule in self._enabled()}
        for schedule in found.values():
            clock = self._store.get(KIND, schedule.arn)
            if clock is None or clock["expression"] != schedule.expression:
                # A rule's time of creation is unknown; half a second may have passed since.
                since = schedule.created or now
                clock = {"since": since, "looked": since if clock is None else now}
                self._keep(schedule, **clock)
            looked = max(clock["looked"], now - _LONGEST_BREAK)
            due = self._due(schedule, clock["since"], looked)
            if due is not None and due <= now:
                self._keep(schedule, since=clock["since"], looked=due)
                self._fire(schedule, due)
        for clock in self._store.all(KIND):
            if clock["arn"] not in found:
                self._store.delete(KIND, clock["arn"])

    def _due(
        self, schedule: _Schedule, since: datetime.datetime, looked: datetime.datetime
    ) -> datetime.datetime | None:
        start = schedule.start or since
        after = max(looked, start - datetime.timedelta(seconds=1))
        try:
            due = next_time(schedule.expression, after, start, schedule.zone)
        except (ValueError, KeyError) as error:
            log.warning("%s: %s", schedule.arn, error)
            return None
        return None if due and schedule.end and due > schedule.end else due

    def _keep(
        self, schedule: _Schedule, since: datetime.datetime, looked: datetime.datetime
    ) -> None:
        record = {"arn": schedule.arn, "expression": schedule.expression}
        self._store.put(KIND, schedule.arn, {**record, "since": since, "looked": looked})

    def _fire(self, schedule: _Schedule, due: datetime.datetime) -> None:
        if ":scheduler:" in schedule.arn:
            self._fire_schedule(schedule, due)
            return
        rule = schedule.source
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._context.account,
            "time": due.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._context.region,
            "resources": [rule.arn],
            "detail": {},
        }
        for target in rule.targets:
            self._rules.send(rule.arn, target, event)

    def _fire_schedule(self, schedule: _Schedule, due: datetime.datetime) -> None:
        target = schedule.source.target
        moment = due.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = target.get("Input") or json.dumps({"time": moment})
        for name, value in (
            ("<aws.scheduler.schedule-arn>", schedule.arn),
            ("<aws.scheduler.scheduled-time>", moment),
            ("<aws.scheduler.execution-id>", uuid.uuid4().hex),
            ("<aws.scheduler.attempt-number>", "1"),
        ):
            text = text.replace(name, value)
        self._rules.queue(schedule.arn, target, text)
        is_once = schedule.expression.startswith("at(")
        if is_once and schedule.source.action_after_completion == "DELETE":
            group = self._backend(scheduler_backends).schedule_groups[schedule.source.group_name]
            group.schedules.pop(schedule.source.name, None)
            self._state.changed()

    def _enabled(self) -> Iterator[_Schedule]:
        for bus in list(self._backend(events_backends).event_buses.values()):
            for rule in list(bus.rules.values()):
                if rule.scheduled_expression and rule.state == "ENABLED":
                    yield _Schedule(rule.arn, rule.scheduled_expression, "UTC", rule)
        for group in list(self._backend(scheduler_backends).schedule_groups.values()):
            for found in list(group.schedules.values()):
                if found.state == "ENABLED":
                    yield _Schedule(
                        found.arn,
                        found.schedule_expression,
                        found.schedule_expression_timezone or "UTC",
                        found,
                        _moment(found.creation_date),
                        _moment(found.start_date),
                        _moment(found.end_date),
                    )

    def _backend(self, backends: Any) -> Any:
        return backends[self._context.account][self._context.region]

    def _run(self) -> None:
        self._state.wait_until_loaded()
        while not self._closing.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # one schedule that surprises must not stop the clock
                log.exception("the schedules could not be looked at")


def _moment(value: Any) -> datetime.datetime | None:
    """moto keeps a date as it came: seconds, or text."""
    if value in (None, ""):
        return None
    if isinstance(value, (int, float)) or str(value).replace(".", "").isdigit():
        return datetime.datetime.fromtimestamp(float(value), datetime.UTC)
    moment = datetime.datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)

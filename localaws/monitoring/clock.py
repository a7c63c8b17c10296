"""Starts the executions of monitoring schedules that are due.

A schedule's record has `_since`, the time up to which it needs nothing any more; a one-time
schedule has none once it has run. SageMaker starts an execution up to 20 minutes after its hour;
here it is `delay` after it, when the capture of the hour's last minute has been written. A server
that was down then makes good what is at most 20 minutes old, and no more.
"""

import datetime
import logging
import threading
from collections.abc import Callable

from localaws.context import Context
from localaws.monitoring import times
from localaws.monitoring.executions import Executions
from localaws.sagemaker.monitoring_schedules import KIND, MonitoringSchedules, is_once
from localaws.store import Record

log = logging.getLogger(__name__)

DELAY = datetime.timedelta(seconds=90)
_LATEST = datetime.timedelta(minutes=20)
_LOOK_SECONDS = 0.5


class Clock:
    """The thread that looks at the schedules. `ready` returns when roles can be assumed."""

    def __init__(
        self,
        context: Context,
        schedules: MonitoringSchedules,
        executions: Executions,
        ready: Callable[[], None] = lambda: None,
        delay: datetime.timedelta = DELAY,
    ) -> None:
        self._context, self._store = context, context.store
        self._schedules, self._executions = schedules, executions
        self._ready, self._delay = ready, delay
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)

    def recover(self) -> None:
        self._thread.start()

    def shutdown(self) -> None:
        self._closing.set()
        self._thread.join()

    def look(self) -> None:
        """Starts what is due now, and settles what has ended."""
        for schedule in self._store.all(KIND):
            due = self._due(schedule)
            if due:
                self._fire(schedule, due)
        self._executions.settle()

    def _due(self, schedule: Record) -> datetime.datetime | None:
        if schedule["MonitoringScheduleStatus"] != "Scheduled":
            return None
        if is_once(schedule):
            since: datetime.datetime | None = schedule.get("_since")
            return since.replace(microsecond=0) if since else None
        since = schedule.get("_since") or schedule["LastModifiedTime"]
        expression = schedule["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
        now = self._context.now()
        due = times.last_due(expression, now - self._delay)
        return due if due > since and now - due <= _LATEST else None

    def _fire(self, schedule: Record, due: datetime.datetime) -> None:
        name = schedule["MonitoringScheduleName"]
        with self._store.transaction():
            if self._store.get(KIND, name) != schedule:
                return  # changed meanwhile: the next look sees it as it is now
            self._store.update(KIND, name, _since=None if is_once(schedule) else due)
            execution = self._executions.begin(schedule, due)
        self._executions.launch(execution, self._schedules.definition)

    def _run(self) -> None:
        self._ready()
        self._guarded(self._executions.recover)
        while not self._closing.wait(_LOOK_SECONDS):
            self._guarded(self.look)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # one schedule that surprises must not stop the clock
            log.exception("the monitoring schedules could not be looked at")

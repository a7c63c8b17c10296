"""One tuning job under way: workers that start trials and wait for them.

There are as many workers as trials may run at once. Each takes the next number, starts that trial
and waits for its end. What ends the search early (a stop, its time limit, a criterion that is met,
trials that cannot tell the objective) is one reason, set once: no trial is started after it, and
those that run are stopped.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from localaws.errors import ApiError
from localaws.tuning.objective import Criteria, Objective
from localaws.tuning.strategies import Choice, Trials

Json = dict[str, Any]

COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
ENOUGH_WITHOUT = 5  # trials without the metric, and none with it: AWS gives up, in these words
NO_METRIC = (
    "No objective metrics found after running {count} training jobs. Please ensure that the custom "
    "algorithm is emitting the objective metric as defined by the regular expression provided."
)
ALL_FAILED = (
    "All training jobs failed. Please take a look at the training jobs failures to get more "
    "details. The first one: {reason}"
)
_LOG = logging.getLogger(__name__)


class Jobs(Protocol):
    """What a search needs of training jobs."""

    def wait(self, name: str) -> Json: ...
    def stop_training_job(self, request: Json) -> Json: ...


@dataclass(frozen=True)
class Plan:
    """What a tuning job asks for; times in seconds."""

    trials: Trials
    parallel: int
    objective: Objective
    criteria: Criteria
    max_seconds: float | None = None


@dataclass
class End:
    """How a search ended, or is about to: its status and, for a failure, why."""

    status: str
    reason: str = ""


@dataclass
class Search:
    """Runs a plan. `start(number, choice)` starts a trial and returns its job's name; `done(end)`
    is called once, in a worker's thread."""

    plan: Plan
    jobs: Jobs
    start: Callable[[int, Choice], str]
    done: Callable[[End], None]
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next: int = 0
    _workers: int = 0
    _end: End | None = None
    _abandoned: bool = False
    _running: set[str] = field(default_factory=set)
    _ended: list[Json] = field(default_factory=list)

    def begin(self) -> None:
        self._workers = min(self.plan.parallel, self.plan.trials.count)
        for number in range(self._workers):
            threading.Thread(target=self._work, name=f"tuning {number}", daemon=True).start()
        if self.plan.max_seconds is not None:
            threading.Thread(target=self._limit, name="tuning limit", daemon=True).start()

    def stop(self) -> None:
        """Starts nothing more and stops what runs. Returns before the trials have ended."""
        self._finish(End(STOPPED))

    def abandon(self) -> None:
        """The server goes down: nothing more is started or told."""
        with self._lock:
            self._abandoned = True
            self._end = self._end or End(STOPPED)

    def _limit(self) -> None:
        if not self.over.wait(self.plan.max_seconds):
            self._finish(End(STOPPED, "The tuning job ran past MaxRuntimeInSeconds."))

    def _work(self) -> None:
        try:
            while (number := self._take()) is not None:
                self._run(number)
        except Exception as error:  # a bug of ours must end the tuning job, or nobody hears of it
            if not self._abandoned:  # while the server goes down, the store may be closed
                _LOG.exception("a trial")
                self._finish(End(FAILED, f"InternalServerError: {error!r}"))
        with self._lock:
            self._workers -= 1
            last = self._workers == 0
        if last:
            try:
                if not self._abandoned:
                    self.done(self._end or self._result())
            finally:
                self.over.set()

    def _take(self) -> int | None:
        with self._lock:
            if self._end is not None or self._next >= self.plan.trials.count:
                return None
            self._next += 1
            return self._next - 1

    def _run(self, number: int) -> None:
        try:
            name = self.start(number, self.plan.trials.choice(number))
        except ApiError as error:  # a role or a bucket that went away since the first trial
            self._finish(End(FAILED, f"ClientError: {error.message}"))
            return
        with self._lock:
            self._running.add(name)
            is_late = self._end is not None
        if is_late:
            self._stop_job(name)
        job = self.jobs.wait(name)
        with self._lock:
            self._running.discard(name)
            self._ended.append(job)
            end = self._verdict()
        if end is not None:
            self._finish(end)

    def _verdict(self) -> End | None:
        """Whether what has ended by now ends the search."""
        values = self._values()
        if self.plan.criteria.met(self.plan.objective, values):
            return End(COMPLETED)
        completed = [job for job in self._ended if job["TrainingJobStatus"] == COMPLETED]
        if not values and len(completed) >= ENOUGH_WITHOUT:
            return End(FAILED, NO_METRIC.format(count=len(completed)))
        return None

    def _result(self) -> End:
        """After the last trial: failed only when no trial is of use."""
        if self._values():
            return End(COMPLETED)
        completed = [job for job in self._ended if job["TrainingJobStatus"] == COMPLETED]
        if completed:
            return End(FAILED, NO_METRIC.format(count=len(completed)))
        reasons = [job.get("FailureReason") or job["TrainingJobStatus"] for job in self._ended]
        return End(FAILED, ALL_FAILED.format(reason=reasons[0])[:1024])

    def _values(self) -> list[float]:
        found = (self.plan.objective.value(job) for job in self._ended)
        return [value for value in found if value is not None]

    def _finish(self, end: End) -> None:
        with self._lock:
            if self._end is not None:
                return
            self._end = end
            running = list(self._running)
        for name in running:
            self._stop_job(name)

    def _stop_job(self, name: str) -> None:
        try:
            self.jobs.stop_training_job({"TrainingJobName": name})
        except ApiError:
            return  # it has ended by itself

"""Runs one execution of a pipeline.

A step that ends looks for the steps that became ready and starts each on a thread of its own; the
last one to end closes the execution. All decisions are made under one lock, from what the store
already holds, so a kill at any moment leaves records that `recover` can close.

An unhandled failure, and a stop, keep further steps from starting. What is running when a step
fails is left to finish, as on AWS; what is running at a stop is stopped. A failure is handled when
a step of the pipeline waits for just that (`Trigger` Failed or Any).
"""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from localaws.pipelines.execution import Execution
from localaws.pipelines.records import Records
from localaws.pipelines.step_run import StepRun, Wait
from localaws.pipelines.steps import Handler, StepFailed
from pipeline_definition.definition import ANY, COMPLETED, FAILED, STOPPED, Step

Json = dict[str, Any]

DEFAULT_PARALLEL_STEPS = 50
SKIPPED = "Skipped"  # ours: a branch not taken, or a dependency that can no longer be met
_ENDED = ("Succeeded", "Failed", "Stopped", SKIPPED)
_LETS_RUN = {
    COMPLETED: ("Succeeded",),
    FAILED: ("Failed",),
    STOPPED: ("Stopped",),
    ANY: ("Succeeded", "Failed", "Stopped"),
}
_LOG = logging.getLogger(__name__)


class Run:
    """One execution under way. `done(run)` is called once, when it has ended.

    A retried execution is a new run: the steps that the store shows as ended stay as they are.
    """

    def __init__(
        self,
        store: Records,
        execution: Execution,
        handlers: Mapping[str, Handler],
        parallel: int = DEFAULT_PARALLEL_STEPS,
        wait: Wait = threading.Event.wait,
        done: Callable[["Run"], None] = lambda run: None,
    ) -> None:
        self.key = execution.key
        self.parallel = parallel
        self._store = store
        self._execution = execution
        self._steps = execution.definition.steps
        self._handlers = handlers
        self._wait = wait
        self._done = done
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._closed = False
        self._failure: str | None = None  # the first unhandled failure, in a sentence
        self._running: dict[str, StepRun] = {}
        self._records = {record["StepName"]: record for record in store.steps(execution.key)}
        self._status = {name: record["StepStatus"] for name, record in self._records.items()}

    def advance(self) -> None:
        """Starts every step that is ready; closes the execution when none is left."""
        with self._lock:
            if self._closed:
                return
            self._skip_unreachable()
            for step in self._steps.values():
                if len(self._running) >= self.parallel:
                    return
                if step.name not in self._status and self._is_ready(step):
                    self._start(step)
            if not self._running:
                self._close()

    def stop(self) -> None:
        """Stops what is running, and starts nothing more. Returns before the jobs have ended."""
        with self._lock:
            if self._closed:
                return
            self._stopping.set()
            self._store.change_execution(self._execution.key, PipelineExecutionStatus="Stopping")
            running = list(self._running.values())
            for step_run in running:
                self._save(step_run.step.name, StepStatus="Stopping")
            self.advance()
        for step_run in running:
            step_run.stop()

    def abandon(self) -> None:
        """Lets go of the execution: nothing more is started or written."""
        with self._lock:
            self._closed = True
            self._stopping.set()

    # Deciding

    def _is_ready(self, step: Step) -> bool:
        if self._failure or self._stopping.is_set():
            return False
        return all(
            self._status.get(name) in _LETS_RUN[trigger] for name, trigger in step.after.items()
        )

    def _skip_unreachable(self) -> None:
        changed = True
        while changed:
            changed = False
            for step in self._steps.values():
                if step.name not in self._status and self._is_unreachable(step):
                    self._status[step.name] = SKIPPED
                    changed = True

    def _is_unreachable(self, step: Step) -> bool:
        branch = step.branch
        if branch and self._status.get(branch.condition) == "Succeeded":
            outcome = self._records[branch.condition]["Properties"]["Outcome"]
            if outcome != str(branch.outcome):
                return True
        return any(
            self._status.get(name) in _ENDED and self._status[name] not in _LETS_RUN[trigger]
            for name, trigger in step.after.items()
        )

    def _is_handled(self, name: str) -> bool:
        return any(step.after.get(name) in (FAILED, ANY) for step in self._steps.values())

    def _close(self) -> None:
        changes: Json = {"PipelineExecutionStatus": "Succeeded"}
        if self._stopping.is_set():
            changes = {"PipelineExecutionStatus": "Stopped"}
        elif self._failure:
            # AWS says "One or multiple steps failed." here, and leaves the search to the reader.
            reason = " ".join(f"Step failure: {self._failure}".split())[:1300]
            changes = {"PipelineExecutionStatus": "Failed", "FailureReason": reason}
        elif "Failed" in self._status.values():
            changes = {"PipelineExecutionStatus": "CompletedWithFailures"}
        self._closed = True
        self._store.change_execution(self._execution.key, **changes)
        self._done(self)

    # Running

    def _start(self, step: Step) -> None:
        self._save(
            step.name,
            StepType=step.type,
            StepDisplayName=step.display_name,
            StepDescription=step.description,
            StepStatus="Starting",
            StartTime=self._execution.context.now(),
            AttemptCount=0,
        )
        step_run = StepRun(
            self._execution,
            step,
            self._handlers[step.type],
            lambda name: self._records[name]["Properties"],
            partial(self._save, step.name),
            self._stopping,
            self._wait,
        )
        self._running[step.name] = step_run
        threading.Thread(
            target=self._run, args=(step_run,), name=f"step {step.name}", daemon=True
        ).start()

    def _run(self, step_run: StepRun) -> None:
        step = step_run.step
        failure = None
        try:
            changes = step_run.run()
        except StepFailed as raised:
            failure = raised
        except Exception as error:  # a bug of ours must end the step, or its execution hangs
            _LOG.exception("step %s of %s", step.name, self._execution.arn)
            failure = StepFailed(f"InternalServerError: {error!r}")
        with self._lock:
            if failure:
                changes = self._failed(step, failure)
            self._save(step.name, EndTime=self._execution.context.now(), **changes)
            del self._running[step.name]
            self.advance()

    def _failed(self, step: Step, failure: StepFailed) -> Json:
        """The closing members of a failed or stopped step; notes what the execution died of."""
        changes: Json = {"StepStatus": "Failed", "FailureReason": failure.reason[:1024]}
        if failure.metadata:
            changes["Metadata"] = failure.metadata
        if failure.stopped and self._stopping.is_set():
            return {"StepStatus": "Stopped"}
        if failure.stopped:
            changes["StepStatus"] = "Stopped"
        if not self._failure and not self._is_handled(step.name):
            self._failure = f"{step.name} failed: {failure.reason}"
        return changes

    def _save(self, name: str, **changes: Any) -> None:
        """Changes a step's record, unless the execution has been let go."""
        with self._lock:
            if self._closed:
                return
            if self._stopping.is_set() and changes.get("StepStatus") == "Executing":
                del changes["StepStatus"]  # a try that began while the stop was under way
            record = self._records.setdefault(name, {"StepName": name})
            record.update(changes)
            self._status[name] = record["StepStatus"]
            self._store.put_step(self._execution.key, record)

"""The executions that are under way: which one may enter a stage, and what happens there.

A stage holds one execution at a time. QUEUED: the others wait in the order of their start.
SUPERSEDED: of those that wait for the same stage, the newest goes on and the others end.
https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.releases.actions import Actions, Ask, Done, Failure
from localaws.releases.definitions import PROVIDERS
from localaws.releases.execution import KIND, Execution
from localaws.releases.variables import Unresolved, resolve

log = logging.getLogger(__name__)

Json = dict[str, Any]


class _Halt(Exception):
    """The execution is stopped, superseded or abandoned by a server that ends."""


class Engine:
    """Runs each execution in a thread; `start` takes a new one or one that a restart has found."""

    def __init__(
        self,
        context: Context,
        actions: Actions,
        announce: Callable[[str, list[str], Json], None],
    ) -> None:
        self._context, self._actions, self._announce = context, actions, announce
        self._changed = threading.Condition()
        self._running: dict[str, Execution] = {}  # by id, in the order of their start
        self._waits: dict[str, tuple[str, str]] = {}  # id → the pipeline and stage it waits for
        self._holds: dict[tuple[str, str], str] = {}  # a pipeline's stage → the id inside
        self._closing = False

    def start(self, record: Json, is_new: bool = False) -> Execution:
        execution = Execution(self._context, record, self._announce)
        with self._changed:
            self._running[execution.id] = execution
            if is_new:
                execution.become("InProgress")
        threading.Thread(
            target=self._run, args=(execution,), name=f"release {execution.id}", daemon=True
        ).start()
        return execution

    def live(self, identity: str) -> Execution | None:
        """The execution while it runs."""
        with self._changed:
            return self._running.get(identity)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def recover(self) -> None:
        """Takes up what an earlier process has left, in the order of its start."""
        for record in self._context.store.all(KIND):
            if record["status"] in ("InProgress", "Stopping"):
                self.start(record)

    def shutdown(self) -> None:
        """Lets go of everything; what is under way is taken up by the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _run(self, execution: Execution) -> None:
        try:
            for stage in execution.pipeline["stages"]:
                if execution.record["stages"].get(stage["name"]) == "Succeeded":
                    continue
                self._enter(execution, stage["name"])
                try:
                    self._stage(execution, stage)
                finally:
                    self._leave(execution, stage["name"])
            execution.become("Succeeded")
        except Failure as failure:
            execution.become("Failed", failure.message)
        except _Halt:
            if not self._closing and execution.record["status"] == "Stopping":
                execution.become("Stopped", execution.record["stop"]["reason"])
        except Exception as problem:  # ours: an execution must end all the same
            log.exception("release %s failed", execution.id)
            execution.become("Failed", f"localaws failed: {problem}")
        finally:
            with self._changed:
                self._running.pop(execution.id, None)
                self._changed.notify_all()

    def _enter(self, execution: Execution, stage: str) -> None:
        place = (execution.pipeline["name"], stage)
        with self._changed:
            self._waits[execution.id] = place
            self._changed.notify_all()
            try:
                while not self._may_enter(execution, place):
                    self._changed.wait(1.0)
                self._holds[place] = execution.id
            finally:
                del self._waits[execution.id]

    def _may_enter(self, execution: Execution, place: tuple[str, str]) -> bool:
        self._check(execution)
        rivals = [i for i in self._running if self._waits.get(i) == place]
        newest = rivals[-1] == execution.id
        if execution.pipeline["executionMode"] == "SUPERSEDED" and not newest:
            newer = rivals[-1]
            execution.become("Superseded", f"Superseded by execution {newer}.")
            raise _Halt
        if place in self._holds:
            return False
        # Those that started earlier go first, whether they wait here or are still on their way.
        earlier = list(self._running)[: list(self._running).index(execution.id)]
        is_queued = execution.pipeline["executionMode"] == "QUEUED"
        same = [i for i in earlier if self._waits.get(i) == place]
        return not (is_queued and same)

    def _leave(self, execution: Execution, stage: str) -> None:
        with self._changed:
            self._holds.pop((execution.pipeline["name"], stage), None)
            self._changed.notify_all()

    def _check(self, execution: Execution) -> None:
        if self._closing or execution.is_over or execution.record["status"] == "Stopping":
            raise _Halt

    def _stage(self, execution: Execution, stage: Json) -> None:
        execution.stage(stage["name"], "InProgress")
        try:
            for order in sorted({action.get("runOrder", 1) for action in stage["actions"]}):
                chosen = [a for a in stage["actions"] if a.get("runOrder", 1) == order]
                self._together(execution, stage["name"], chosen)
        except Failure:
            execution.stage(stage["name"], "Failed")
            raise
        except _Halt:
            if not self._closing:
                execution.stage(stage["name"], "Stopped")
            raise
        execution.stage(stage["name"], "Succeeded")

    def _together(self, execution: Execution, stage: str, actions: list[Json]) -> None:
        """Runs the actions of one order at once; raises the first one's failure at the end."""
        problems: list[Exception] = []

        def run(action: Json) -> None:
            try:
                self._action(execution, stage, action)
            except Exception as problem:  # raised below, in the execution's own thread
                problems.append(problem)

        others = [threading.Thread(target=run, args=(a,), daemon=True) for a in actions[1:]]
        for thread in others:
            thread.start()
        run(actions[0])
        for thread in others:
            thread.join()
        if problems:
            raise problems[0]

    def _action(self, execution: Execution, stage: str, action: Json) -> None:
        self._check(execution)
        given = action.get("configuration", {})
        state = execution.begin(stage, action, given)
        if state["status"] == "Succeeded":
            return
        try:
            configuration = {
                key: resolve(v, self._namespaces(execution)) for key, v in given.items()
            }
            execution.note(state, {"resolvedConfiguration": configuration})
            done = self._do(execution, action, configuration, state)
        except Unresolved as problem:
            self._fail(execution, state, Failure("InvalidConfiguration", str(problem)))
        except Failure as failure:
            self._fail(execution, state, failure)
        except _Halt:
            if not self._closing:
                execution.note(state, {"status": "Abandoned"})
            raise
        else:
            self._succeed(execution, action, state, done)

    def _do(
        self, execution: Execution, action: Json, configuration: dict[str, str], state: Json
    ) -> Done:
        kind = action["actionTypeId"]
        method, _ = PROVIDERS[kind["category"], kind["owner"], kind["provider"]]
        revisions = execution.record["artifactRevisions"]
        waits_for_a_person = method == "approval"
        ask = Ask(
            pipeline=execution.pipeline,
            action=action,
            configuration=configuration,
            state=state,
            artifacts=execution.record["artifacts"],
            revision=revisions[0]["revisionId"] if revisions else "",
            wait=lambda seconds: self._wait(execution, seconds, waits_for_a_person),
            note=lambda changes: execution.note(state, changes),
        )
        done: Done = getattr(self._actions, method)(ask)
        return done

    def _wait(self, execution: Execution, seconds: float, waits_for_a_person: bool) -> None:
        """A stop lets a build end, unless it abandons; it does not wait for a person."""
        with self._changed:
            self._changed.wait(seconds)
        stop = execution.record.get("stop")
        if self._closing or (stop and (stop["abandon"] or waits_for_a_person)):
            raise _Halt
        time.sleep(0.01)  # a wake-up for another execution must not make this one spin

    def _fail(self, execution: Execution, state: Json, failure: Failure) -> None:
        details = {"code": failure.code, "message": failure.message}
        execution.note(state, {"status": "Failed", "errorDetails": details})
        raise failure

    def _succeed(self, execution: Execution, action: Json, state: Json, done: Done) -> None:
        with execution.lock:
            record = execution.record
            record["artifacts"] |= done.artifacts
            if done.revision:
                names = [artifact["name"] for artifact in action["outputArtifacts"]]
                record["artifactRevisions"].append({"name": names[0], **done.revision})
            if action.get("namespace"):
                record["namespaces"][action["namespace"]] = done.variables
            changes = {"status": "Succeeded", "summary": done.summary}
            execution.note(state, {**changes, "outputVariables": done.variables})

    def _namespaces(self, execution: Execution) -> dict[str, dict[str, str]]:
        record = execution.record
        return {
            **record["namespaces"],
            "variables": record["variables"],
            "codepipeline": {"PipelineExecutionId": execution.id},
        }

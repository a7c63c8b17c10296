"""Executions go on after a restart or a kill, as Step Functions never loses a standard one.

The history tells where an execution was: the last state that it entered is entered again, with the
input that stands there, under the same ARN and with its next events in the same history. So what
that state did before is done once more: a task is called again with its retries counted anew, a
Wait in seconds waits them all, and a task token from before is no longer known. The time limit of
the whole execution goes on counting.

What cannot go on is FAILED and says why: an Express execution, which AWS may lose too; one inside a
Map or Parallel state, which is in several places at once; and one that has assigned variables,
which moto reads only with a Java machine beside it.
"""

import datetime
import json
import logging
import sys
import threading
from typing import Any, NamedTuple

from localaws.moto_side import executions, interpreter

log = logging.getLogger(__name__)

ERROR = "LocalAws.Restarted"
_ENTERED = "stateEnteredEventDetails"
_INSIDE = ("Map", "Parallel")
_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
Json = dict[str, Any]


class Position(NamedTuple):
    """The state to enter, and its input."""

    state: str
    input: Any


class Lost(Exception):
    """The execution cannot go on, and why."""


def resume(backends: list[Any]) -> None:
    """Lets every execution that the last process left running go on, or fails it."""
    for execution in executions.running(backends):
        interpreter.install()
        try:
            _resume(execution)
        except Lost as reason:
            _end(execution, "FAILED", error=ERROR, cause=f"{reason}; start it again.")
        except Exception as error:  # moto raises anything; the other executions shall go on
            log.exception("%s cannot go on", execution.exec_arn)
            cause = f"localaws was stopped, and the execution cannot go on ({error!r})."
            _end(execution, "FAILED", error=ERROR, cause=cause)


def _resume(execution: Any) -> None:
    past = execution.exec_worker
    history = past.get_event_history() if past else []
    if not history:  # kept before its first event
        execution.exec_worker = None
        execution.start()
        return
    last = history[-1]
    if last["type"] in _ENDS:  # kept between its last event and its end
        details: Json = next((v for k, v in last.items() if k.endswith("EventDetails")), {})
        _end(execution, _ENDS[last["type"]], **details)
        return
    place = position(execution, history)
    _go_on(execution, history, place)
    log.info("%s goes on with state %s", execution.exec_arn, place.state)


def position(execution: Any, history: list[Any]) -> Position:
    """Where the execution was. Raises Lost for one that cannot be taken up there."""
    definition = json.loads(execution.state_machine.definition)
    states = definition["States"]
    entered = [event[_ENTERED] for event in history if _ENTERED in event]
    entered = [details for details in entered if details["name"] in states]  # none inside a state
    if execution.state_machine.type == "EXPRESS":  # moto's execution says STANDARD of each
        raise Lost("localaws was stopped while the Express execution was running")
    if not entered:
        return Position(definition["StartAt"], execution.input_data)
    name, kind = entered[-1]["name"], states[entered[-1]["name"]]["Type"]
    if kind in _INSIDE:
        raise Lost(f"localaws was stopped while the execution was in the {kind} state {name!r}")
    if any("assignedVariables" in event.get("stateExitedEventDetails", {}) for event in history):
        raise Lost("localaws was stopped, and the variables of the execution are not kept")
    return Position(name, json.loads(entered[-1]["input"]))


def _go_on(execution: Any, history: list[Any], place: Position) -> None:
    from moto.stepfunctions.parser.asl.component.common.flow.start_at import StartAt
    from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext

    worker = execution._get_start_execution_worker()
    program = worker._get_evaluation_entrypoint()
    environment = worker._get_evaluation_environment()
    program.start_at = StartAt(place.state)
    if program.timeout_seconds:
        spent = datetime.datetime.now(datetime.UTC) - execution.start_date
        left = program.timeout_seconds.timeout_seconds - int(spent.total_seconds())
        program.timeout_seconds = TimeoutSeconds(max(left, 0))
    environment.states.reset(place.input)
    last = history[-1]["id"]
    environment.event_history_context = EventHistoryContext(last)
    environment.event_manager._history_event_list.extend(history)
    environment.event_manager._event_id_gen._next_id = last + 1
    worker.env, execution.exec_worker = environment, worker

    def run() -> None:
        program.eval(environment)
        worker._execution_communication.terminated()

    threading.Thread(target=run, name=execution.name, daemon=True).start()


def _end(
    execution: Any,
    status: str,
    *,
    output: str | None = None,
    error: str | None = None,
    cause: str | None = None,
    **_: Any,
) -> None:
    statuses = sys.modules[type(execution).__module__].ExecutionStatus
    execution.exec_status = statuses(status)
    execution.stop_date = datetime.datetime.now(datetime.UTC)
    execution.output = json.loads(output) if output is not None else None
    execution.error, execution.cause = error, cause

"""Executions of moto's Step Functions interpreter, as far as they can be kept.

A finished execution keeps its result and its history. One that still runs is a thread: it cannot
be carried over, so after a restart it is FAILED and says why, as an ECS task would be.
"""

import copyreg
import datetime
import sys
import weakref
from typing import Any

ERROR = "LocalAws.Restarted"
CAUSE = "localaws was stopped while the execution was running; start it again."
_SETTLED = datetime.timedelta(seconds=5)  # after the end of an execution nothing is added


class PastWorker:
    """What is left of the thread that ran an execution: its history."""

    def __init__(self, history: list[Any]) -> None:
        self.history = history

    @property
    def env(self) -> "PastWorker":
        return self

    @property
    def event_manager(self) -> "PastWorker":
        return self

    @property
    def map_run_record_pool_manager(self) -> "PastWorker":
        return self

    @property
    def callback_pool_manager(self) -> "PastWorker":
        return self

    def get_event_history(self) -> list[Any]:
        return self.history

    def get_all(self) -> list[Any]:
        """No map runs are kept."""
        return []

    def get(self, name: str) -> None:
        return None

    def heartbeat(self, callback_id: str) -> bool:
        return False

    def notify(self, callback_id: str, outcome: Any) -> bool:
        return False

    def stop(self, **_: Any) -> None:
        return None


def reduce(value: Any) -> Any:
    """How to pickle an execution; NotImplemented for anything else."""
    kind = _execution_class()
    if kind is None or not isinstance(value, kind):
        return NotImplemented
    state = dict(vars(value))
    state["exec_worker"] = _past(value, state.get("exec_worker"))
    state["_cloud_watch_logging_session"] = None
    return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]  # undocumented


_ended: "weakref.WeakKeyDictionary[Any, PastWorker]" = weakref.WeakKeyDictionary()


def _past(execution: Any, worker: Any) -> PastWorker:
    """The history so far; moto copies it deeply at each call, so that of an ended one is kept."""
    if execution in _ended:
        return _ended[execution]
    environment = worker.env if worker is not None else None
    history = list(environment.event_manager.get_event_history()) if environment else []
    past = PastWorker(history)
    now = datetime.datetime.now(datetime.UTC)
    if execution.stop_date is not None and now - execution.stop_date > _SETTLED:
        _ended[execution] = past
    return past


def fail_interrupted(backends: list[Any]) -> None:
    """Gives every execution that the last process left running its end."""
    kind = _execution_class()
    if kind is None:
        return
    status = sys.modules[kind.__module__].ExecutionStatus
    for backend in backends:
        for machine in getattr(backend, "state_machines", []):
            for execution in machine.executions:
                if isinstance(execution, kind) and execution.status == "RUNNING":
                    execution.exec_status = status.FAILED
                    execution.stop_date = datetime.datetime.now(datetime.UTC)
                    execution.error, execution.cause = ERROR, CAUSE


def running(backends: list[Any]) -> bool:
    """Whether a state machine is running, and so changes without a request."""
    return any(
        getattr(execution, "exec_status", None) is not None and execution.status == "RUNNING"
        for backend in backends
        for machine in getattr(backend, "state_machines", [])
        for execution in list(machine.executions)
    )


def _execution_class() -> Any:
    """The interpreter's class, once something has imported it to the end."""
    module = sys.modules.get("moto.stepfunctions.parser.backend.execution")
    return getattr(module, "Execution", None)

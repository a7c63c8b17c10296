"""Executions of moto's Step Functions interpreter, as far as they can be kept.

A finished execution keeps its result and its history. One that still runs is a thread, which cannot
be kept: its history is, and from that `resumption` lets the execution go on.
"""

import copyreg
import datetime
import sys
import weakref
import zlib
from collections.abc import Iterator
from typing import Any

from localaws.moto_side import pickles

_SETTLED = datetime.timedelta(seconds=5)  # after the end of an execution nothing is added


class PastWorker:
    """What is left of the thread that ran an execution: its history, packed.

    It is never looked at again as a rule, but lies in memory and in each snapshot: packed it takes
    a tenth of the one and is copied into the other as it is.
    """

    def __init__(self, history: list[Any]) -> None:
        self._packed = zlib.compress(pickles.dumps(history, lambda _: None), level=1)

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
        history: list[Any] = pickles.loads(zlib.decompress(self._packed))
        return history

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
    state = _held[value] if value in _held else _state(value)
    return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]  # undocumented


def _state(execution: Any) -> dict[str, Any]:
    state = dict(vars(execution))
    worker = state.get("exec_worker")
    state["exec_worker"] = _past(execution, worker)
    state["_cloud_watch_logging_session"] = None
    if state["exec_status"] == "RUNNING" and _is_stopped(worker):
        state["exec_status"] = type(state["exec_status"]).ABORTED
        state["stop_date"] = datetime.datetime.now(datetime.UTC)
    return state


def _is_stopped(worker: Any) -> bool:
    """By a user, while the task that it is in has not come back yet."""
    environment = getattr(worker, "env", None)
    program_state = getattr(environment, "program_state", lambda: None)()
    return type(program_state).__name__ == "ProgramStopped"


_held: "weakref.WeakKeyDictionary[Any, dict[str, Any]]" = weakref.WeakKeyDictionary()


def hold(backends: list[Any]) -> None:
    """Keeps every running execution as it is now, and lets its thread call nothing more.

    Called before an orderly end: what the states call ends too, and they would fail for that.
    """
    for execution in running(backends):
        _held[execution] = _state(execution)
        if execution.exec_worker.env is not None:
            now = datetime.datetime.now(datetime.UTC)
            execution.stop(stop_date=now, error=None, cause=None)


def _past(execution: Any, worker: Any) -> PastWorker:
    """The history so far.

    Of an ended execution it takes the worker's place for good: moto copies a history deeply at each
    look, and a worker holds the parsed definition, which is most of an execution's memory.
    """
    if isinstance(worker, PastWorker):
        return worker
    environment = worker.env if worker is not None else None
    history = list(environment.event_manager.get_event_history()) if environment else []
    past = PastWorker(history)
    ended = execution.stop_date
    now = datetime.datetime.now(datetime.UTC)
    if ended is not None and now - ended > _SETTLED and not _has_map_runs(environment):
        execution.exec_worker = past
    return past


def _has_map_runs(environment: Any) -> bool:
    """Then the worker stays: `PastWorker` knows nothing of them."""
    return environment is not None and bool(environment.map_run_record_pool_manager.get_all())


def running(backends: list[Any]) -> Iterator[Any]:
    """The executions that go on, and so change without a request."""
    kind = _execution_class()
    for backend in backends if kind else []:
        for machine in getattr(backend, "state_machines", []):
            for execution in list(machine.executions):
                if isinstance(execution, kind) and execution.exec_status == "RUNNING":
                    yield execution


def _execution_class() -> Any:
    """The interpreter's class, once something has imported it to the end."""
    module = sys.modules.get("moto.stepfunctions.parser.backend.execution")
    return getattr(module, "Execution", None)

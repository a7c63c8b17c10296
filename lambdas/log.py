"""Structured logs: one JSON object a line, all of one workflow execution under its name.

CloudWatch Logs Insights finds a whole execution, over all its functions, with
`filter execution = "<name>"`.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of a function: the state it was given, and under which execution it logs."""

    function: str
    execution: str
    request_id: str
    state: Json
    given: Json
    write: Callable[[str], None] = print

    def say(self, message: str, level: str = "INFO", **fields: Any) -> None:
        """Writes a line; `fields` must not be named as one of the first five members."""
        line = {
            "level": level,
            "message": message,
            "function": self.function,
            "execution": self.execution,
            "request_id": self.request_id,
            **fields,
        }
        self.write(json.dumps(line, ensure_ascii=False, default=str))


@contextmanager
def call(function: str, event: Json, context: Any) -> Iterator[Call]:
    """Logs how a call ended and how long it took; an error is logged once, here, and goes on."""
    request_id = str(getattr(context, "aws_request_id", "local"))
    wrapped = isinstance(event.get("state"), dict)
    state = dict(event["state"] if wrapped else event)
    execution = str(event.get("execution") or request_id)
    current = Call(function, execution, request_id, state, event if wrapped else {})
    started = time.perf_counter()
    try:
        yield current
    except Exception as error:  # whatever it is: logged, and raised again
        name = type(error).__name__
        current.say(str(error), "ERROR", error=name, milliseconds=_since(started))
        raise
    current.say("done", milliseconds=_since(started))


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)

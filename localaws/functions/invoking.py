"""Invoke: runs a function and waits, or queues the call."""

import base64
import json
import logging
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

from localaws.delivery.queue import Queue
from localaws.functions.errors import InvalidContent, TooLarge
from localaws.functions.fleet import Fleet
from localaws.functions.functions import Functions, Request
from localaws.functions.runtime_api import Invocation

log = logging.getLogger(__name__)

Measure = Callable[[str, dict[str, float]], None]

_MOST_SYNCHRONOUS, _MOST_ASYNCHRONOUS = 6 << 20, 1 << 20  # bytes of an event


class Invoker:
    """Runs invocations in the fleet. `measure(function, figures)` is told of each."""

    def __init__(self, functions: Functions, fleet: Fleet, queue: Queue, measure: Measure) -> None:
        self._functions, self._fleet, self._queue = functions, fleet, queue
        self._measure = measure

    def invoke(self, request: Request) -> Request:
        kind = request.get("InvocationType", "RequestResponse")
        settings = self._functions.resolve(request["FunctionName"], request.get("Qualifier"))
        if kind == "DryRun":
            return {"StatusCode": 204}
        event = request.get("Payload") or b"{}"
        self._check(event, _MOST_ASYNCHRONOUS if kind == "Event" else _MOST_SYNCHRONOUS)
        if kind == "Event":
            name, qualifier = self._functions.split(
                request["FunctionName"], request.get("Qualifier")
            )
            text = base64.b64encode(event).decode()
            self._queue.put("lambda", function=name, qualifier=qualifier, event=text)
            return {"StatusCode": 202, "Payload": b""}
        context = request.get("ClientContext", "")
        invocation, tail = self.run(settings, event, uuid.uuid4().hex, context)
        answer: Request = {
            "StatusCode": 200,
            "Payload": invocation.payload,
            "ExecutedVersion": settings["Version"],
        }
        if invocation.error:
            answer["FunctionError"] = invocation.error
        if request.get("LogType") == "Tail":
            answer["LogResult"] = base64.b64encode(tail).decode()
        return answer

    def run(
        self, settings: dict[str, Any], event: bytes, request_id: str, client_context: str = ""
    ) -> tuple[Invocation, bytes]:
        """Runs one invocation; returns it and the tail of its log. Raises TooManyRequests."""
        root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        invocation = Invocation(
            request_id=str(uuid.UUID(request_id)),
            event=event,
            arn=settings["FunctionArn"],
            trace_id=f"Root={root};Parent={secrets.token_hex(8)};Sampled=0",
            client_context=base64.b64decode(client_context).decode() if client_context else "",
        )
        limit = self._functions.record(settings["FunctionName"])["concurrency"]
        began = time.monotonic()
        tail = self._fleet.run(settings, invocation, limit)
        figures = {
            "Invocations": 1.0,
            "Errors": float(invocation.error is not None),
            "Duration": 1000 * (time.monotonic() - began),
        }
        self._measure(settings["FunctionName"], figures)
        return invocation, tail

    def note(self, sentence: str) -> None:
        log.warning("%s", sentence)

    def _check(self, event: bytes, most: int) -> None:
        if len(event) > most:
            raise TooLarge(f"Request must be smaller than {most} bytes for the Invoke operation")
        try:
            json.loads(event)
        except ValueError as error:
            raise InvalidContent(f"Could not parse request body into json: {error}") from None

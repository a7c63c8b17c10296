"""Invocations that nobody waits for: queued, tried three times, and handed on in the end.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import base64
import json
import time
import uuid
from typing import Any

from localaws.context import Context
from localaws.delivery.queue import Again, Entry, Queue
from localaws.delivery.targets import Refused, Sender, Targets
from localaws.errors import ApiError
from localaws.functions.errors import NoSuchResource, TooManyRequests
from localaws.functions.functions import LATEST, Functions, Record, Request
from localaws.functions.invoking import Invoker
from localaws.listing import paged

QUEUE = "lambda"
_RETRY_SECONDS = (1.0, 2.0)  # one and two minutes on AWS
_THROTTLED_SECONDS = 1.0


class Asynchronous:
    """The queue's handler for invocations, and the settings of their end."""

    def __init__(
        self, context: Context, functions: Functions, invoker: Invoker, queue: Queue, ends: Targets
    ) -> None:
        self._context, self._store, self._functions = context, context.store, functions
        self._invoker, self._targets = invoker, ends
        queue.register(QUEUE, self._deliver)

    # Operations

    def put_function_event_invoke_config(self, request: Request) -> Request:
        return self._set(request, {})

    def update_function_event_invoke_config(self, request: Request) -> Request:
        return self._set(request, self._find(request))

    def get_function_event_invoke_config(self, request: Request) -> Request:
        return self._find(request)

    def list_function_event_invoke_configs(self, request: Request) -> Request:
        configs = self._functions.record(request["FunctionName"])["invoke_configs"]
        page, marker = paged(list(configs.values()), request)
        return {"FunctionEventInvokeConfigs": page, "NextMarker": marker}

    def delete_function_event_invoke_config(self, request: Request) -> Request:
        self._find(request)
        record, qualifier = self._place(request)
        del record["invoke_configs"][qualifier]
        self._functions.save(record)
        return {}

    def _place(self, request: Request) -> tuple[Record, str]:
        name, qualifier = self._functions.split(request["FunctionName"], request.get("Qualifier"))
        record = self._functions.record(name)
        self._functions.require(record, qualifier)
        return record, qualifier or LATEST

    def _find(self, request: Request) -> Request:
        record, qualifier = self._place(request)
        config: Request | None = record["invoke_configs"].get(qualifier)
        if config is None:
            arn = self._functions.arn(record["latest"]["FunctionName"], qualifier)
            raise NoSuchResource(f"The function {arn} doesn't have an EventInvokeConfig")
        return config

    def _set(self, request: Request, old: Request) -> Request:
        members = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
        with self._store.transaction():
            record, qualifier = self._place(request)
            made = {
                **old,
                **{member: request[member] for member in members if member in request},
                "FunctionArn": self._functions.arn(record["latest"]["FunctionName"], qualifier),
                "LastModified": self._context.now(),
            }
            record["invoke_configs"][qualifier] = made
            self._functions.save(record)
        return made

    # Delivery

    def _deliver(self, entry: Entry) -> None:
        try:
            settings = self._functions.resolve(entry["function"], entry["qualifier"])
        except ApiError:
            return  # deleted since
        config = self._config(settings, entry["qualifier"])
        event = base64.b64decode(entry["event"])
        try:
            invocation, _ = self._invoker.run(settings, event, entry["id"])
        except TooManyRequests:
            self._wait_if_young(entry, config, _THROTTLED_SECONDS)
            self._end(settings, config, entry, None, "EventAgeExceeded")
            return
        answer = invocation.payload or b"null"
        if invocation.error is None:
            self._send(
                settings, config, "OnSuccess", _report(settings, entry, answer, "Success", None)
            )
            return
        retries = config.get("MaximumRetryAttempts", len(_RETRY_SECONDS))
        failures = entry["attempt"]
        if failures < retries:
            self._wait_if_young(entry, config, _RETRY_SECONDS[min(failures, 1)])
            self._end(settings, config, entry, answer, "EventAgeExceeded")
            return
        self._end(settings, config, entry, answer, "RetriesExhausted")

    def _config(self, settings: dict[str, Any], qualifier: str | None) -> dict[str, Any]:
        record = self._functions.record(settings["FunctionName"])
        found: dict[str, Any] = record["invoke_configs"].get(qualifier or LATEST, {})
        return found

    def _wait_if_young(self, entry: Entry, config: dict[str, Any], seconds: float) -> None:
        age = self._context.now().timestamp() + seconds - entry["since"]
        if age <= config.get("MaximumEventAgeInSeconds", 6 * 3600):
            raise Again(seconds)

    def _end(
        self,
        settings: dict[str, Any],
        config: dict[str, Any],
        entry: Entry,
        answer: bytes | None,
        condition: str,
    ) -> None:
        report = _report(settings, entry, answer or b"null", condition, "Unhandled")
        self._send(settings, config, "OnFailure", report)
        dead = (settings.get("DeadLetterConfig") or {}).get("TargetArn")
        if dead:
            message = json.loads(answer)["errorMessage"] if answer else condition
            attributes = {
                "RequestID": entry["id"],
                "ErrorCode": "200",
                "ErrorMessage": str(message)[:1024],
            }
            self._try(settings, dead, base64.b64decode(entry["event"]).decode(), attributes)

    def _send(
        self, settings: dict[str, Any], config: dict[str, Any], end: str, report: dict[str, Any]
    ) -> None:
        target = ((config.get("DestinationConfig") or {}).get(end) or {}).get("Destination")
        if target:
            self._try(settings, target, json.dumps(report), {})

    def _try(
        self, settings: dict[str, Any], arn: str, text: str, attributes: dict[str, str]
    ) -> None:
        """With the function's role; as on AWS, what cannot be reached is only noted."""
        sender = Sender("lambda.amazonaws.com", settings["FunctionArn"], settings["Role"])
        try:
            self._targets.send(arn, text, attributes, sender=sender)
        except Refused as error:
            self._invoker.note(f"{arn} could not be reached: {error}")


def _report(
    settings: dict[str, Any], entry: Entry, answer: bytes, condition: str, error: str | None
) -> dict[str, Any]:
    """The record that a destination gets."""
    response: dict[str, Any] = {"statusCode": 200, "executedVersion": settings["Version"]}
    if error:
        response["functionError"] = error
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {
        "version": "1.0",
        "timestamp": moment,
        "requestContext": {
            "requestId": str(uuid.UUID(entry["id"])),
            "functionArn": settings["FunctionArn"],
            "condition": condition,
            "approximateInvokeCount": entry["attempt"] + 1,
        },
        "requestPayload": json.loads(base64.b64decode(entry["event"]) or b"null"),
        "responseContext": response,
        "responsePayload": json.loads(answer),
    }

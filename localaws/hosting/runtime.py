"""InvokeEndpoint: from a signed HTTP request to a model server and back.

A WSGI application behind the gateway. A container's 4xx or 5xx becomes a ModelError (HTTP 424) with
the original status and text; a call that SageMaker itself refuses is a ValidationError.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import json
import logging
import re
import time
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

import service_model
from localaws.context import Context
from localaws.errors import ApiError, NotImplementedHere
from localaws.hosting.capture import Exchange
from localaws.hosting.connection import NotReached, Reply
from localaws.hosting.fleet import Fleet
from localaws.hosting.live import Hosting
from localaws.hosting.metrics import Metrics

log = logging.getLogger(__name__)

LARGEST_BODY = 6_291_456  # bytes
_PATH = re.compile(r"/endpoints/([^/]+)/invocations")
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_INFERENCE = "X-Amzn-SageMaker-Inference-Id"
_REFUSED = (
    "TargetModel",
    "TargetContainerHostname",
    "EnableExplanations",
    "InferenceComponentName",
    "SessionId",
    "PrefixAwareId",
)
_LONGEST_MESSAGE = 10_000  # characters of a container's error text


_PAUSE = 0.02  # seconds before another try to reach a container that has just died
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


class InvocationRefused(ApiError):
    code, status = "ValidationError", 400


class TooLarge(ApiError):
    code, status = "413", 413


class ModelError(ApiError):
    """The container answered an error, or nothing; `members` goes into the body."""

    code, status = "ModelError", 424

    def __init__(self, message: str, members: dict[str, Any]) -> None:
        super().__init__(message)
        self.members = members


def is_invocation(environ: WSGIEnvironment) -> bool:
    """Whether a request signed for SageMaker is InvokeEndpoint."""
    return environ["REQUEST_METHOD"] == "POST" and bool(_PATH.fullmatch(environ["PATH_INFO"]))


class Runtime:
    """Answers InvokeEndpoint for the endpoints that `hosting` serves."""

    service = "sagemaker-runtime"  # by which the gateway finds it

    def __init__(self, context: Context, hosting: Hosting, metrics: Metrics) -> None:
        self._context, self._hosting, self._metrics = context, hosting, metrics
        operation = service_model.load("sagemaker-runtime").operation_model("InvokeEndpoint")
        self._shape = operation.input_shape
        self._headers = {
            f"HTTP_{member.serialization['name'].upper().replace('-', '_')}": name
            for name, member in operation.input_shape.members.items()
            if member.serialization.get("location") == "header"
        } | {"CONTENT_TYPE": "ContentType"}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, headers, body = self._invoke(environ)
        except ModelError as error:
            told = {"Message": error.message, **error.members}
            status, headers, body = _refusal(error, told)
        except TooLarge as error:  # it comes from in front of the service, with no error type
            status, headers, body = 413, [], json.dumps({"message": error.message}).encode()
        except ApiError as error:
            status, headers, body = _refusal(error, {"Message": error.message})
        except Exception:  # whatever went wrong here must reach the log and the caller
            log.exception("InvokeEndpoint failed")
            failure = ApiError("localaws failed; its log says why.")
            status, headers, body = _refusal(failure, {"Message": failure.message})
        start_response(
            f"{status} {HTTPStatus(status).phrase}",
            [
                ("Content-Length", str(len(body))),
                ("x-amzn-RequestId", str(uuid.uuid4())),
                *headers,
            ],
        )
        return [body]

    def shutdown(self) -> None:
        """Puts the metrics that still wait."""
        self._metrics.close()

    def _invoke(self, environ: WSGIEnvironment) -> tuple[int, list[tuple[str, str]], bytes]:
        began = time.perf_counter()
        request = self._read(environ)
        body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        name = request["EndpointName"]
        fleet, variant = self._route(name, request.get("TargetVariant"))
        asked = self._ask(fleet, variant, body, _forwarded(request))
        reply, status = asked.reply, asked.reply.status if asked.reply else 500
        self._metrics.add(
            name,
            variant,
            status,
            instances=fleet.count(variant),
            model_seconds=asked.seconds,
            total_seconds=time.perf_counter() - began,
        )
        if reply is None or status >= 400:
            self._raise_model_error(name, asked)
        content_type = reply.headers.get("content-type")
        if fleet.capture and status < 300:
            fleet.capture.add(
                variant,
                Exchange(
                    body,
                    request.get("ContentType"),
                    reply.body,
                    content_type,
                    request.get("InferenceId"),
                    request.get("CustomAttributes"),
                ),
            )
        headers = [("x-Amzn-Invoked-Production-Variant", variant)]
        for header in ("Content-Type", _ATTRIBUTES):
            if header.lower() in reply.headers:
                headers.append((header, reply.headers[header.lower()]))
        return 200, headers, reply.body

    def _read(self, environ: WSGIEnvironment) -> dict[str, Any]:
        request = {name: environ[h] for h, name in self._headers.items() if environ.get(h)}
        match = _PATH.fullmatch(environ["PATH_INFO"])
        request["EndpointName"] = unquote(match[1]) if match else ""
        if environ.get("HTTP_TRANSFER_ENCODING"):
            raise InvocationRefused("A body must come with its Content-Length.")
        if int(environ.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
            raise TooLarge(f"HTTP content length exceeded {LARGEST_BODY} bytes.")
        found = service_model.violations(self._shape, {**request, "Body": b""})
        if found:
            noun = "error" if len(found) == 1 else "errors"
            raise InvocationRefused(f"{len(found)} validation {noun} detected: {'; '.join(found)}")
        for member in _REFUSED:
            if member in request:
                raise NotImplementedHere(f"localaws has no {member} in InvokeEndpoint.")
        return request

    def _route(self, name: str, target: str | None) -> tuple[Fleet, str]:
        live = self._hosting.find(name)
        if live is None:
            raise InvocationRefused(
                f"Endpoint {name} of account {self._context.account} not found."
            )
        fleet = live.route()
        if target is not None and not fleet.has(target):
            raise InvocationRefused(
                f"Variant {target} of endpoint {name} of account {self._context.account} not found."
            )
        return fleet, target or fleet.pick_variant()

    def _ask(self, fleet: Fleet, variant: str, body: bytes, headers: dict[str, str]) -> "_Asked":
        patience = self._hosting.host.limits.answer
        deadline = time.monotonic() + patience
        while True:
            instance = fleet.pick_instance(variant, max(0.0, deadline - time.monotonic()))
            if instance is None:
                problem = "The container is not running; it is being started again."
                return _Asked(None, None, problem, variant)
            stream = f"{variant}/{instance.id}"
            try:
                reply = instance.invoke(body, headers)
                return _Asked(reply, reply.seconds, "", stream)
            except NotReached:  # it has just died: another one, or the same once it is up again
                if time.monotonic() > deadline:
                    return _Asked(None, None, "The container cannot be reached.", stream)
                time.sleep(_PAUSE)
            except TimeoutError:
                return _Asked(None, patience, _TIMED_OUT, stream)
            except OSError:
                return _Asked(None, None, "The container ended before it answered.", stream)

    def _raise_model_error(self, name: str, asked: "_Asked") -> NoReturn:
        reply, problem = asked.reply, asked.problem
        status = reply.status if reply else 0
        text = reply.body.decode(errors="replace")[:_LONGEST_MESSAGE] if reply else problem
        side = "client" if 400 <= status < 500 else "server"
        region, group = self._context.region, f"/aws/sagemaker/Endpoints/{name}"
        raise ModelError(
            f'Received {side} error ({status}) from primary with message "{text}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {self._context.account} for more"
            " information.",
            {
                "OriginalStatusCode": status or 500,
                "OriginalMessage": text,
                "LogStreamArn": self._context.arn(
                    "logs", f"log-group:{group}:log-stream:{asked.stream}"
                ),
            },
        )


class _Asked(NamedTuple):
    """The container's reply and its seconds, or None and what is to be said instead."""

    reply: Reply | None
    seconds: float | None
    problem: str
    stream: str


def _forwarded(request: dict[str, Any]) -> dict[str, str]:
    names = {
        "ContentType": "Content-Type",
        "Accept": "Accept",
        "CustomAttributes": _ATTRIBUTES,
        "InferenceId": _INFERENCE,
    }
    return {header: request[name] for name, header in names.items() if name in request}


def _refusal(error: ApiError, body: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [("Content-Type", "application/json"), ("x-amzn-errortype", error.code)]
    return error.status, headers, json.dumps(body).encode()

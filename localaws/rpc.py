"""Services whose requests name an operation, in AWS JSON 1.1, as SageMaker's do."""

import json
import logging
import uuid
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore import xform_name
from botocore.model import OperationModel, OperationNotFoundError

import service_model
from localaws import protocol
from localaws.errors import ApiError, NotImplementedHere, ValidationError

log = logging.getLogger(__name__)


class RpcService:
    """The WSGI application of one service. A subclass sets `service` and hands over its parts.

    A part answers the operations that it has a method for, by botocore's name of it. `invalid` is
    the error that this service gives for a request that breaks its model.
    """

    service = ""
    invalid: type[ApiError] = ValidationError

    def __init__(self, parts: list[object]) -> None:
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            operation = self._operation(environ)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = self.call(operation.name, self._parse(operation, body))
            sent = protocol.serialize(operation, answer, strict=True)
            return _send(start_response, 200, sent, {})
        except ApiError as error:
            return _refuse(start_response, error)
        except Exception:  # whatever a part did wrong must reach the log and the caller
            log.exception("%s %s failed", self.service, environ.get("HTTP_X_AMZ_TARGET"))
            return _refuse(start_response, ApiError("localaws failed; its log says why."))

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The operation's response. Raises `ApiError`, or `NotImplementedHere` by name."""
        for part in self._parts:
            method = getattr(part, xform_name(operation), None)
            if method is not None:
                return method(request) or {}
        raise NotImplementedHere(
            f"localaws does not implement {self.service}:{operation}; it runs on AWS only."
        )

    def _operation(self, environ: WSGIEnvironment) -> OperationModel:
        name = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        try:
            return service_model.load(self.service).operation_model(name)
        except OperationNotFoundError:
            raise _UnknownOperation(f"{self.service} has no operation {name!r}.") from None

    def _parse(self, operation: OperationModel, body: bytes) -> dict[str, Any]:
        try:
            return protocol.parse(operation, body)
        except ValidationError as error:
            raise self.invalid(error.message) from None


class _UnknownOperation(ApiError):
    code, status = "UnknownOperationException", 400


def _refuse(start_response: StartResponse, error: ApiError) -> Iterable[bytes]:
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return _send(start_response, error.status, body, {"x-amzn-errortype": error.code})


def _send(
    start_response: StartResponse, status: int, body: bytes, headers: dict[str, str]
) -> Iterable[bytes]:
    sent = {
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(body)),
        "x-amzn-RequestId": str(uuid.uuid4()),
        **headers,
    }
    start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(sent.items()))
    return [body]

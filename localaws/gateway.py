"""The front door: one WSGI application that every AWS client reaches through `AWS_ENDPOINT_URL`.

A request names its service in the credential scope of its signature, and passes only if the
policies of whoever signed it allow it (`localaws.permissions`). SageMaker's requests are checked
against the service model and answered by our own components; every other one goes on to moto
(`localaws.moto_side`). What neither has is refused by its name, as an AWS-shaped 501.
"""

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from botocore.model import OperationNotFoundError

import service_model
from localaws import protocol
from localaws.errors import ApiError, NotImplementedHere, ValidationError
from localaws.functions.code import CODE_PATH
from localaws.hosting.runtime import is_invocation
from localaws.permissions.enforcement import Enforcement
from localaws.sagemaker.service import SageMaker

log = logging.getLogger(__name__)

_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/(?P<region>[^/,]*)/(?P<service>[^/,]+)/aws4_request")
_LOCAL = re.compile(r"^(127\.0\.0\.1|\[::1\]|([a-z0-9.-]+\.)?localhost)(:\d+)?$", re.IGNORECASE)
_SAGEMAKER_MODEL = "sagemaker"

STATUS_PATH = "/_localaws/status"


class Gateway:
    """Routes a request to SageMaker's components, to moto, or to a refusal."""

    def __init__(
        self,
        sagemaker: SageMaker,
        moto: WSGIApplication,
        *,
        services: Mapping[str, WSGIApplication],
        region: str,
        status: Callable[[], dict[str, Any]],
        enforcement: Enforcement,
        strict: bool = False,
    ) -> None:
        self._sagemaker, self._moto, self._services = sagemaker, moto, services
        self._enforcement = enforcement
        self._region, self._status, self._strict = region, status, strict

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _LOCAL.match(environ.get("HTTP_HOST", "")):
            # A page in a browser could otherwise point a name of its own at this port.
            return _answer(start_response, 403, {"message": "localaws answers to localhost only"})
        if environ["PATH_INFO"] == STATUS_PATH:
            return _answer(start_response, 200, self._status())
        if environ["PATH_INFO"].startswith(CODE_PATH):
            return self._services["lambda"](environ, start_response)
        refusal = self._enforcement.refuse(environ, start_response)
        if refusal is not None:
            return refusal
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is not None and scope["service"] in self._services:
            return self._services[scope["service"]](environ, start_response)
        if scope is None or scope["service"] != "sagemaker":
            return self._moto(environ, start_response)
        if is_invocation(environ):  # signed for the same service
            return self._services["sagemaker-runtime"](environ, start_response)
        try:
            return self._call_sagemaker(environ, start_response, scope["region"])
        except ApiError as error:
            return _refuse(start_response, error)
        except Exception:  # whatever a component did wrong must reach the log and the caller
            log.exception("sagemaker:%s failed", environ.get("HTTP_X_AMZ_TARGET"))
            return _refuse(start_response, ApiError("localaws failed; its log says why."))

    def _call_sagemaker(
        self, environ: WSGIEnvironment, start_response: StartResponse, region: str
    ) -> Iterable[bytes]:
        prefix, _, name = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if prefix != "SageMaker":
            raise NotImplementedHere(
                f"localaws does not implement {environ['REQUEST_METHOD']} {environ['PATH_INFO']} of"
                " the SageMaker services (runtime, feature store, metrics); it runs on AWS only."
            )
        if region != self._region:
            raise ValidationError(
                f"This localaws runs SageMaker in {self._region}, not in {region}: set AWS_REGION"
                f" to {self._region}, or start another one with --region {region}."
            )
        try:
            operation = service_model.load(_SAGEMAKER_MODEL).operation_model(name)
        except OperationNotFoundError:
            raise _UnknownOperation(f"SageMaker has no operation {name!r}.") from None
        request = protocol.parse(operation, _body(environ))
        response = self._sagemaker.call(name, request)
        body = protocol.serialize(operation, response or {}, strict=self._strict)
        return _send(start_response, 200, body, {})


class _UnknownOperation(ApiError):
    code, status = "UnknownOperationException", 400


def _body(environ: WSGIEnvironment) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def _refuse(start_response: StartResponse, error: ApiError) -> Iterable[bytes]:
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return _send(start_response, error.status, body, {"x-amzn-errortype": error.code})


def _answer(start_response: StartResponse, status: int, value: dict[str, Any]) -> Iterable[bytes]:
    return _send(start_response, status, json.dumps(value).encode(), {})


def _send(
    start_response: StartResponse, status: int, body: bytes, headers: dict[str, str]
) -> Iterable[bytes]:
    start_response(
        f"{status} {'OK' if status < 400 else 'Error'}",
        [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Content-Length", str(len(body))),
            ("x-amzn-RequestId", str(uuid.uuid4())),
            *headers.items(),
        ],
    )
    return [body]

"""Lambda's API: a request that names `lambda` in its signature, answered by our components."""

import logging
import uuid
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore import xform_name

from localaws.errors import ApiError, NotImplementedHere
from localaws.functions import wire
from localaws.functions.code import CODE_PATH, CodeStore

log = logging.getLogger(__name__)


class LambdaApi:
    """The WSGI application of the service."""

    def __init__(self, components: list[object], code: CodeStore) -> None:
        self._components, self._code = components, code

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            if environ["PATH_INFO"].startswith(CODE_PATH):
                archive = self._code.zipped(environ["PATH_INFO"].removeprefix(CODE_PATH))
                return _send(start_response, 200, {"Content-Type": "application/zip"}, archive)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            operation, request = wire.parse(environ, body)
            response = self.call(operation.name, request)
            status, headers, answer = wire.answer(operation, response)
            return _send(start_response, status, headers, answer)
        except ApiError as error:
            return _refuse(start_response, error)
        except Exception:  # whatever a component did wrong must reach the log and the caller
            log.exception("lambda %s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return _refuse(start_response, ApiError("localaws failed; its log says why."))

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The operation's response. Raises `ApiError`, or `NotImplementedHere` by name."""
        for component in self._components:
            method = getattr(component, xform_name(operation), None)
            if method is not None:
                answer: dict[str, Any] = method(request)
                return {name: value for name, value in answer.items() if value is not None}
        raise NotImplementedHere(
            f"localaws does not implement lambda:{operation}; it runs on AWS only."
        )


def _refuse(start_response: StartResponse, error: ApiError) -> list[bytes]:
    body = wire.refusal(error.code, error.message)
    return _send(start_response, error.status, {"x-amzn-ErrorType": error.code}, body)


def _send(start_response: StartResponse, status: int, headers: Any, body: bytes) -> list[bytes]:
    sent = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4()), **headers}
    sent["Content-Length"] = str(len(body))
    if status == 204:
        sent.pop("Content-Length"), sent.pop("Content-Type")
    start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(sent.items()))
    return [body]

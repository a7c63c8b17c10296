"""Lambda's wire format (REST with JSON), driven by the service model.

`parse` finds the operation that a method and path name, and its checked request; `answer` turns a
response into status, headers and body. https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import functools
import json
import re
from typing import Any
from urllib.parse import unquote
from wsgiref.types import WSGIEnvironment

from botocore.model import OperationModel
from moto.core.model import ServiceModel
from moto.core.parse import RestJSONParser
from moto.core.serialize import RestJSONSerializer
from werkzeug.datastructures import EnvironHeaders, MultiDict

import service_model
from localaws.descriptions import loader
from localaws.errors import ValidationError
from localaws.functions.errors import InvalidContent, NoSuchResource

_SERVICE = "lambda"
# The model's own patterns of names leave out forms that the service takes (tags of a function).
_FREE = frozenset({"Payload", "ClientContext"})


def parse(environ: WSGIEnvironment, body: bytes) -> tuple[OperationModel, dict[str, Any]]:
    """The operation and its request. Raises ApiError as the service does."""
    path = environ["PATH_INFO"]
    query = _query(environ.get("QUERY_STRING", ""))
    operation, parameters = _route(environ["REQUEST_METHOD"], path, query)
    headers = EnvironHeaders(environ)
    try:
        request = RestJSONParser(operation).parse(
            {
                "body": body,
                "headers": headers,
                "method": environ["REQUEST_METHOD"],
                "url_params": parameters,
                "url_path": path,
                "values": query,
            }
        )
    except ValueError as error:
        raise InvalidContent(f"Could not parse request body into json: {error}") from None
    request = {name: value for name, value in request.items() if value is not None}
    checked = {name: value for name, value in request.items() if name not in _FREE}
    found = service_model.violations(operation.input_shape, checked)
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise ValidationError(f"{len(found)} validation {noun} detected: {'; '.join(found)}")
    return operation, request


def answer(operation: OperationModel, response: dict[str, Any]) -> tuple[int, Any, bytes]:
    """Status, headers and body."""
    made = RestJSONSerializer(operation).serialize(response)
    status = response.get("StatusCode", made["status_code"])
    body = made["body"]
    return status, made["headers"], body.encode() if isinstance(body, str) else body


def refusal(code: str, message: str) -> bytes:
    return json.dumps({"Type": "User", "message": message, "Message": message}).encode()


def _query(text: str) -> MultiDict[str, str]:
    pairs = [part.partition("=") for part in text.split("&") if part]
    return MultiDict([(unquote(k), unquote(v.replace("+", " "))) for k, _, v in pairs])


def _route(
    method: str, path: str, query: MultiDict[str, str]
) -> tuple[OperationModel, dict[str, str]]:
    for verb, pattern, wanted, operation in _routes():
        match = pattern.fullmatch(path) if verb == method else None
        if match and all(query.get(name) == value for name, value in wanted):
            names = operation.http["requestUri"].partition("?")[0]
            keys = re.findall(r"{(\w+)\+?}", names)
            return operation, dict(zip(keys, match.groups(), strict=True))
    raise NoSuchResource(f"Lambda has no operation {method} {path}.")


@functools.cache
def _routes() -> list[tuple[str, re.Pattern[str], list[tuple[str, str]], OperationModel]]:
    # moto's serialiser wants moto's own classes over botocore's description.
    model = ServiceModel(loader().load_service_model(_SERVICE, "service-2"), _SERVICE)
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        pattern = re.compile(re.sub(r"{\w+\+?}", "([^/]+)", path.rstrip("/")) + "/?")
        wanted = [(k, v) for k, _, v in (part.partition("=") for part in query.split("&")) if k]
        found.append((operation.http["method"], pattern, wanted, operation))
    return sorted(found, key=lambda route: -len(route[2]))

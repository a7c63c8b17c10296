"""Which operation a request calls, and with which parameters, in the protocols of AWS.

Enough for authorization: JSON members as they came, the flat names of a query
(`Tags.member.1.Key`), and for REST the members of path, query and body. S3 has its own
reading (`s3_actions`).
"""

import functools
import io
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote
from wsgiref.types import WSGIEnvironment

import service_model

Parameters = dict[str, Any]

_REST = {"lambda": "lambda", "scheduler": "scheduler", "sagemaker": "sagemaker-runtime"}
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Call:
    """An operation of a service (by the name in a signature), with its parameters."""

    service: str
    operation: str
    parameters: Parameters


def read(environ: WSGIEnvironment, service: str) -> Call | None:
    """The call; None for what no operation of the service looks like.

    The body is read and put back, except that of an InvokeEndpoint, which says nothing here.
    """
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        return Call(service, target.rpartition(".")[2], _json(body(environ)))
    if environ.get("CONTENT_TYPE", "").startswith(_FORM):
        fields = dict(parse_qsl(body(environ).decode("utf-8", "replace")))
        return Call(service, fields.pop("Action", ""), fields)
    if service in _REST:
        return _rest(environ, service)
    fields = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    return Call(service, fields.pop("Action"), fields) if "Action" in fields else None


def _rest(environ: WSGIEnvironment, service: str) -> Call | None:
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    for verb, pattern, keys, operation in _routes(_REST[service]):
        match = pattern.fullmatch(path) if verb == method else None
        if match:
            found = {key: unquote(value) for key, value in zip(keys, match.groups(), strict=True)}
            has_body = service != "sagemaker" and not operation.startswith("Invoke")
            members = _json(body(environ)) if has_body else {}
            return Call(service, operation, {**members, **query, **found})
    return None


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], list[str], str]]:
    model, found = service_model.load(service), []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.compile(re.sub(r"{\w+\+?}", "([^/]+)", path) + "/?")
        found.append((http["method"], pattern, re.findall(r"{(\w+)\+?}", path), name))
    return found


def _json(body: bytes) -> Parameters:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}  # the service says what is wrong with it
    return value if isinstance(value, dict) else {}


def body(environ: WSGIEnvironment) -> bytes:
    """The request's body, which stays there for the service."""
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(content)
    return content

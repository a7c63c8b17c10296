"""Services whose requests name an operation: AWS JSON 1.1 and Smithy's RPC v2 with CBOR.

Newer SDKs speak CBOR to a service that offers it, older ones JSON; a request is answered in the
form in which it came. https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import json
import logging
import re
import uuid
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from botocore import xform_name
from botocore.model import OperationModel, OperationNotFoundError
from botocore.parsers import ResponseParserError, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

import service_model
from localaws import protocol
from localaws.errors import ApiError, NotImplementedHere, ValidationError

log = logging.getLogger(__name__)

_CBOR, _JSON = "application/cbor", "application/x-amz-json-1.1"
_PATH = re.compile(r"/service/[^/]+/operation/(\w+)")


class RpcService:
    """The WSGI application of one service. A subclass sets `service` and hands over its parts.

    A part answers the operations that it has a method for, by botocore's name of it. `invalid` is
    the error that this service gives for a request that breaks its model.
    """

    service = ""
    invalid: type[ApiError] = ValidationError
    strict = False  # our own malformed answers are errors

    def __init__(self, parts: list[object]) -> None:
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_cbor = environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor"
        try:
            operation = self._operation(environ, is_cbor)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = self.call(operation.name, self._parse(operation, body, is_cbor))
            return _send(start_response, 200, self._serialize(operation, answer, is_cbor), is_cbor)
        except ApiError as error:
            return _refuse(start_response, error, is_cbor)
        except Exception:  # whatever a part did wrong must reach the log and the caller
            log.exception("%s %s failed", self.service, environ["PATH_INFO"])
            failure = ApiError("localaws failed; its log says why.")
            return _refuse(start_response, failure, is_cbor)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The operation's response. Raises `ApiError`, or `NotImplementedHere` by name."""
        for part in self._parts:
            method = getattr(part, xform_name(operation), None)
            if method is not None:
                return method(request) or {}
        raise NotImplementedHere(
            f"localaws does not implement {self.service}:{operation}; it runs on AWS only."
        )

    def _operation(self, environ: WSGIEnvironment, is_cbor: bool) -> OperationModel:
        target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        named = _PATH.fullmatch(environ["PATH_INFO"])
        name = named[1] if is_cbor and named else target
        try:
            return service_model.load(self.service).operation_model(name)
        except OperationNotFoundError:
            raise _UnknownOperation(f"{self.service} has no operation {name!r}.") from None

    def _parse(self, operation: OperationModel, body: bytes, is_cbor: bool) -> dict[str, Any]:
        try:
            if is_cbor:
                return protocol.check(operation, _from_cbor(body))
            return protocol.parse(operation, body)
        except ValidationError as error:
            raise self.invalid(error.message) from None

    def _serialize(self, operation: OperationModel, answer: dict[str, Any], is_cbor: bool) -> bytes:
        if not is_cbor:
            return protocol.serialize(operation, answer, strict=self.strict)
        if operation.output_shape is None:
            return b""
        shaped = protocol.shaped(operation, answer, strict=self.strict)
        out = bytearray()
        # botocore's own encoder; it has no public name for an item that is no request.
        RpcV2CBORSerializer()._serialize_data_item(out, shaped, operation.output_shape)
        return bytes(out)


class _UnknownOperation(ApiError):
    code, status = "UnknownOperationException", 400


def _from_cbor(body: bytes) -> Any:
    parser = RpcV2CBORParser()
    try:
        return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    except ResponseParserError as error:
        raise ValidationError(f"The request body is not CBOR: {error}") from None


def _refuse(start_response: StartResponse, error: ApiError, is_cbor: bool) -> Iterable[bytes]:
    told = {"__type": error.code, "message": error.message}
    body = _texts_as_cbor(told) if is_cbor else json.dumps(told).encode()
    return _send(start_response, error.status, body, is_cbor, {"x-amzn-errortype": error.code})


def _texts_as_cbor(texts: dict[str, str]) -> bytes:
    """A map of texts, each with a length of four bytes."""
    out = bytearray([0xA0 | len(texts)])
    for text in (part for pair in texts.items() for part in pair):
        encoded = text.encode()
        out += bytes([0x7A]) + len(encoded).to_bytes(4, "big") + encoded
    return bytes(out)


def _send(
    start_response: StartResponse,
    status: int,
    body: bytes,
    is_cbor: bool,
    headers: dict[str, str] | None = None,
) -> Iterable[bytes]:
    sent = {
        "Content-Type": _CBOR if is_cbor else _JSON,
        "Content-Length": str(len(body)),
        "x-amzn-RequestId": str(uuid.uuid4()),
        **({"smithy-protocol": "rpc-v2-cbor"} if is_cbor else {}),
        **(headers or {}),
    }
    start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(sent.items()))
    return [body]

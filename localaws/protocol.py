"""The wire format AWS JSON 1.1, driven by the service model.

`parse` turns a body into what a component gets: timestamps are aware datetimes, blobs are bytes.
`serialize` turns a component's answer into a body: only what the output shape knows, datetimes as
epoch seconds. https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

import base64
import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any

from botocore.model import OperationModel, Shape

import service_model
from localaws.errors import ValidationError


def parse(operation: OperationModel, body: bytes) -> dict[str, Any]:
    """The checked request. ValidationError words each violation as the service does."""
    try:
        request = json.loads(body or b"{}")
    except ValueError as error:
        raise ValidationError(f"The request body is not JSON: {error}") from None
    shape = operation.input_shape
    if shape is None:
        return {}
    if not isinstance(request, dict):
        raise ValidationError("The request body is not a JSON object.")
    request = {name: value for name, value in request.items() if value is not None}
    for member in operation.idempotent_members:  # the SDKs fill these in; a bare client need not
        request.setdefault(member, str(uuid.uuid4()))
    found = service_model.violations(shape, request)
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise ValidationError(f"{len(found)} validation {noun} detected: {'; '.join(found)}")
    parsed: dict[str, Any] = _convert(shape, request, _from_wire, "", None)
    return parsed


def serialize(operation: OperationModel, response: dict[str, Any], *, strict: bool) -> bytes:
    """The response's body. `strict` raises KeyError for a member that the service does not have."""
    if operation.output_shape is None:
        return b""
    unknown: list[str] | None = [] if strict else None
    value = _convert(operation.output_shape, response, _to_wire, "", unknown)
    if unknown:
        raise KeyError(f"{operation.name} answers without such members: {', '.join(unknown)}")
    return json.dumps(value).encode()


def _convert(
    shape: Shape,
    value: Any,
    leaf: Callable[[Shape, Any], Any],
    path: str,
    unknown: list[str] | None,
) -> Any:
    if value is None:
        return None
    if shape.type_name == "structure":
        if unknown is not None:
            unknown.extend(f"{path}{name}" for name in value if name not in shape.members)
        return {
            name: _convert(shape.members[name], item, leaf, f"{path}{name}.", unknown)
            for name, item in value.items()
            if name in shape.members and item is not None
        }
    if shape.type_name == "list":
        return [_convert(shape.member, item, leaf, path, unknown) for item in value]
    if shape.type_name == "map":
        return {
            key: _convert(shape.value, item, leaf, path, unknown) for key, item in value.items()
        }
    return leaf(shape, value)


def _from_wire(shape: Shape, value: Any) -> Any:
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    if shape.type_name != "timestamp" or isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return datetime.datetime.fromtimestamp(value, datetime.UTC)


def _to_wire(shape: Shape, value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return round(value.timestamp(), 3)
    if shape.type_name == "blob":
        data = value.encode() if isinstance(value, str) else value
        return base64.b64encode(data).decode()
    return value

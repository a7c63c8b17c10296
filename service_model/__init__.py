"""What AWS's own service models say about a request.

A value goes in together with its botocore shape; the violations come out, each worded as the
service words it. Two callers share it: `pipelines.check` looks at every job request of a pipeline
before it is submitted, and `localaws` at every request that reaches it, so what passes the one
passes the other. botocore's own `ParamValidator` checks required members, types and minima; the
service also checks patterns, enumerations, maxima and unknown members, and so does this.

Source: the models in botocore's `data/` folder, https://docs.aws.amazon.com/sagemaker/latest/APIReference/.
"""

import datetime
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.model
import botocore.session

# Patterns that admit every text. The second one backtracks badly on long input, so neither is run.
_ANY_TEXT = frozenset(
    {".*", r"[\s\S]*", r".*(?:[ \r\n\t].*)*", r"(?s).*", r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*"}
)

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "blob": (bytes, str),
    "timestamp": (int, float, str, datetime.datetime),
    "structure": (dict,),
    "list": (list, tuple),
    "map": (dict,),
}


@functools.cache
def load(service: str) -> botocore.model.ServiceModel:
    """The newest model of a service that the installed botocore carries, such as `sagemaker`."""
    # By a session's loader, which the embedded AWS shares with all its sessions.
    loader = botocore.session.get_session().get_component("data_loader")
    description = loader.load_service_model(service, "service-2")
    return botocore.model.ServiceModel(description, service)


def input_shape(service: str, operation: str) -> botocore.model.Shape:
    """The shape of a request, such as `input_shape("sagemaker", "CreateTrainingJob")`."""
    return load(service).operation_model(operation).input_shape


def violations(
    shape: botocore.model.Shape,
    value: Any,
    *,
    is_reference: Callable[[Any], bool] = lambda value: False,
    optional: frozenset[str] = frozenset(),
) -> list[str]:
    """Each way in which `value` breaks its shape, in the service's words; empty when it is legal.

    `is_reference` marks values that are known only later (a pipeline's `{"Get": …}`) and are taken
    as they are. `optional` names top-level members that may be missing although the model requires
    them, as a pipeline step leaves out its job's name.
    """
    return list(_walk(shape, value, "", is_reference, optional))


def _walk(
    shape: botocore.model.Shape,
    value: Any,
    path: str,
    is_reference: Callable[[Any], bool],
    optional: frozenset[str] = frozenset(),
) -> Iterator[str]:
    if is_reference(value):
        return
    if not _has_type(shape, value):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be a {shape.type_name}"
        return
    yield from _limits(shape, value, path)
    if shape.type_name == "structure":
        yield from _members(shape, value, path, is_reference, optional)
    elif shape.type_name == "list":
        for position, item in enumerate(value, start=1):
            yield from _walk(shape.member, item, f"{path}.{position}.member", is_reference)
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path}.key", is_reference)
            yield from _walk(shape.value, item, f"{path}.{key}.member", is_reference)


def _has_type(shape: botocore.model.Shape, value: Any) -> bool:
    expected = _PYTHON_TYPES[shape.type_name]
    if isinstance(value, bool):
        return bool in expected
    return isinstance(value, expected)


def _members(
    shape: botocore.model.StructureShape,
    value: dict[str, Any],
    path: str,
    is_reference: Callable[[Any], bool],
    optional: frozenset[str],
) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None and name not in optional:
            at = prefix + _camel(name)
            yield f"Value at '{at}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        at = prefix + _camel(name)
        if name not in shape.members:
            known = ", ".join(sorted(shape.members))
            yield f"Value at '{at}' failed to satisfy constraint: Member must be one of: [{known}]"
        elif item is not None:
            yield from _walk(shape.members[name], item, at, is_reference)
    if getattr(shape, "is_tagged_union", False):
        given = [name for name, item in value.items() if item is not None]
        if len(given) != 1:
            yield f"Value at '{path}' failed to satisfy constraint: Exactly one member must be set"


def _limits(shape: botocore.model.Shape, value: Any, path: str) -> Iterator[str]:
    shown = f"Value '{_shorten(value)}' at '{path}' failed to satisfy constraint: "
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in ("integer", "long", "float", "double"):
        size, noun = value, "value"
    elif shape.type_name in ("string", "list", "map", "blob"):
        size, noun = len(value), "length"
    else:
        return
    if low is not None and size < low:
        yield f"{shown}Member must have {noun} greater than or equal to {low}"
    if high is not None and size > high:
        yield f"{shown}Member must have {noun} less than or equal to {high}"
    if shape.type_name != "string":
        return
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        yield f"{shown}Member must satisfy enum value set: [{', '.join(enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and pattern not in _ANY_TEXT and not _compiled(pattern).fullmatch(value):
        yield f"{shown}Member must satisfy regular expression pattern: {pattern}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A model's (Java) pattern as Python's; one that Python cannot read admits everything."""
    try:
        return re.compile(pattern, re.DOTALL if pattern.startswith("(?s)") else 0)
    except re.error:
        return re.compile(r"[\s\S]*")


def _camel(name: str) -> str:
    """The service writes member names in its messages with a small first letter."""
    return name[:1].lower() + name[1:]


def _shorten(value: Any, limit: int = 200) -> str:
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"

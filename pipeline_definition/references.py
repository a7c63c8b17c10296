"""Values of a definition that are known only when a step runs: found here, and resolved.

{"Get": "Parameters.Epochs"}                                  a parameter
{"Get": "Execution.PipelineExecutionId"}                      a fact of the execution
{"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}   a property
{"Std:Join": {"On": "/", "Values": [...]}}                    text, joined
{"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "a.b[0]"}}
{"Std:JsonGet": {"S3Uri": ..., "Path": ...}}                  a value in a JSON file on S3
"""

import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
EXECUTION_VARIABLES = (
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "StartDateTime",
    "CurrentDateTime",
)

# Properties lists entries by position, or by the member that names an entry:
# `Outputs['train']`, `InputDataConfig['validation']`, `FinalMetricDataList['test:accuracy']`.
_NAMING_MEMBERS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name", "Key")
_TOKEN = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")


class UnresolvedReference(Exception):
    """A reference leads nowhere; the message says which and where it stopped."""


def is_reference(value: Any) -> bool:
    """Whether a value of the definition stands for another one."""
    return (
        isinstance(value, dict) and len(value) == 1 and next(iter(value)) in (GET, JOIN, JSON_GET)
    )


def find(value: Any) -> Iterator[dict[str, Any]]:
    """Every reference in a value, those inside joins and property files included."""
    if isinstance(value, dict):
        if is_reference(value):
            yield value
            if GET in value:
                return
        for item in value.values():
            yield from find(item)
    elif isinstance(value, list):
        for item in value:
            yield from find(item)


def step_names(value: Any) -> list[str]:
    """The steps that a value refers to, in order of appearance."""
    paths = (reference.get(GET) for reference in find(value))
    names = [
        path.split(".")[1]
        for path in paths
        if isinstance(path, str) and path.startswith("Steps.") and path.count(".")
    ]
    return list(dict.fromkeys(names))


def tokens(path: str) -> list[str | int]:
    """`Outputs['train'].S3Output[0]` → `["Outputs", "train", "S3Output", 0]`. ValueError if bad."""
    found: list[str | int] = []
    position = 1 if path.startswith("$") else 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise ValueError(
                f"the path {path!r} cannot be read from its character {position + 1} on"
            )
        name, index, *quoted = match.groups()
        found.append(int(index) if index else name or quoted[0] or quoted[1] or "")
        position = match.end()
    return found


def walk(value: Any, path: str) -> Any:
    """The value at a path inside structures, lists and maps. Raises `UnresolvedReference`."""
    try:
        steps = tokens(path)
    except ValueError as error:
        raise UnresolvedReference(str(error)) from None
    for token in steps:
        try:
            value = _descend(value, token)
        except (KeyError, IndexError, TypeError):
            raise UnresolvedReference(f"there is no {token!r} on the path {path!r}") from None
    return value


def _descend(value: Any, token: str | int) -> Any:
    if isinstance(value, list):
        if isinstance(token, int) or token.isdigit():
            return value[int(token)]
        for item in value:
            if any(item.get(member) == token for member in _NAMING_MEMBERS):
                return item
        raise KeyError(token)
    if isinstance(value, dict) and isinstance(token, int):
        return value[str(token)]
    return value[token]


class Scope:
    """What the references of one execution may refer to.

    `properties(step)` gives a finished step's description, `property_file(step, name)` and
    `document(s3_uri)` the text of a JSON file; the first raises KeyError for a step that has not
    finished, the others `UnresolvedReference`.
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        execution: dict[str, Any],
        properties: Callable[[str], Any],
        property_file: Callable[[str, str], bytes],
        document: Callable[[str], bytes],
    ) -> None:
        self._parameters = parameters
        self._execution = execution
        self._properties = properties
        self._property_file = property_file
        self._document = document

    def resolve(self, value: Any) -> Any:
        """The value with each reference in it replaced. Raises `UnresolvedReference`."""
        if is_reference(value):
            kind, body = next(iter(value.items()))
            resolvers: dict[str, Callable[[Any], Any]] = {
                GET: self._get,
                JOIN: self._join,
                JSON_GET: self._json_get,
            }
            return resolvers[kind](body)
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def _get(self, path: str) -> Any:
        kind, _, rest = path.partition(".")
        try:
            if kind == "Parameters":
                return self._parameters[rest]
            if kind == "Execution":
                return _plain(self._execution[rest])
            step, _, member = rest.partition(".")
            return _plain(walk(self._properties(step), member))
        except (KeyError, UnresolvedReference) as error:
            cause = f": {error}" if isinstance(error, UnresolvedReference) else ""
            raise UnresolvedReference(f"{path} cannot be resolved{cause}") from None

    def _join(self, body: dict[str, Any]) -> str:
        return str(body.get("On", "")).join(as_text(self.resolve(item)) for item in body["Values"])

    def _json_get(self, body: dict[str, Any]) -> Any:
        if "PropertyFile" in body:
            _, step, _, name = body["PropertyFile"][GET].split(".", 3)
            where, text = f"property file {name} of step {step}", self._property_file(step, name)
        else:
            uri = self.resolve(body["S3Uri"])
            where, text = uri, self._document(uri)
        try:
            return walk(json.loads(text), str(self.resolve(body["Path"])))
        except (ValueError, UnresolvedReference) as error:
            raise UnresolvedReference(f"{where}: {error}") from None


def as_text(value: Any) -> str:
    """A value as `Std:Join` writes it: booleans in JSON's spelling, whole numbers without a dot."""
    return json.dumps(value) if isinstance(value, bool | dict | list) else str(value)


def _plain(value: Any) -> Any:
    """Times become text, as a job request carries them."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value

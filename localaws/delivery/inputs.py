"""What a target gets of an event: all of it, a part, a constant, or a template filled in.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import datetime
import json
import re
from typing import Any

from jsonpath_ng.ext.parser import parse as parse_path

Event = dict[str, Any]

_PLACEHOLDER = re.compile(r"<([\w.\-]+)>")


def input_for(target: dict[str, Any], event: Event, rule_arn: str, now: datetime.datetime) -> str:
    """The input as JSON text. ValueError when a template does not give valid JSON."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_find(target["InputPath"], event))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values = {
        name: _find(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()
    }
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event.ingestion-time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws.events.event": {k: v for k, v in event.items() if k != "detail"},
        "aws.events.event.json": event,
    }
    return _fill(transformer["InputTemplate"], values)


def _find(path: str, event: Event) -> Any:
    matches = parse_path(_quoted(path)).find(event)
    if not matches:
        return None
    return matches[0].value


def _quoted(path: str) -> str:
    """The library takes a hyphen in a name, such as `$.detail-type`, for a minus."""
    return re.sub(r"\.([\w]+(?:-[\w]+)+)", r".'\1'", path)


def _fill(template: str, values: dict[str, Any]) -> str:
    """A placeholder inside a JSON string becomes a part of the text, elsewhere a JSON value."""
    made, is_inside, position = [], False, 0
    is_text = not template.lstrip().startswith(("{", "[")) and not _is_value(template)
    while position < len(template):
        match = _PLACEHOLDER.match(template, position)
        if match and match[1] in values:
            made.append(_written(values[match[1]], is_inside or is_text))
            position = match.end()
            continue
        character = template[position]
        if character == "\\" and is_inside:
            made.append(template[position : position + 2])
            position += 2
            continue
        is_inside ^= character == '"'
        made.append(character)
        position += 1
    text = "".join(made)
    if is_text:
        return json.dumps(text)
    json.loads(text)
    return text


def _is_value(template: str) -> bool:
    """A template that is one string or one placeholder."""
    bare = template.strip()
    return bare.startswith('"') or bool(_PLACEHOLDER.fullmatch(bare))


def _written(value: Any, is_inside: bool) -> str:
    if not is_inside:
        return json.dumps(value)
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return json.dumps(text)[1:-1]

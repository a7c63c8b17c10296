"""From an operation and its parameters to what IAM is asked: actions on resources, with their keys.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/. A table a service says
which resource an operation is about: a template below the service's ARN (`processing-job/{Name}`),
where a parameter that is an ARN stands for itself. What a request hands on is asked for as well:
iam:PassRole for roles, AddTags for tags.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Parameters = Mapping[str, Any]
Keys = dict[str, str | list[str]]


class NotKnown(Exception):
    """localaws cannot tell which permissions an operation needs, by the operation's name."""


@dataclass(frozen=True)
class Place:
    """Where ARNs belong."""

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str, region: bool = True) -> str:
        where = self.region if region else ""
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{resource}"


@dataclass(frozen=True)
class Need:
    """One permission that a call needs: an action, a resource, and condition keys of its own."""

    action: str
    resource: str
    keys: Keys = field(default_factory=dict)


Rule = Callable[[Place, str, Parameters], Iterable[Need]]
_MEMBER = re.compile(r"{(\w+)(?:\|([^}]*))?}")  # {Name}, or {Name|default}
_CHANGES = re.compile(r"(Create|Update|Put|Start|Register)[A-Z]")
_ROLES = frozenset({"RoleArn", "ExecutionRoleArn", "roleArn", "Role", "RoleARN", "serviceRole"})


def resources(place: Place, service: str, templates: Iterable[str], given: Parameters) -> list[str]:
    """The ARNs of the templates whose parameters are there; a list makes one each."""
    found = []
    for template in templates:
        if template == "*":
            found.append("*")
            continue
        for values in _values(template, given):
            whole = next((v for v in values.values() if v.startswith("arn:")), None)
            text = _MEMBER.sub(lambda match, v=values: v[match[1]], template)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            found.append(whole or place.arn(service, text))
    return found


def _values(template: str, given: Parameters) -> Iterator[dict[str, str]]:
    values: dict[str, str] = {}
    several: tuple[str, list[str]] | None = None
    for name, default in _MEMBER.findall(template):
        value = given.get(name)
        if isinstance(value, list):
            several = (name, [str(item) for item in value])
        elif value not in (None, ""):
            values[name] = str(value)
        elif f"{{{name}|" in template:
            values[name] = default
        else:
            return
    for item in several[1] if several else [""]:
        yield {**values, **({several[0]: item} if several else {})}


def table(
    service: str,
    rows: Mapping[str, str | tuple[str, ...]],
    *,
    renamed: Mapping[str, str] | None = None,
    passed_to: str = "",
    tag: str = "",
    keys: Callable[[Parameters], Keys] = lambda given: {},
) -> Rule:
    """A service's rule. `rows` maps an operation (a regular expression) to its templates.

    `renamed` maps an operation to its action where they differ; `tag` is the action for tags that
    come with a creation.
    """
    compiled = [
        (re.compile(pattern), (templates,) if isinstance(templates, str) else templates)
        for pattern, templates in rows.items()
    ]

    def rule(place: Place, operation: str, given: Parameters) -> Iterator[Need]:
        templates = next((t for p, t in compiled if p.fullmatch(operation)), None)
        if templates is None:
            raise NotKnown(f"{service}:{operation}")
        action = f"{service}:{(renamed or {}).get(operation, operation)}"
        found = resources(place, service, templates, given) or ["*"]
        about = {**keys(given), **_tags(given)}
        for resource in found:
            yield Need(action, resource, about)
        if _CHANGES.match(operation) and passed_to:
            yield from passed_roles(given, passed_to)
        if tag and operation.startswith("Create") and _tags(given):
            yield Need(f"{service}:{tag}", found[0], _tags(given))

    return rule


def passed_roles(given: Any, service: str) -> Iterator[Need]:
    """iam:PassRole for each role in a request."""
    members = given.items() if isinstance(given, Mapping) else ()
    for name, value in members:
        if name in _ROLES and isinstance(value, str) and value.startswith("arn:"):
            yield Need("iam:PassRole", value, {"iam:passedtoservice": service})
        else:
            yield from passed_roles(value, service)
    if isinstance(given, list):
        for item in given:
            yield from passed_roles(item, service)


def _tags(given: Parameters) -> Keys:
    """aws:RequestTag and aws:TagKeys of the tags in a request, whatever their spelling."""
    found = given.get("Tags") or given.get("tags") or []
    pairs: list[tuple[str, str]] = []
    if isinstance(found, Mapping):
        pairs = [(str(k), str(v)) for k, v in found.items()]
    elif isinstance(found, list):
        pairs = [
            (str(t.get("Key", t.get("key"))), str(t.get("Value", t.get("value", ""))))
            for t in found
            if isinstance(t, Mapping)
        ]
    for name, value in given.items():
        if match := re.fullmatch(r"(Tags\.member\.\d+\.)Key", name):
            pairs.append((str(value), str(given.get(f"{match[1]}Value", ""))))
    if not pairs:
        return {}
    made: Keys = {f"aws:requesttag/{key.lower()}": value for key, value in pairs}
    return {**made, "aws:tagkeys": [key for key, _ in pairs]}


def every(given: Any, name: str) -> list[str]:
    """The values of a member, wherever it stands in a request."""
    if isinstance(given, list):
        return [value for item in given for value in every(item, name)]
    if not isinstance(given, Mapping):
        return []
    own = given.get(name)
    here = [own] if isinstance(own, str) else list(own) if isinstance(own, list) else []
    return here + [value for k, item in given.items() if k != name for value in every(item, name)]

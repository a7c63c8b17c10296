"""What an update adds, changes and removes, when conditions and parameters change with it.

moto compares the resources' texts, and the parameters that a resource names by `Ref`. A resource
may also come or go by its condition, name a parameter inside `Fn::Sub`, or choose by `Fn::If`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Side:
    """A template with the values of its parameters and conditions."""

    resources: Mapping[str, Any]
    parameters: Mapping[str, Any]
    conditions: Mapping[str, Any]

    def present(self) -> dict[str, Any]:
        """The resources that their condition does not leave out."""
        return {
            name: resource
            for name, resource in self.resources.items()
            if "Condition" not in resource or self.conditions[resource["Condition"]]
        }


def difference(before: Side, after: Side) -> dict[str, list[str]]:
    """The logical names by `Add`, `Modify` and `Remove`."""
    old, new = before.present(), after.present()
    changed = {*_changed(before.parameters, after.parameters)}
    changed |= {*_changed(before.conditions, after.conditions)}
    both = [name for name in new if name in old]
    return {
        "Add": [name for name in new if name not in old],
        "Modify": [n for n in both if new[n] != old[n] or changed & {*_names(new[n])}],
        "Remove": [name for name in old if name not in new],
    }


def chosen(resource: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The resource without the properties that a condition leaves out."""
    properties = resource.get("Properties") or {}
    kept = {name: value for name, value in properties.items() if not _is_none(value, conditions)}
    return {**resource, "Properties": kept}


def _is_none(value: Any, conditions: Mapping[str, Any]) -> bool:
    while isinstance(value, dict) and "Fn::If" in value:
        name, yes, no = value["Fn::If"]
        value = yes if conditions[name] else no
    return bool(value == {"Ref": "AWS::NoValue"})


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in {*old, *new}:
        # A number may come as a text, and stay one in a snapshot.
        if str(old.get(name)) != str(new.get(name)):
            yield name


def _names(value: Any) -> Iterator[str]:
    """Every parameter or condition that a resource names, and more: its other references."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref":
            yield str(inner)
        elif key == "Fn::If":
            yield str(inner[0])
        elif key == "Fn::Sub":
            yield from _SUBSTITUTION.findall(inner if isinstance(inner, str) else inner[0])
        yield from _names(inner)

"""The template's parameters: what it allows, held against the settings before anything happens.

CloudFormation would refuse them as well, but only when the code is packed and uploaded.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class ParameterError(Exception):
    """A parameter that the template does not allow, in one sentence."""


class _Loader(yaml.SafeLoader):
    """Reads a template; CloudFormation's functions (`!Sub …`) are left out."""


_Loader.add_multi_constructor("!", lambda *_: None)


def declared(template: Path) -> dict[str, dict[str, Any]]:
    """The template's parameters by name."""
    return dict(yaml.load(template.read_text("utf-8"), _Loader).get("Parameters") or {})


def check(template: Path, given: Mapping[str, Any]) -> None:
    """Raises ParameterError for the first value that is unknown to the template or out of range."""
    slots = declared(template)
    for name, value in given.items():
        if name not in slots:
            raise ParameterError(f"{template.name} has no parameter {name}.")
        wanted = _wanted(str(value), slots[name])
        if wanted:
            purpose = str(slots[name].get("Description", "")).rstrip(".")
            raise ParameterError(
                f"{name} is {str(value)!r}, but {template.name} wants {wanted} ({purpose}): "
                "change the settings in config/."
            )


def _wanted(value: str, slot: Mapping[str, Any]) -> str | None:
    """What the parameter must be, when the value is not that."""
    allowed = [str(item) for item in slot.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"one of {', '.join(allowed)}"
    if slot["Type"] == "Number":
        lowest, highest = slot.get("MinValue", "-inf"), slot.get("MaxValue", "inf")
        if not _between(value, float(lowest), float(highest)):
            ends = [f"at least {lowest}"] * ("MinValue" in slot)
            ends += [f"at most {highest}"] * ("MaxValue" in slot)
            return " ".join(["a number", " and ".join(ends)]).strip()
    pattern = slot.get("AllowedPattern")
    if slot["Type"] == "String" and pattern and not re.fullmatch(pattern, value):
        return f"a text that matches {pattern}"
    return None


def _between(value: str, lowest: float, highest: float) -> bool:
    try:
        return lowest <= float(value) <= highest
    except ValueError:
        return False

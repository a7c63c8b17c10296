"""A template's parameters against what the template allows, in CloudFormation's own words.

moto takes any value. The service refuses the request, before there is a stack or a change set.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

import re
from collections.abc import Mapping
from typing import Any

from moto.cloudformation.exceptions import ValidationError


def check(template: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """`given` values by name; None counts as not given. Raises ValidationError."""
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    values = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(values.keys() - declared.keys())
    if unknown:
        raise ValidationError(
            message=f"Parameters: [{', '.join(unknown)}] do not exist in the template"
        )
    missing = [n for n, slot in declared.items() if n not in values and "Default" not in slot]
    if missing:
        raise ValidationError(message=f"Parameters: [{', '.join(missing)}] must have values")
    for name, slot in declared.items():
        value = values.get(name, slot.get("Default"))
        refusal = None if value is None else _refusal(_text(value), slot)
        if refusal:
            reason = slot.get("ConstraintDescription")
            said = f"failed to satisfy constraint: {reason}" if reason else refusal
            raise ValidationError(message=f"Parameter '{name}' {said}")


def given_for_update(items: list[dict[str, Any]], before: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an UpdateStack request, some of them as they were `before`."""
    return {
        item["ParameterKey"]: (
            before.get(item["ParameterKey"])
            if item.get("UsePreviousValue")
            else item.get("ParameterValue")
        )
        for item in items
    }


def _refusal(value: str, slot: Mapping[str, Any]) -> str | None:
    allowed = [_text(item) for item in slot.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return "must be one of AllowedValues"
    if slot["Type"] == "Number":
        return _refusal_of_number(value, slot)
    if slot["Type"] != "String":
        return None
    pattern = slot.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        return f"must match pattern {pattern}"
    if len(value) < int(slot.get("MinLength", 0)):
        return f"must contain at least {slot['MinLength']} characters"
    if "MaxLength" in slot and len(value) > int(slot["MaxLength"]):
        return f"must contain at most {slot['MaxLength']} characters"
    return None


def _refusal_of_number(value: str, slot: Mapping[str, Any]) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "must be a number"
    if "MinValue" in slot and number < float(slot["MinValue"]):
        return f"must be a number not less than {slot['MinValue']}"
    if "MaxValue" in slot and number > float(slot["MaxValue"]):
        return f"must be a number not greater than {slot['MaxValue']}"
    return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)

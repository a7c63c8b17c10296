"""The conditions of a Condition step.

A step's outcome is true when every entry of its `Conditions` holds.
"""

import operator
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
# What a condition of each type must carry.
MEMBERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COMPARISONS, ("LeftValue", "RightValue")),
    "In": ("QueryValue", "Values"),
    "Not": (),  # version 3 of the SDK writes `Condition`, version 2 wrote `Expression`
    "Or": ("Conditions",),
    "And": ("Conditions",),
}


class IncomparableValues(Exception):
    """Two values of one comparison have no order, such as a text and a number."""


def holds(condition: Json) -> bool:
    """Whether a checked condition, its references resolved, is true.

    Raises `IncomparableValues`.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(_negated(condition))
    if kind in ("Or", "And"):
        combine = any if kind == "Or" else all
        return combine(holds(part) for part in condition["Conditions"])
    if kind == "In":
        return condition["QueryValue"] in condition["Values"]
    left, right = condition["LeftValue"], condition["RightValue"]
    try:
        return COMPARISONS[kind](left, right)
    except TypeError:
        raise IncomparableValues(f"{left!r} and {right!r} cannot be compared by {kind}") from None


def problems(condition: Any) -> list[str]:
    """What is wrong with a condition's form; empty when it can be evaluated."""
    if not isinstance(condition, dict) or condition.get("Type") not in MEMBERS:
        kind = condition.get("Type") if isinstance(condition, dict) else condition
        return [f"a condition has Type {kind!r}; it must be one of {', '.join(MEMBERS)}"]
    kind = condition["Type"]
    found = [f"a condition {kind} needs {name}" for name in MEMBERS[kind] if name not in condition]
    for part in condition.get("Conditions") or []:
        found += problems(part)
    if kind == "Not":
        found += problems(_negated(condition))
    return found


def _negated(condition: Json) -> Any:
    return condition.get("Condition", condition.get("Expression"))

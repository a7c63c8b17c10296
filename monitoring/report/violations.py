"""Each entry of `constraint_violations.json` as one plain sentence.

The texts of data_type_check, of the column checks' tail and of the distance are known from real
files; those of completeness and categorical checks are unconfirmed, so an unknown text is quoted as
it is. Source: "Schema for Violations", SageMaker AI guide.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitoring.report.distributions import Feature, Numeric
from monitoring.report.observations import Json, plain

NUMBER = r"(-?[\d.]+(?:[eE][-+]?\d+)?)"
DISTANCE = re.compile(rf"distance: {NUMBER} exceeds threshold: {NUMBER}")
TYPE = re.compile(rf"Expected data type: (\w+), Expected match: {NUMBER}%.*Only {NUMBER}%")
COLUMNS = re.compile(r"current dataset: (\d+), Number of columns in baseline constraints: (\d+)")
METRIC = re.compile(rf"with {NUMBER}(?: \+/- \S+)? was (Less|Greater)ThanThreshold '?{NUMBER}")


@dataclass(frozen=True, slots=True)
class Violation:
    """`name` of the feature or metric, the `check` that failed, `sentence` in plain words and what
    the analyzer wrote itself; `short` fits into the title of a panel."""

    name: str
    check: str
    sentence: str
    short: str
    description: str


def in_words(found: Json | None, features: Mapping[str, Feature]) -> list[Violation]:
    """The violations in the file's order; none of None."""
    return [_violation(one, features) for one in (found or {}).get("violations") or []]


def _violation(one: Json, features: Mapping[str, Feature]) -> Violation:
    # Unbounded here, so that a feature is found by its whole name; `plain` cuts what is shown.
    whole = str(one.get("feature_name") or one.get("metric_name") or "the data")
    check = plain(one.get("constraint_check_type") or "check", 60)
    description = plain(one.get("description") or "", 400)
    words = _WORDS.get(check, _unknown)
    sentence, short = words(plain(whole, 60), description)
    if check == "baseline_drift_check":
        sentence += _means(features.get(whole))
    return Violation(whole, check, sentence + ".", short, description)


def _drift(name: str, text: str) -> tuple[str, str]:
    found = DISTANCE.search(text)
    if not found:
        return f"{name} has drifted from the baseline", "drifted"
    distance, limit = figure(found[1]), figure(found[2])
    return (
        f"{name} has drifted: distance {distance} exceeds {limit}",
        f"drifted: {distance} > {limit}",
    )


def _means(feature: Feature | None) -> str:
    if feature is None:
        return ""
    before, now = feature.baseline, feature.traffic
    if not isinstance(before, Numeric) or not isinstance(now, Numeric):
        return ""
    if before.mean is None or now.mean is None:
        return ""
    return f"; its mean went from {figure(before.mean)} to {figure(now.mean)}"


def _type(name: str, text: str) -> tuple[str, str]:
    found = TYPE.search(text)
    if not found:
        return f"{name} holds values of another type than in the baseline", "other type"
    kind, wanted, seen = found[1], figure(found[2]), _part(found[3])
    return (
        f"{name} holds values of another type: {seen} % are {kind}, where {wanted} % should be",
        "other type",
    )


def _part(percent: str) -> str:
    """A percentage that is below 100 is not rounded up to it."""
    value = float(percent)
    return "over 99.99" if 99.99 < value < 100 else f"{value:.4g}"


def _completeness(name: str, text: str) -> tuple[str, str]:
    return f"{name} is missing in more records than in the baseline", "often missing"


def _columns(name: str, text: str) -> tuple[str, str]:
    found = COLUMNS.search(text)
    if not found:
        return "The traffic does not have the baseline's columns", "other columns"
    return f"The traffic has {found[1]} columns and the baseline {found[2]}", "other columns"


def _categories(name: str, text: str) -> tuple[str, str]:
    return f"{name} has values that the baseline does not know", "unknown values"


def _metric(name: str, text: str) -> tuple[str, str]:
    found = METRIC.search(text)
    name = name.replace("_", " ")
    if not found:
        return f"{name} is worse than the baseline allows", "worse than allowed"
    value, side, limit = figure(found[1]), found[2], figure(found[3])
    where = "below the least" if side == "Less" else "above the most"
    return f"{name} is {value}, {where} allowed, {limit}", f"{value}, allowed {limit}"


def _unknown(name: str, text: str) -> tuple[str, str]:
    return f"{name}: {text.rstrip('.') or 'a check failed'}", "a check failed"


_WORDS: Mapping[str, Callable[[str, str], tuple[str, str]]] = {
    "baseline_drift_check": _drift,
    "data_type_check": _type,
    "completeness_check": _completeness,
    "missing_column_check": _columns,
    "extra_column_check": _columns,
    "categorical_values_check": _categories,
    "LessThanThreshold": _metric,
    "GreaterThanThreshold": _metric,
}


def figure(value: str | float) -> str:
    """Three significant digits, without an exponent where a reader can do without: `0.32`."""
    number = float(value)
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e9 else f"{number:.3g}"

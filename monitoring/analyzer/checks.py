"""The six checks of a table against a baseline, and the drift distances for the metrics.

Source: "Schema for Violations (constraint_violations.json file)", SageMaker AI guide; texts from
real files where the comment says so. `num_constraints.is_non_negative` is not among the documented
checks and is not evaluated. [?]
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from monitoring.analyzer import distance
from monitoring.analyzer.constraints import Rules
from monitoring.analyzer.profile import STRING, UNKNOWN, Feature, Profile
from monitoring.analyzer.settings import AnalyzerError
from monitoring.analyzer.sketch import Distribution

Json = dict[str, Any]

_LOG = logging.getLogger(__name__)


@dataclass
class Findings:
    """What a comparison found: the violations, and the distance of each compared feature."""

    violations: list[Json] = field(default_factory=list)
    distances: dict[str, float] = field(default_factory=dict)

    def add(self, feature: str, check: str, description: str) -> None:
        """One more violation."""
        self.violations.append(
            {
                "feature_name": feature,
                "constraint_check_type": check,
                "description": description,
            }
        )


def compare(profile: Profile, rules: Rules, baseline: Json | None) -> Findings:
    """Checks a table against constraints and, where there are some, a baseline's statistics."""
    findings = Findings()
    if not _same_columns(profile, rules, findings):
        return findings
    statistics = {one["name"]: one for one in (baseline or {}).get("features", [])}
    for name in rules.features:
        feature = profile.features.get(name)
        if feature is None:
            continue
        measured = _drift(feature, statistics.get(name), rules, name)
        if measured is not None:
            findings.distances[name] = measured
        if rules.enabled("evaluate_constraints", name):
            _data_type(name, feature, rules, findings)
            _completeness(name, profile.completeness(name), rules, findings)
            _domain(name, feature, rules, findings)
            _exceeded(name, feature, rules, findings)
    return findings


def _same_columns(profile: Profile, rules: Rules, findings: Findings) -> bool:
    """Compares the columns. When their number differs, nothing else is reported. [I]

    The description's tail is AWS's; that it starts with the names is ours. [?] feature_name.
    With equal numbers but other names AWS's behaviour is not known; both checks report it here.
    """
    missing = [name for name in rules.features if name not in profile.features]
    extra = [name for name in profile.features if name not in rules.features]
    current, expected = len(profile.features), len(rules.features)
    if not (missing or extra):
        return True
    _LOG.warning(
        "The columns differ from the baseline's. Missing: %s. Extra: %s.",
        ", ".join(missing) or "none",
        ", ".join(extra) or "none",
    )
    if not rules.enabled("evaluate_constraints"):
        return current == expected
    tail = (
        f"Number of columns in current dataset: {current}, "
        f"Number of columns in baseline constraints: {expected}"
    )
    if missing and current <= expected:
        text = f"Missing in current dataset: {_named(missing)}. {tail}"
        findings.add("Missing columns", "missing_column_check", text)
    if extra and current >= expected:
        text = f"Extra in current dataset: {_named(extra)}. {tail}"
        findings.add("Extra columns", "extra_column_check", text)
    return current == expected


def _named(names: list[str]) -> str:
    more = len(names) - 20
    return ", ".join(names[:20]) + (f" and {more} more" if more > 0 else "")


def _data_type(name: str, feature: Feature, rules: Rules, findings: Findings) -> None:
    kind = rules.features[name]["inferred_type"]
    threshold = float(rules.config(name)["datatype_check_threshold"])
    share = feature.share_of(kind)
    if kind != UNKNOWN and share < threshold:
        findings.add(  # The text of a real file.
            name,
            "data_type_check",
            f"Data type match requirement is not met. Expected data type: {kind}, "
            f"Expected match: {threshold * 100}%. Observed: Only {share * 100}% of data is {kind}.",
        )


def _completeness(name: str, observed: float, rules: Rules, findings: Findings) -> None:
    expected = rules.features[name].get("completeness")
    if expected is not None and observed < expected:
        findings.add(  # [?] The text is ours, after that of the data types.
            name,
            "completeness_check",
            "Data completeness requirement is not met. "
            f"Expected completeness: {expected * 100}%. Observed: Only {observed * 100}% of data "
            "is complete.",
        )


def _domain(name: str, feature: Feature, rules: Rules, findings: Findings) -> None:
    domains = rules.domains(name)
    if domains is None or not feature.present:
        return
    threshold = float(rules.config(name)["domain_content_threshold"])
    counts = feature.categories.counts
    share = sum(counts.get(value, 0) for value in set(domains)) / feature.present
    if share < threshold:
        findings.add(  # [?] The text is ours, after that of the data types.
            name,
            "categorical_values_check",
            "Categorical values requirement is not met. "
            f"Expected match: {threshold * 100}%. Observed: Only {share * 100}% of data is in the "
            "baseline's domain.",
        )


def _exceeded(name: str, feature: Feature, rules: Rules, findings: Findings) -> None:
    if name not in findings.distances:
        return
    config = rules.config(name)["distribution_constraints"]
    is_text = rules.features[name]["inferred_type"] == STRING
    key = "categorical_comparison_threshold" if is_text else "comparison_threshold"
    measured, threshold = findings.distances[name], float(config[key])
    if measured > threshold:
        findings.add(  # "distance: … exceeds threshold: …" is confirmed, the start is not. [?]
            name,
            "baseline_drift_check",
            f"Baseline drift distance: {measured} exceeds threshold: {threshold}",
        )


def _drift(feature: Feature, baseline: Json | None, rules: Rules, name: str) -> float | None:
    """The distance from the baseline; None where there is nothing to compare.

    A column whose kind has changed between number and text has no distance: the check of the
    data types reports it. [?] What the analyzer does then is not known.
    """
    if baseline is None or not feature.present or not rules.enabled("perform_comparison", name):
        return None
    method = rules.config(name)["distribution_constraints"]["comparison_method"]
    numbers = (baseline.get("numerical_statistics") or {}).get("distribution")
    texts = (baseline.get("string_statistics") or {}).get("distribution")
    if numbers and feature.inferred_type != STRING and feature.moments.count:
        expected = Distribution(numbers["kll"]["sketch"]["data"])
        current = Distribution(feature.quantiles.levels())
        return distance.numerical(current, expected, method) if expected.total else None
    if texts:
        counted = {one["value"]: one["count"] for one in texts["categorical"]["buckets"]}
        total = sum(counted.values())
        counts = feature.categories.counts
        if total:
            return distance.categorical(counts, counted, feature.present, total, method)
    return None


def is_statistics(document: Json | None) -> None:
    """Raises AnalyzerError when a baseline's document has not the form of a statistics.json."""
    try:
        for one in (document or {"features": []})["features"]:
            numbers = (one.get("numerical_statistics") or {}).get("distribution")
            texts = (one.get("string_statistics") or {}).get("distribution")
            if numbers:
                Distribution(numbers["kll"]["sketch"]["data"])
            for bucket in texts["categorical"]["buckets"] if texts else ():
                _ = one["name"], bucket["value"], bucket["count"] + 0
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnalyzerError(
            f"baseline_statistics has not the form of a statistics.json: {error!r}."
        ) from error


def known_values(rules: Rules | None, baseline: Json | None) -> dict[str, list[str]]:
    """The values of each feature that a comparison asks for."""
    known: dict[str, list[str]] = {}
    if rules:
        known = {name: rules.domains(name) or [] for name in rules.features}
    for one in (baseline or {}).get("features", []):
        texts = (one.get("string_statistics") or {}).get("distribution")
        if texts:
            values = [str(each["value"]) for each in texts["categorical"]["buckets"]]
            known[one["name"]] = [*known.get(one["name"], []), *values]
    return known

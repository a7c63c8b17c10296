"""constraints.json: suggested from statistics, and read back with its overrides.

Source: "Schema for Constraints (constraints.json file)", SageMaker AI guide; the values are those
of real generated files (the guide says 0.1 for the first two thresholds).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from monitoring.analyzer.profile import INTEGRAL, STRING, UNKNOWN
from monitoring.analyzer.settings import AnalyzerError

Json = dict[str, Any]

MONITORING_CONFIG: Json = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}
# The documentation's name, and the one that the SDK's `Constraints.set_monitoring` writes.
_OVERRIDES = ("monitoringConfigOverrides", "monitoring_config_overrides")


def suggest(statistics: Json) -> Json:
    """The constraints that the data behind `statistics` keeps."""
    return {
        "version": 0.0,
        "features": [_feature(one) for one in statistics["features"]],
        "monitoring_config": copy.deepcopy(MONITORING_CONFIG),
    }


def _feature(statistics: Json) -> Json:
    kind = statistics["inferred_type"]
    numbers: Json | None = statistics.get("numerical_statistics")
    strings: Json = statistics.get("string_statistics") or {}
    found = {
        "name": statistics["name"],
        "inferred_type": kind,
        "completeness": (numbers or strings)["completeness"],
    }
    if numbers:
        found["num_constraints"] = {"is_non_negative": numbers["min"] >= 0}
    elif kind == STRING and "distribution" in strings:
        categories = strings["distribution"]["categorical"]["buckets"]
        found["string_constraints"] = {"domains": [one["value"] for one in categories]}
    return found


class Rules:
    """The constraints in force, feature by feature.

    Raises: AnalyzerError when the document lacks what every constraints.json has, or asks for a
    method that is not known.
    """

    def __init__(self, document: Json, drift_method: str | None = None) -> None:
        features = document.get("features")
        if not isinstance(features, list) or not all(_is_feature(one) for one in features):
            raise AnalyzerError(
                "baseline_constraints: each of its features needs name and inferred_type."
            )
        self.features: dict[str, Json] = {one["name"]: one for one in features}
        self._config = _merged(MONITORING_CONFIG, document.get("monitoring_config") or {})
        if drift_method:
            self._config["distribution_constraints"]["categorical_drift_method"] = drift_method
        for name in self.features:
            self._check(name)

    def config(self, name: str | None = None) -> Json:
        """The monitoring configuration, with the overrides of the feature `name`."""
        found = self._config
        for key in _OVERRIDES:
            found = _merged(found, self.features.get(name or "", {}).get(key) or {})
        return found

    def enabled(self, switch: str, name: str | None = None) -> bool:
        """Whether `evaluate_constraints`, `emit_metrics` or `perform_comparison` is on."""
        config = self.config(name)
        return bool((config | config["distribution_constraints"])[switch] == "Enabled")

    def domains(self, name: str) -> list[str] | None:
        """The values that the feature may have; None when it may have any."""
        domains = (self.features[name].get("string_constraints") or {}).get("domains")
        return [str(value) for value in domains] if domains else None

    def _check(self, name: str) -> None:
        drift = self.config(name)["distribution_constraints"]
        if drift["categorical_drift_method"] != "LInfinity":
            # [?] How the analyzer compares the statistic with the threshold is not documented.
            raise AnalyzerError(
                f"categorical_drift_method {drift['categorical_drift_method']!r} (feature {name}) "
                "is not supported, since how it meets the threshold is not documented: "
                "use LInfinity."
            )
        if drift["comparison_method"] not in ("Simple", "Robust"):
            raise AnalyzerError(
                f"comparison_method {drift['comparison_method']!r} (feature {name}) is neither "
                "Simple nor Robust."
            )


def _is_feature(one: object) -> bool:
    return isinstance(one, dict) and "name" in one and one.get("inferred_type") in _TYPES


_TYPES = (INTEGRAL, "Fractional", STRING, UNKNOWN)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """`base` with the values of `over`, to any depth."""
    found = dict(base)
    for key, value in over.items():
        inner = found.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(inner, value) if both and inner else copy.deepcopy(value)
    return found

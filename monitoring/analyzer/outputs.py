"""Writes what a run has found: the JSON files, the exit message and the metric files.

Each file is written beside its place and renamed, `constraint_violations.json` last, since its
arrival is what others wait for. So a run that is killed leaves the results of the run before it, or
none.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.analyzer.constraints import Rules
from monitoring.analyzer.profile import Profile
from monitoring.analyzer.settings import AnalyzerError, Settings

Json = dict[str, Any]

STATISTICS, CONSTRAINTS = "statistics.json", "constraints.json"
VIOLATIONS = "constraint_violations.json"
MESSAGE_LIMIT = 1024  # characters of an ExitMessage


def write_results(folder: Path, documents: Mapping[str, Json]) -> None:
    """Writes the documents by name; the violations last. Raises AnalyzerError."""
    # Thousands of sketch items, a line each, would help nobody.
    texts = {
        name: json.dumps(document, indent=None if name == STATISTICS else 2)
        for name, document in documents.items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if VIOLATIONS not in documents:  # of an earlier run into the same folder
            (folder / VIOLATIONS).unlink(missing_ok=True)
        for name in sorted(texts, key=lambda name: (name == VIOLATIONS, name)):
            write(folder / name, texts[name] + "\n")
    except OSError as error:
        raise AnalyzerError(f"The results cannot be written to {folder}: {error}.") from error


def write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_message(root: Path, message: str) -> None:
    """The exit message, where a processing job's is read from."""
    write(root / "output" / "message", message[:MESSAGE_LIMIT])


def success(violations: int) -> str:
    """The analyzer's own words."""
    if not violations:
        return "Completed: Job completed successfully with no violations."
    return f"CompletedWithViolations: Job completed successfully with {violations} violations."


def feature_metrics(
    profile: Profile, distances: Mapping[str, float], rules: Rules | None
) -> list[Json]:
    """The metrics of each feature, without time and dimensions.

    Source: "CloudWatch Metrics for Bring Your Own Containers", SageMaker AI guide.
    """
    found: list[Json] = []
    for name, feature in profile.features.items():
        if rules and not rules.enabled("emit_metrics", name if name in rules.features else None):
            continue
        moments = feature.moments
        if moments.count and feature.inferred_type != "String":
            values = {
                "SampleCount": moments.count,
                "Sum": moments.sum,
                "Minimum": moments.minimum,
                "Maximum": moments.maximum,
            }
            found.append({"MetricName": f"feature_data_{name}", "StatisticValues": values})
        found.append({"MetricName": f"feature_non_null_{name}", "Value": feature.present})
        if name in distances:
            metric = f"feature_baseline_drift_{name}"
            found.append({"MetricName": metric, "Value": distances[name]})
    return found


def write_metrics(settings: Settings, metrics: list[Json]) -> None:
    """One JSON line a metric, where the platform collects them; the namespace is the platform's."""
    override = os.environ.get("CLOUDWATCH_METRICS_DIRECTORY")
    folder = Path(override) if override else settings.root / "output" / "metrics" / "cloudwatch"
    dimensions = [
        {"Name": name, "Value": value}
        for name, value in (
            ("Endpoint", settings.get("sagemaker_endpoint_name")),
            ("MonitoringSchedule", settings.get("sagemaker_monitoring_schedule_name")),
        )
        if value
    ]
    time = settings.get("metric_time") or now()
    lines = [
        json.dumps(
            {"MetricName": one["MetricName"], "Timestamp": time, "Dimensions": dimensions} | one
        )
        for one in metrics
    ]
    write(folder / "cloudwatch_metrics.jsonl", "".join(line + "\n" for line in lines))


def now() -> str:
    """The time in UTC, in seconds."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"

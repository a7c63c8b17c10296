"""The job's environment, checked once; every later stage takes `Settings`.

Source: "Container contract inputs", SageMaker AI guide (byoc-contract-inputs), and published jobs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.window import Window

Json = dict[str, Any]

OPT_ML = Path("/opt/ml")
DATA_QUALITY, MODEL_QUALITY = "DATA_QUALITY", "MODEL_QUALITY"
FORMATS = ("csv", "json", "parquet", "sagemakerCaptureJson", "sagemakerMergeJson")
PROBLEMS = ("BinaryClassification", "MulticlassClassification", "Regression")
INDEX_NAMES = ("endpointInput", "endpointOutput", "batchTransformOutput")

# Every variable that the program reads, with what `--help` says about it.
VARIABLES = {
    "dataset_source": "file or folder with the data (required)",
    "dataset_format": 'such as {"csv":{"header":true}} (required)',
    "output_path": "folder for the results (required)",
    "baseline_constraints": "constraints.json to check against",
    "baseline_statistics": "statistics.json to compare with",
    "analysis_type": "DATA_QUALITY (default) or MODEL_QUALITY",
    "problem_type": "BinaryClassification, MulticlassClassification or Regression",
    "inference_attribute": "column with the predicted label or value",
    "probability_attribute": "column with the positive class's probability",
    "probability_threshold_attribute": "from which probability on it is positive (0.5)",
    "ground_truth_attribute": "column with the label",
    "positive_label": "the label that counts as positive (1)",
    "exclude_features_attribute": "columns to leave out, comma-separated",
    "start_time": "start of the window, ISO 8601",
    "end_time": "end of the window, ISO 8601",
    "metric_time": "timestamp of the metrics, ISO 8601",
    "record_preprocessor_script": "file with preprocess_handler(inference_record[, logger])",
    "post_analytics_processor_script": "file with postprocess_handler()",
    "publish_cloudwatch_metrics": "Enabled or Disabled",
    "sagemaker_endpoint_name": "the endpoint, for the metrics' dimensions",
    "sagemaker_monitoring_schedule_name": "the schedule; only schedules may publish metrics",
    "monitoring_input_type": "ENDPOINT_INPUT or BATCH_TRANSFORM_INPUT",
    "categorical_drift_method": "LInfinity",
}


class AnalyzerError(Exception):
    """What stopped the analysis, in one sentence: where, what, and what to try."""


@dataclass(frozen=True)
class Settings:
    """One run. `values` holds the variables that are set and need no conversion."""

    dataset_source: Path
    format_name: str
    format_options: Json
    output_path: Path
    window: Window | None
    values: Mapping[str, str]
    root: Path = OPT_ML

    def get(self, name: str) -> str | None:
        """A variable's text; None when it is absent or empty."""
        return self.values.get(name) or None

    def file(self, name: str) -> Path | None:
        """A variable that names a file, which must be there."""
        text = self.get(name)
        if text is None:
            return None
        path = located(text, self.root)
        if not path.is_file():
            raise AnalyzerError(f"{name} names {path}, which is not a file.")
        return path

    @property
    def is_model_quality(self) -> bool:
        """Whether predictions are compared with labels, instead of columns with a baseline."""
        return self.get("analysis_type") == MODEL_QUALITY

    @property
    def publishes(self) -> bool:
        """Whether metric files are written."""
        return self.get("publish_cloudwatch_metrics") == "Enabled"

    @property
    def index_names(self) -> list[str]:
        """The halves of a captured record that are analyzed, the output first."""
        names = self.format_options.get("captureIndexNames") or ["endpointOutput"]
        return sorted(names, key=lambda name: name == "endpointInput")

    @property
    def excluded(self) -> list[str]:
        """The columns that `exclude_features_attribute` names."""
        text = self.get("exclude_features_attribute") or ""
        return [name.strip() for name in text.split(",") if name.strip()]


def located(text: str, root: Path) -> Path:
    """The path `text`, below `root` when it lies in `/opt/ml`."""
    path = Path(text)
    return root / path.relative_to(OPT_ML) if path.is_relative_to(OPT_ML) else path


def environment(root: Path) -> dict[str, str]:
    """The job's variables: its configuration file's, and over them the process's."""
    path = root / "config" / "processingjobconfig.json"
    configured: Json = {}
    if path.is_file():
        configured = read_json(path, "the job's configuration").get("Environment") or {}
    return {name: str(value) for name, value in configured.items()} | dict(os.environ)


def read(variables: Mapping[str, str], root: Path = OPT_ML) -> Settings:
    """Checks the variables. Raises AnalyzerError at the first that is wrong."""
    values = {name: variables[name] for name in VARIABLES if variables.get(name)}
    for name in ("dataset_source", "dataset_format", "output_path"):
        if name not in values:
            raise AnalyzerError(f"The environment variable {name} is missing.")
    _one_of(values, "analysis_type", (DATA_QUALITY, MODEL_QUALITY), DATA_QUALITY)
    # [I] Every working plain job sets Disabled, so what counts without it must be Enabled.
    _one_of(values, "publish_cloudwatch_metrics", ("Enabled", "Disabled"), "Enabled")
    _one_of(values, "problem_type", PROBLEMS, None)
    if values["analysis_type"] == MODEL_QUALITY and "problem_type" not in values:
        raise AnalyzerError("analysis_type MODEL_QUALITY needs problem_type.")
    scheduled = "sagemaker_monitoring_schedule_name" in values
    if values["publish_cloudwatch_metrics"] == "Enabled" and not scheduled:
        raise AnalyzerError(
            "CloudWatch publishing is available only for jobs from MonitoringSchedules."
        )
    source = located(values["dataset_source"], root)
    if not source.exists():
        raise AnalyzerError(f"dataset_source names {source}, which does not exist.")
    name, options = _format(values["dataset_format"])
    return Settings(
        dataset_source=source,
        format_name=name,
        format_options=options,
        output_path=located(values["output_path"], root),
        window=_window(values),
        values=values,
        root=root,
    )


def read_json(path: Path, what: str) -> Json:
    """A JSON object from a file. Raises AnalyzerError naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnalyzerError(f"{path} ({what}) cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise AnalyzerError(f"{path} ({what}) holds no JSON object.")
    return value


def _one_of(
    values: dict[str, str], name: str, allowed: tuple[str, ...], default: str | None
) -> None:
    if name not in values and default is not None:
        values[name] = default
    if name in values and values[name] not in allowed:
        raise AnalyzerError(f"{name} is {values[name]!r}; it must be one of {', '.join(allowed)}.")


def _format(text: str) -> tuple[str, Json]:
    try:
        value = json.loads(text)
        ((name, options),) = value.items()
    except (ValueError, AttributeError) as error:
        raise AnalyzerError(
            f"dataset_format is {text!r}; it must be a JSON object with one key of "
            f"{', '.join(FORMATS)}."
        ) from error
    if name not in FORMATS:
        raise AnalyzerError(f"dataset_format {name!r} is none of {', '.join(FORMATS)}.")
    options = options or {}
    unknown = [one for one in options.get("captureIndexNames") or [] if one not in INDEX_NAMES]
    if unknown:
        raise AnalyzerError(f"captureIndexNames {unknown} are none of {', '.join(INDEX_NAMES)}.")
    return name, options


def _window(values: Mapping[str, str]) -> Window | None:
    start, end = values.get("start_time"), values.get("end_time")
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise AnalyzerError("start_time and end_time belong together; one of them is missing.")
    try:
        return Window.parse(start, end)
    except ValueError as error:
        raise AnalyzerError(f"start_time {start!r}, end_time {end!r}: {error}") from error

"""The CreateProcessingJob request of one execution.

Paths, variables and places are those of Model Monitor's container contract:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

import datetime
import json
from dataclasses import dataclass
from typing import Any

from localaws.context import Context
from localaws.errors import NotFound
from localaws.hosting.spec import FleetSpec
from localaws.jobs.channels import split_uri
from localaws.monitoring import times

Json = dict[str, Any]

_PROCESSING = "/opt/ml/processing"
_HALVES = {
    "endpointInput": {"Input", "InputAndOutput"},
    "endpointOutput": {"Output", "InputAndOutput"},
}
_ATTRIBUTES = {
    "InferenceAttribute": "inference_attribute",
    "ProbabilityAttribute": "probability_attribute",
    "ProbabilityThresholdAttribute": "probability_threshold_attribute",
    "ExcludeFeaturesAttribute": "exclude_features_attribute",
}


class CannotRun(Exception):
    """The execution fails before it has a job; the message is its FailureReason."""


@dataclass(frozen=True)
class Execution:
    """One run of a schedule."""

    schedule: Json
    scheduled: datetime.datetime
    job_name: str


def build(context: Context, execution: Execution, definition: Json) -> Json:
    """The request. CannotRun, with a sentence, when there is nothing to analyze.

    `definition` has the shape of a MonitoringJobDefinition.
    """
    source = definition["MonitoringInputs"][0]["EndpointInput"]
    fleet = _fleet(context, source["EndpointName"])
    window = times.span(
        execution.schedule["MonitoringScheduleConfig"]["ScheduleConfig"],
        source,
        execution.scheduled,
    )
    inputs = _captured(context, fleet, source, window)
    files = _files(context, definition)
    output = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    name = execution.schedule["MonitoringScheduleName"]
    hour = execution.scheduled.strftime("%Y/%m/%d/%H")
    target = {
        "S3UploadMode": "Continuous",
        **output,
        "S3Uri": f"{output['S3Uri'].rstrip('/')}/{fleet.endpoint}/{name}/{hour}",
    }
    app = definition["MonitoringAppSpecification"]
    members = ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
    hourly = {"MaxRuntimeInSeconds": 3600}
    request = {
        "ProcessingJobName": execution.job_name,
        "MonitoringScheduleArn": execution.schedule["MonitoringScheduleArn"],
        "AppSpecification": {name: app[name] for name in members if app.get(name)},
        "Environment": {
            "publish_cloudwatch_metrics": "Enabled",
            **(definition.get("Environment") or {}),
            **_environment(execution, source, fleet, window),
            "output_path": output["LocalPath"],
            **{variable: path for variable, path, _ in files if variable},
        },
        "ProcessingInputs": [*inputs, *(item for _, _, item in files)],
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": "monitoring_output", "S3Output": target}]
        },
        "ProcessingResources": definition["MonitoringResources"],
        "StoppingCondition": definition.get("StoppingCondition") or hourly,
        "NetworkConfig": definition.get("NetworkConfig"),
        "RoleArn": definition["RoleArn"],
    }
    return {member: value for member, value in request.items() if value is not None}


def _fleet(context: Context, endpoint: str) -> FleetSpec:
    record = context.store.get("endpoint", endpoint)
    if record is None:
        raise CannotRun(f"The endpoint {endpoint} does not exist any more.")
    fleet = FleetSpec.from_json(record["Fleet"])
    if not fleet.capture:
        raise CannotRun(f"The endpoint {endpoint} has no data capture (DataCaptureConfig).")
    return fleet


def _captured(context: Context, fleet: FleetSpec, source: Json, window: times.Span) -> list[Json]:
    """An input for each hour of the window in which a variant has captured something."""
    assert fleet.capture is not None
    prefix = f"{fleet.capture['DestinationS3Uri'].rstrip('/')}/{fleet.endpoint}"
    hours = times.hours_of(window)
    found: list[Json] = []
    for variant in fleet.variants:
        for hour in hours:
            place = f"{variant.name}/{hour:%Y/%m/%d/%H}"
            if _has_objects(context, f"{prefix}/{place}/"):
                name = f"endpoint_input_{len(found) + 1}"
                path = f"{source['LocalPath'].rstrip('/')}/{fleet.endpoint}/{place}"
                found.append(_input(name, f"{prefix}/{place}", path, source))
    if not found:
        looked = ", ".join(f"{hour:%Y/%m/%d/%H}" for hour in hours)
        variants = ", ".join(variant.name for variant in fleet.variants)
        reason = (
            f"Job inputs had no data: nothing below {prefix}/ of variant {variants} in {looked}"
        )
        raise CannotRun(reason if len(reason) < 1000 else f"{reason[:1000]} …")
    return found


def _has_objects(context: Context, uri: str) -> bool:
    try:
        return next(iter(context.objects.list(*split_uri(uri))), None) is not None
    except NotFound:
        return False  # the bucket is gone


def _files(context: Context, definition: Json) -> list[tuple[str, str, Json]]:
    """Baseline and scripts: the variable that names the file, its path, the input."""
    app = definition["MonitoringAppSpecification"]
    baseline = _baseline(context, definition.get("BaselineConfig") or {})
    found = []
    for variable, name, folder, uri in (
        ("baseline_constraints", "constraints", "baseline/constraints", baseline[0]),
        ("baseline_statistics", "baseline", "baseline/stats", baseline[1]),
        (
            "record_preprocessor_script",
            "pre_processor_script",
            "code/preprocessing",
            app.get("RecordPreprocessorSourceUri"),
        ),
        (
            "post_analytics_processor_script",
            "post_processor_script",
            "code/postprocessing",
            app.get("PostAnalyticsProcessorSourceUri"),
        ),
    ):
        if uri:
            path = f"{_PROCESSING}/{folder}"
            found.append((variable, f"{path}/{uri.rpartition('/')[2]}", _input(name, uri, path)))
    return found


def _baseline(context: Context, config: Json) -> tuple[str | None, str | None]:
    """Where constraints and statistics are; a baselining job's are in its output."""
    constraints = (config.get("ConstraintsResource") or {}).get("S3Uri")
    statistics = (config.get("StatisticsResource") or {}).get("S3Uri")
    job = config.get("BaseliningJobName")
    if job and not (constraints and statistics):
        record = context.store.get("processing-job", job)
        if record is None:
            raise CannotRun(f"The baselining job {job} does not exist.")
        output = record["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
        constraints = constraints or f"{output}/constraints.json"
        statistics = statistics or f"{output}/statistics.json"
    return constraints, statistics


def _input(name: str, uri: str, path: str, source: Json | None = None) -> Json:
    source = source or {}
    place = {
        "S3Uri": uri,
        "LocalPath": path,
        "S3DataType": "S3Prefix",
        "S3InputMode": source.get("S3InputMode", "File"),
        "S3DataDistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
    }
    return {"InputName": name, "S3Input": place}


def _environment(
    execution: Execution, source: Json, fleet: FleetSpec, window: times.Span
) -> dict[str, str]:
    assert fleet.capture is not None
    modes = {option["CaptureMode"] for option in fleet.capture["CaptureOptions"]}
    halves = [half for half, wanted in _HALVES.items() if modes & wanted]
    dataset = {"sagemakerCaptureJson": {"captureIndexNames": halves}}
    attributes = {
        variable: str(source[member])
        for member, variable in _ATTRIBUTES.items()
        if source.get(member) is not None
    }
    return {
        "dataset_source": source["LocalPath"],
        "dataset_format": json.dumps(dataset),
        "start_time": _text(window[0]),
        "end_time": _text(window[1]),
        "metric_time": _text(execution.scheduled),
        "monitoring_input_type": "ENDPOINT_INPUT",
        "sagemaker_endpoint_name": fleet.endpoint,
        "sagemaker_monitoring_schedule_name": execution.schedule["MonitoringScheduleName"],
        **attributes,
    }


def _text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""startMonitoring: one window of captured traffic → an execution of the monitoring pipeline.

EventBridge Scheduler calls it each hour, for the hour before; people call it for any window at
any time (`scones monitor run --now`). Where the account has a monitoring schedule, that one looks
at the features of each hour, and here only labels are a reason to start.

Labels come late: those of the window are joined with what was captured in it or in the week before.

The window's files go into manifests, so that a job reads what was looked at and nothing else; and
a window without a file is said here, with the prefix and the hours, instead of failing in a job.
"""

import datetime
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdas import baseline, deployment, log
from lambdas.clients import client
from lambdas.deployment import VARIANT
from lambdas.log import Json
from monitoring.window import Window, moment

# A file is named after its first record and may hold records of the minutes that follow.
SPILL = datetime.timedelta(minutes=5)
LATE = datetime.timedelta(days=7)  # a label may come so much later than its image


class InvalidWindow(Exception):
    """The event names no window."""


def window_of(event: Json) -> Window:
    """Of `start` and `end`, or the whole hour before `time`. Raises InvalidWindow."""
    try:
        if "time" in event:
            return Window.last_hours(1, moment(event["time"]))
        return Window.parse(event["start"], event["end"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidWindow(
            f"The event must hold `time`, or `start` and a later `end`, as ISO times ({error})."
        ) from error


def _text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Found:
    """The keys that a window asks for: what was captured in it, the labels that came in it, and
    what was captured in it or in the week before, in which the labels' images are."""

    captured: list[str]
    labels: list[str]
    answered: list[str]


def look(window: Window, bucket: str, prefix: str, with_labels: bool, s3: Any) -> Found:
    """What there is in the bucket; `prefix` is that of the endpoint's capture."""
    captured = _keys(s3, bucket, prefix, Window(window.start - SPILL, window.end))
    labels = _keys(s3, bucket, "ground-truth/", window) if with_labels else []
    since = window.start - LATE - SPILL
    earlier = _keys(s3, bucket, prefix, Window(since, window.start)) if labels else []
    return Found(captured, labels, list(dict.fromkeys([*earlier, *captured])))


def start(
    window: Window,
    folder: str,
    environment: Mapping[str, str],
    sagemaker: Any,
    s3: Any,
    features: bool = True,
) -> Json:
    """Starts the pipeline, unless there is nothing to look at; twice for one folder is once.

    `features`: whether they are looked at, or labels only. Raises NoBaseline. Returns `started`,
    and `execution_arn` and `output_url`, or `reason`.
    """
    endpoint_name, bucket = environment["ENDPOINT_NAME"], environment["BUCKET_NAME"]
    arn, known = baseline.of_endpoint(endpoint_name, sagemaker)
    prefix = f"capture/{endpoint_name}/{VARIANT}/"
    found = look(window, bucket, prefix, "Constraints" in known.get("ModelQuality", {}), s3)
    if not (found.labels or (features and found.captured)):
        hours = ", ".join(Window(window.start - SPILL, window.end).prefixes())
        return {
            "started": False,
            "reason": f"No captured file below s3://{bucket}/{prefix} in the hours {hours}."
            if features
            else "The account's own schedule looks at the features, and there is no new label.",
        }
    parameters = _parameters(window, f"s3://{bucket}/{folder}", found, known, features, s3)
    starts, ends = parameters["StartTime"], parameters["EndTime"]
    token = hashlib.sha256(json.dumps([starts, ends, folder]).encode()).hexdigest()
    execution = sagemaker.start_pipeline_execution(
        PipelineName=environment["MONITORING_PIPELINE_NAME"],
        PipelineExecutionDescription=f"{starts} to {ends} of {arn}"[:3072],
        PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        ClientRequestToken=token,
    )
    return {
        "started": True,
        "execution_arn": execution["PipelineExecutionArn"],
        "output_url": parameters["OutputUrl"],
        "captured_files": len(found.captured),
        "label_files": len(found.labels),
    }


def _parameters(
    window: Window, output: str, found: Found, known: Json, features: bool, s3: Any
) -> dict[str, str]:
    """Of the pipeline; writes the manifests. `known` are the version's baselines."""
    drift, kept = known["ModelDataQuality"], f"{output}/inputs"
    quality = known.get("ModelQuality", {})
    # A job's input must exist: where nothing reads a manifest, it names what there is.
    some = found.captured or found.answered or found.labels
    return {
        "Features": str(int(features and bool(found.captured))),
        "CaptureManifestUrl": _manifest(s3, f"{kept}/capture.manifest", some),
        "AnsweredManifestUrl": _manifest(s3, f"{kept}/answered.manifest", found.answered or some),
        "LabelsManifestUrl": _manifest(s3, f"{kept}/labels.manifest", found.labels or some),
        "Labels": str(len(found.labels) if found.answered else 0),
        "StartTime": _text(window.start),
        "EndTime": _text(window.end),
        "AnsweredSince": _text(window.start - LATE),
        "StatisticsUrl": drift["Statistics"]["S3Uri"],
        "ConstraintsUrl": drift["Constraints"]["S3Uri"],
        "QualityConstraintsUrl": quality.get("Constraints", drift["Constraints"])["S3Uri"],
        "OutputUrl": output,
    }


def _keys(s3: Any, bucket: str, prefix: str, window: Window) -> list[str]:
    """The objects that are not empty, in the folders of the window's hours."""
    pages = s3.get_paginator("list_objects_v2")
    return [
        item["Key"]
        for hour in window.prefixes()
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}{hour}/")
        for item in page.get("Contents", [])
        if item["Size"]
    ]


def _manifest(s3: Any, url: str, keys: list[str]) -> str:
    """Writes a manifest of objects of its own bucket, below one folder; returns its address.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingS3Input.html
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    root = keys[0].partition("/")[0] + "/"
    body = json.dumps([{"prefix": f"s3://{bucket}/{root}"}, *(k.removeprefix(root) for k in keys)])
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json")
    return url


def has_schedule(name: str, sagemaker: Any) -> bool:
    """Whether the endpoint's own monitoring schedule does the work."""
    schedule = deployment.found_or_none(
        lambda: sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
    )
    return schedule is not None and schedule["MonitoringScheduleStatus"] in ("Scheduled", "Pending")


def handler(event: Json, context: Any) -> Json:
    """State: `time` (the Scheduler's), or `start` and `end` of a window to look at now."""
    with log.call("startMonitoring", event, context) as call:
        window, name = window_of(call.state), os.environ["ENDPOINT_NAME"]
        sagemaker = client("sagemaker")
        features = True
        if "time" in call.state:
            features = not has_schedule(name, sagemaker)
            # Where a schedule of the endpoint's name writes.
            folder = f"monitoring/{name}/{name}/{window.end:%Y/%m/%d/%H}"
        else:
            folder = f"monitoring/{name}/now/{window.end:%Y/%m/%d/%H/%M-%S}"
        outcome = start(window, folder, os.environ, sagemaker, client("s3"), features)
        call.say("monitoring", **outcome)
        return outcome

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambdas import baseline, deployment, log
from lambdas.clients import client
from lambdas.deployment import VARIANT
from lambdas.log import Json

HOUR = datetime.timedelta(hours=1)
# A file is named after its first record and may hold records of the minutes that follow.
SPILL = datetime.timedelta(minutes=5)
LATE = datetime.timedelta(days=7)  # a label may come so much later than its image


class InvalidWindow(Exception):
    """The event names no window."""


@dataclass(frozen=True)
class Window:
    """From `start` up to, but not including, `end`, both in UTC."""

    start: datetime.datetime
    end: datetime.datetime

    def hours(self, before: datetime.timedelta = SPILL) -> list[str]:
        """The folders `yyyy/mm/dd/hh` that its records may lie in."""
        hour = (self.start - before).replace(minute=0, second=0, microsecond=0)
        found = []
        while hour < self.end:
            found.append(f"{hour:%Y/%m/%d/%H}")
            hour += HOUR
        return found

    def texts(self) -> tuple[str, str]:
        return _text(self.start), _text(self.end)


def window_of(event: Json) -> Window:
    """Of `start` and `end`, or the whole hour before `time`. Raises InvalidWindow."""
    try:
        if "time" in event:
            end = _moment(event["time"]).replace(minute=0, second=0, microsecond=0)
            return Window(end - HOUR, end)
        window = Window(_moment(event["start"]), _moment(event["end"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidWindow(
            f"The event must hold `time`, or `start` and `end`, as ISO times ({error})."
        ) from error
    if window.start >= window.end:
        raise InvalidWindow(f"The window ends at {event['end']}, before it starts.")
    return window


def _moment(text: str) -> datetime.datetime:
    time = datetime.datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)


def _text(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


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
    arn, found = baseline.of_endpoint(endpoint_name, sagemaker)
    prefix = f"capture/{endpoint_name}/{VARIANT}/"
    captured = list(_keys(s3, bucket, prefix, window.hours()))
    quality = found.get("ModelQuality") or {}
    labels = (
        list(_keys(s3, bucket, "ground-truth/", window.hours(before=datetime.timedelta())))
        if "Constraints" in quality
        else []
    )
    if not (labels or (features and captured)):
        hours = ", ".join(window.hours())
        return {
            "started": False,
            "reason": f"No captured file below s3://{bucket}/{prefix} in the hours {hours}."
            if features
            else "The account's own schedule looks at the features, and there is no new label.",
        }
    earlier = Window(window.start - LATE, window.start).hours() if labels else []
    answered = list(dict.fromkeys([*_keys(s3, bucket, prefix, earlier), *captured]))
    output = f"s3://{bucket}/{folder}"
    starts, ends = window.texts()
    drift, kept = found["ModelDataQuality"], f"{output}/inputs"
    # A job's input must exist: where nothing reads a manifest, it names what there is.
    some = captured or answered or labels
    parameters = {
        "Features": str(int(features and bool(captured))),
        "CaptureManifestUrl": _manifest(s3, f"{kept}/capture.manifest", some),
        "AnsweredManifestUrl": _manifest(s3, f"{kept}/answered.manifest", answered or some),
        "LabelsManifestUrl": _manifest(s3, f"{kept}/labels.manifest", labels or some),
        "Labels": str(len(labels) if answered else 0),
        "StartTime": starts,
        "EndTime": ends,
        "AnsweredSince": _text(window.start - LATE),
        "StatisticsUrl": drift["Statistics"]["S3Uri"],
        "ConstraintsUrl": drift["Constraints"]["S3Uri"],
        "QualityConstraintsUrl": quality.get("Constraints", drift["Constraints"])["S3Uri"],
        "OutputUrl": output,
    }
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
        "output_url": output,
        "captured_files": len(captured),
        "label_files": len(labels),
    }


def _keys(s3: Any, bucket: str, prefix: str, hours: list[str]) -> Iterator[str]:
    pages = s3.get_paginator("list_objects_v2")
    for hour in hours:
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}{hour}/"):
            yield from (item["Key"] for item in page.get("Contents", []) if item["Size"])


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

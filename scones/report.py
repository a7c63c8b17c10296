"""`scones report`: a window of traffic as one HTML file."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import click

from lambdas.publish_monitoring import STATISTICS, VIOLATIONS
from lambdas.publish_monitoring import read as read_json
from monitoring import capture, ground_truth
from monitoring import record_preprocessor as preprocessor
from monitoring.features import features_of_images
from monitoring.occlusion import COARSE, Occlusion
from monitoring.record import Record
from monitoring.report import Observation, ReportInput, Window, least_sure, write
from monitoring.report.thumbnails import decode
from monitoring.window import Window as Hours
from pipelines.registry import ModelPackage, describe
from pipelines.resources import Resources, of_stack
from scones import endpoints, explain, monitor
from scones.cli import (
    WRONG_INPUT,
    Environment,
    fail,
    open_in_browser,
    open_option,
    out_option,
    pass_environment,
)
from scones.connection import Connection
from scones.monitor import Json, moment
from steps.job import StepError

SPILL = timedelta(minutes=5)  # a capture file may hold records later than its folder's hour


@click.command()
@click.option("--start", type=moment, help="Of the window, UTC; default: 24 hours ago.")
@click.option("--end", type=moment, help="Of the window, UTC, not included; default: now.")
@out_option("Where report.html and its pictures go.", "out/report")
@open_option
@pass_environment
def report(
    environment: Environment, start: datetime | None, end: datetime | None, out: Path, show: bool
) -> None:
    """Write what happened in a window as one HTML file."""
    ends = (end or datetime.now(UTC)).replace(tzinfo=UTC)
    starts = start.replace(tzinfo=UTC) if start else ends - timedelta(days=1)
    if starts >= ends:
        fail(f"The window ends at {ends}, before it starts.", WRONG_INPUT)
    path = make(environment.connection, starts, ends, out)
    click.echo(path)
    if show:
        open_in_browser(path)


def make(
    connection: Connection,
    start: datetime,
    end: datetime,
    folder: Path,
    analysis: Json | None = None,
) -> Path:
    """Gathers the window and writes the report; `analysis`: what the monitor found in it.

    By default that is the newest analysis written since its start, if there is one. Ends the
    program when nothing serves.
    """
    serving = endpoints.describe(connection)
    if serving is None or not serving["package"]:
        fail("No endpoint serves yet: `scones models approve N` deploys one.", WRONG_INPUT)
    package = describe(serving["package"], connection.client("sagemaker"))
    if analysis is None:
        since = (one for one in monitor.analyses(connection) if one["written"] >= start)
        analysis = next(since, None)
    return write(_gather(connection, package, serving["name"], (start, end), analysis), folder)


def _gather(
    connection: Connection,
    package: ModelPackage,
    endpoint_name: str,
    window: tuple[datetime, datetime],
    analysis: Json | None,
) -> ReportInput:
    s3, (start, end) = connection.client("s3"), window
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    bucket, prefix = resources.bucket_name, f"capture/{endpoint_name}/"
    with tempfile.TemporaryDirectory(prefix="report-") as temporary:
        folder = Path(temporary)
        _download(s3, bucket, prefix, Hours(start - SPILL, end), folder / "capture")
        now = max(end, datetime.now(UTC)) + timedelta(seconds=1)
        _download(s3, bucket, "ground-truth/", Hours(start, now), folder / "labels")
        observations = _observations(folder, Hours(start, end))
    url = analysis["url"] if analysis else ""
    known = package.description.get("DriftCheckBaselines", {}).get("ModelDataQuality", {})
    statistics = known.get("Statistics", {}).get("S3Uri")
    quality = package.description["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    return ReportInput(
        occlusions=_occlusions(connection, package, observations),
        observations=observations,
        window=Window(start, end, f"s3://{bucket}/{prefix}"),
        threshold=float(package.metadata["confidence_threshold"]),
        classes=preprocessor.CLASSES,
        endpoint_name=endpoint_name,
        model_version=str(package.version),
        dataset_name=package.metadata.get("dataset_name", "unknown data"),
        baseline_statistics=read_json(s3, statistics) if statistics else None,
        traffic_statistics=read_json(s3, f"{url}/{STATISTICS}") if url else None,
        violations=read_json(s3, f"{url}/{VIOLATIONS}") if url else None,
        evaluation=read_json(s3, quality),
    )


def _occlusions(
    connection: Connection, package: ModelPackage, observations: list[Observation]
) -> dict[str, Occlusion]:
    """Where the network looked in the least sure images; none where it cannot be asked here."""
    unsure = least_sure(observations, preprocessor.CLASSES)
    shown = [(one, decode(one.image)) for one in unsure]
    pictures = {one.inference_id: picture for one, picture in shown if picture is not None}
    try:
        found = explain.look(connection, package, list(pictures.values()), COARSE)
    except StepError as error:
        click.echo(f"The report goes without maps of where the network looked: {error}", err=True)
        return {}
    return dict(zip(pictures, found, strict=True))


def captured(connection: Connection, resources: Resources, start: datetime, end: datetime) -> int:
    """How many records of the window lie in S3 by now."""
    prefix = f"capture/{resources.endpoint_name}/"
    with tempfile.TemporaryDirectory(prefix="captured-") as temporary:
        folder, window = Path(temporary), Hours(start, end)
        hours = Hours(start - SPILL, end)
        _download(connection.client("s3"), resources.bucket_name, prefix, hours, folder)
        try:
            return sum(1 for _ in capture.read(folder, window))
        except capture.EmptyWindow:
            return 0


def _observations(folder: Path, window: Hours) -> list[Observation]:
    """What was captured in the window, with its labels; none is no error for a report."""
    labels = ground_truth.read_labels(folder / "labels").by_id
    records: list[Record] = []
    try:
        for record in capture.read(folder / "capture", window):
            records.append(record)
    except capture.EmptyWindow:
        return []
    seen = [
        (
            preprocessor.image_of(record.endpoint_input),
            preprocessor.probabilities_of(record.endpoint_output),
        )
        for record in records
    ]
    rows = features_of_images(seen)
    return [
        _observation(record, image, probabilities, dict(row), labels)
        for record, (image, probabilities), row in zip(records, seen, rows, strict=True)
        if probabilities is not None
    ]


def _observation(
    record: Record,
    image: bytes | None,
    probabilities: tuple[float, float],
    row: dict[str, Any],
    labels: dict[str, ground_truth.Label],
) -> Observation:
    label = labels.get(record.join_id)
    known = label is not None and label.data in ("0", "1")
    return Observation(
        inference_id=record.join_id,
        inference_time=record.time,
        probabilities=probabilities,
        predicted_class=str(row["predicted_class"]),
        confidence=max(probabilities),
        label=preprocessor.CLASSES[int(label.data)] if label and known else None,
        features=row,
        image=image,
    )


def _download(s3: Any, bucket: str, prefix: str, window: Hours, folder: Path) -> None:
    """The objects below `prefix` that lie in the window's hours, as they lie in S3."""
    hours = tuple(f"/{hour}/" for hour in window.prefixes())
    folder.mkdir(parents=True, exist_ok=True)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for item in (item for page in pages for item in page.get("Contents", [])):
        path = PurePosixPath(item["Key"].removeprefix(prefix))
        wanted = any(hour in f"/{item['Key']}" for hour in hours)
        if wanted and ".." not in path.parts and not path.is_absolute():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(target))

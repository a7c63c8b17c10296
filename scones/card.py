"""`scones models card`: a registered version's model card, for people and for SageMaker."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from monitoring.card import Facts, Failure, write
from monitoring.card.facts import Prediction
from monitoring.record_preprocessor import CLASSES
from pipelines import registry
from pipelines.registry import ModelPackage
from pipelines.resources import of_stack
from scones.cli import Environment, open_in_browser, open_option, out_option, pass_environment
from scones.connection import Connection

MOST_FAILURES = 60  # pictures; a model that gets more wrong is known by its figures


@click.command()
@click.argument("version", type=int)
@out_option("Where card.html and card.json go; default: out/model-card/v<VERSION>.")
@open_option
@pass_environment
def card(environment: Environment, version: int, out: Path | None, show: bool) -> None:
    """Write a version's model card: card.html, and card.json for `create-model-card`."""
    path = write(_facts(environment.connection, version), out or Path(f"out/model-card/v{version}"))
    click.echo(path)
    if show:
        open_in_browser(path)


def _facts(connection: Connection, version: int) -> Facts:
    sagemaker, s3 = connection.client("sagemaker"), connection.client("s3")
    group = of_stack(connection.stack_name, connection.client("cloudformation"))
    package = registry.find(group.model_package_group_name, version, sagemaker)
    quality = package.description["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    predictions = _predictions(quality.rpartition("/")[0] + "/predictions.csv", s3)
    container = package.description["InferenceSpecification"]["Containers"][0]
    return Facts(
        name=group.model_package_group_name,
        version=version,
        arn=package.arn,
        status=package.approval_status,
        created=package.description["CreationTime"],
        model_data_url=package.model_data_url,
        image=container["Image"],
        classes=CLASSES,
        metadata=package.metadata,
        evaluation=json.loads(_read(quality, s3)),
        predictions=predictions,
        failures=_failures(predictions, package, s3),
        training_job=_training_job(package, sagemaker),
    )


def _predictions(url: str, s3: Any) -> list[Prediction]:
    rows = csv.DictReader(io.StringIO(_read(url, s3).decode()))
    names = [f"p_{name}" for name in CLASSES]
    return [
        Prediction(row["path"], int(row["label"]), (float(row[names[0]]), float(row[names[1]])))
        for row in rows
    ]


def _failures(predictions: list[Prediction], package: ModelPackage, s3: Any) -> list[Failure]:
    """The wrong answers, the surest first, with their images as far as they are still there."""
    wrong = [one for one in predictions if one.said != one.label]
    wrong.sort(key=lambda one: (-one.confidence, one.path))
    folder = package.metadata.get("test_images_url", "").rstrip("/")
    return [
        Failure(
            path=one.path,
            shows=CLASSES[one.label],
            said=CLASSES[one.said],
            confidence=one.confidence,
            image=_image(f"{folder}/{one.path}", s3) if folder and n < MOST_FAILURES else None,
        )
        for n, one in enumerate(wrong)
    ]


def _image(url: str, s3: Any) -> bytes | None:
    try:
        return _read(url, s3)
    except ClientError:
        return None  # deleted since, as the retention settings may say


def _training_job(package: ModelPackage, sagemaker: Any) -> dict[str, Any] | None:
    """The job that wrote the archive, by the archive's address: `…/<job>/output/model.tar.gz`."""
    parts = package.model_data_url.split("/")
    if parts[-2:] != ["output", "model.tar.gz"]:
        return None
    try:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=parts[-3])
    except ClientError:
        return None  # not of this account, or put there by hand
    return found


def _read(url: str, s3: Any) -> bytes:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content

"""`scones classify` and `scones replay`: images through the inference workflow."""

import csv
import io
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from monitoring.record_preprocessor import CLASSES
from pipelines.registry import in_production
from pipelines.resources import Resources, of_stack
from scones.cli import WRONG_INPUT, Environment, fail, json_option, pass_environment, print_json
from scones.connection import Connection
from scones.disturb import KINDS, disturbed
from workflow.executions import ERROR, Answer, classify

_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")


@click.command("classify")
@click.argument("images", nargs=-1, required=True, metavar="PATH_OR_S3…")
@json_option
@pass_environment
def classify_command(environment: Environment, images: tuple[str, ...], as_json: bool) -> None:
    """Classify images: files, folders, or s3:// addresses. Exits with 1 if one was an error."""
    connection = environment.connection
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    placed = [place for image in images for place in _placed(image, connection, resources)]
    answers = list(run(connection, resources, placed))
    if as_json:
        print_json([vars(answer) for answer in answers])
    else:
        for answer in answers:
            click.echo(line(answer))
    if any(answer.verdict == ERROR for answer in answers):
        raise SystemExit(1)


@click.command()
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True)
@click.option("--balanced", is_flag=True, help="As many of the one class as of the other.")
@click.option("--only", type=click.Choice(CLASSES), help="Images of one class alone.")
@click.option(
    "--disturb", type=click.Choice(list(KINDS)), multiple=True, help="Alter them; may be repeated."
)
@click.option("--rate", type=click.FloatRange(0.01), help="Images a second; default: no limit.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
@pass_environment
def replay(
    environment: Environment,
    count: int,
    balanced: bool,
    only: str | None,
    disturb: tuple[str, ...],
    rate: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Send random test images of both classes through the workflow; print what came out."""
    connection = environment.connection
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    images = test_images(connection, resources, count, balanced, random.Random(seed), only)
    sent = disturbed(images, disturb, resources.bucket_name, connection.client("s3"))
    answers = run(connection, resources, _paced(sent if disturb else images, rate))
    outcome = tally(answers)
    if as_json:
        print_json(outcome)
        return
    for name, value in outcome.items():
        click.echo(f"{name:16} {value}")


def run(
    connection: Connection, resources: Resources, images: Iterable[tuple[str, str]]
) -> Iterator[Answer]:
    """The workflow's answers for images `(bucket, key)`, through the alias that serves."""
    return classify(
        images,
        resources.inference_alias_arn,
        connection.client("stepfunctions"),
        wait=time.sleep,
        interval=min(connection.poll_seconds, 1.0) / 5,
    )


def tally(answers: Iterable[Answer]) -> dict[str, Any]:
    """How many executions, how they ended, and what they said."""
    seen = list(answers)
    verdicts = Counter(answer.verdict for answer in seen)
    return {
        "executions": len(seen),
        "succeeded": verdicts["sure"],
        "low_confidence": verdicts["low confidence"],
        "errors": verdicts["error"],
        "by_class": dict(Counter(a.predicted_class for a in seen if a.predicted_class)),
    }


def line(answer: Answer) -> str:
    """One image's line: class, confidence, verdict, and why if it is not sure."""
    if answer.confidence is None:
        return f"{answer.image}  {answer.error}: {answer.cause}"
    return f"{answer.image}  {answer.predicted_class} {answer.confidence:.3f}  {answer.verdict}"


def test_images(
    connection: Connection,
    resources: Resources,
    count: int,
    balanced: bool,
    chance: random.Random,
    only: str | None,
) -> list[tuple[str, str]]:
    """Random test images of the version in production, by the list that Evaluate wrote of them.

    `balanced`: as many of each class; `only`: of this class alone.
    """
    package = in_production(
        resources.model_package_group_name, resources.endpoint_name, connection.client("sagemaker")
    )
    if package is None:
        fail("No version is approved yet: `scones models approve N` first.", WRONG_INPUT)
    s3 = connection.client("s3")
    evaluation = package.description["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    predictions = _read(evaluation.rsplit("/", 1)[0] + "/predictions.csv", s3)
    by_label: dict[str, list[str]] = {}
    for row in csv.DictReader(io.StringIO(predictions)):
        by_label.setdefault(row["label"], []).append(row["path"])
    wanted = sorted(by_label) if only is None else [str(CLASSES.index(only))]
    classes = [by_label[label] for label in wanted]
    everything = list(itertools.chain.from_iterable(classes))
    pools = itertools.cycle(classes) if balanced else itertools.repeat(everything)
    bucket, prefix = _split(package.metadata["test_images_url"])
    return [
        (bucket, f"{prefix.rstrip('/')}/{chance.choice(pool)}")
        for pool in itertools.islice(pools, count)
    ]


def _paced(images: Iterable[tuple[str, str]], rate: float | None) -> Iterator[tuple[str, str]]:
    for image in images:
        yield image
        if rate:
            time.sleep(1 / rate)


def _placed(image: str, connection: Connection, resources: Resources) -> list[tuple[str, str]]:
    """Where in S3 the images are that an argument names; local files are uploaded first."""
    s3 = connection.client("s3")
    if image.startswith("s3://"):
        bucket, key = _split(image)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        found = [item["Key"] for page in pages for item in page.get("Contents", [])]
        # What is not there goes on as it is: the workflow says so in its own words.
        return [(bucket, name) for name in found] or [(bucket, key)]
    path = Path(image)
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in _SUFFIXES)
    if path.is_file():
        files = [path]
    if not files:
        fail(f"{image} is no image and no folder with images.", WRONG_INPUT)
    batch, bucket = f"classify/{uuid4().hex[:12]}", resources.bucket_name
    for number, file in enumerate(files):
        s3.upload_file(str(file), bucket, f"{batch}/{number:06}-{file.name}")
    return [(bucket, f"{batch}/{number:06}-{file.name}") for number, file in enumerate(files)]


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _read(uri: str, s3: Any) -> str:
    bucket, key = _split(uri)
    text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
    return text

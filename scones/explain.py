"""`scones explain`: where the network looked, by covering parts of the image.

The variants of an image go through the model archive's own code on this machine, in a process
without credentials, and not through the endpoint: its data capture would take them for traffic.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

from monitoring.occlusion import FINE, Floats, Occlusion, occlusions
from monitoring.record_preprocessor import CLASSES
from monitoring.report import looked, style
from monitoring.report.thumbnails import decode
from pipelines import registry
from pipelines.registry import ModelPackage
from pipelines.resources import of_stack
from scones.cli import (
    FAILED,
    WRONG_INPUT,
    Environment,
    fail,
    json_option,
    open_in_browser,
    open_option,
    out_option,
    pass_environment,
    print_json,
)
from scones.connection import Connection
from steps import model_archive
from steps.job import StepError


@click.command()
@click.argument("image", metavar="PATH_OR_S3")
@click.option("--version", type=int, help="Of the model; default: the one in production.")
@out_option("Where the picture goes.", "out/explanation")
@open_option
@json_option
@pass_environment
def explain(
    environment: Environment,
    image: str,
    version: int | None,
    out: Path,
    show: bool,
    as_json: bool,
) -> None:
    """Show which parts of an image an answer rests on, as a picture beside it."""
    connection = environment.connection
    picture = decode(_read(image, connection))
    if picture is None:
        fail(f"{image} is no PNG or JPEG image that can be shown.", WRONG_INPUT)
    package = _package(connection, version)
    try:
        (found,) = look(connection, package, [picture], FINE)
    except StepError as error:
        fail(str(error), FAILED)
    what = f"{package.metadata.get('dataset_name', '')} · version {package.version} · {image}"
    with style.drawn_in(style.LIGHT):
        drawn = style.png(looked.figure(picture, found, CLASSES, what, style.LIGHT))
    path = out / f"{Path(image).stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drawn)
    if as_json:
        print_json(
            {
                "image": image,
                "model_package_arn": package.arn,
                "predicted_class": CLASSES[found.said],
                "confidence": found.confidence,
                "least_confidence": found.least,
                "picture": str(path),
            }
        )
    else:
        click.echo(f"{looked.in_words(found, CLASSES)}\n{path}")
    if show:
        open_in_browser(path)


def look(
    connection: Connection, package: ModelPackage, pictures: Sequence[Image.Image], places: int
) -> list[Occlusion]:
    """An occlusion map a picture, by a registered version. Raises StepError."""
    if not pictures:
        return []
    with tempfile.TemporaryDirectory(prefix="explain-") as temporary:
        folder = Path(temporary)
        archive = folder / model_archive.NAME
        bucket, _, key = package.model_data_url.removeprefix("s3://").partition("/")
        try:
            connection.client("s3").download_file(bucket, key, str(archive))
        except (ClientError, BotoCoreError) as error:
            raise StepError(f"{package.model_data_url} cannot be had: {error}") from error

        def ask(variants: Sequence[Image.Image]) -> Floats:
            paths = [folder / f"{number:06}.png" for number in range(len(variants))]
            for path, variant in zip(paths, variants, strict=True):
                variant.save(path)
            return model_archive.probabilities(archive, paths)

        return occlusions(pictures, ask, places)


def _package(connection: Connection, version: int | None) -> ModelPackage:
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    group, sagemaker = resources.model_package_group_name, connection.client("sagemaker")
    if version is not None:
        return registry.find(group, version, sagemaker)
    package = registry.in_production(group, resources.endpoint_name, sagemaker)
    if package is None:
        fail("No version is approved yet; name one with --version.", WRONG_INPUT)
    return package


def _read(image: str, connection: Connection) -> bytes:
    if not image.startswith("s3://"):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            fail(f"{image} cannot be read: {error.strerror}.", WRONG_INPUT)
    bucket, _, key = image.removeprefix("s3://").partition("/")
    try:
        answer: Any = connection.client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        fail(f"{image} cannot be read: {error.response['Error']['Message']}", WRONG_INPUT)
    content: bytes = answer["Body"].read()
    return content

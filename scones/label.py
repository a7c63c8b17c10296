"""`scones label`: what people know about an inference, as ground truth."""

from datetime import UTC, datetime

import click

from monitoring import ground_truth
from monitoring.record_preprocessor import CLASSES
from pipelines.resources import Resources, of_stack
from scones.cli import Environment, pass_environment
from scones.connection import Connection


@click.command()
@click.argument("inference_id")
@click.argument("class_name", metavar="CLASS", type=click.Choice(CLASSES))
@click.option("--correct", is_flag=True, help="Takes the place of all earlier labels of it.")
@pass_environment
def label(environment: Environment, inference_id: str, class_name: str, correct: bool) -> None:
    """Say what the image of an inference really shows.

    For the monitor the last word about it counts. A model learns from it only while all words
    agree: two that differ keep the image out of the training, until one is said with --correct.
    """
    connection = environment.connection
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    click.echo(keep(connection, resources, [(inference_id, class_name)], correction=correct))


def keep(
    connection: Connection,
    resources: Resources,
    labels: list[tuple[str, str]],
    *,
    correction: bool = False,
) -> str:
    """Writes labels, `(inference id, class)`, as ground truth; returns their S3 address.

    Raises GroundTruthError.
    """
    s3, now = connection.client("s3"), datetime.now(UTC)
    key = ground_truth.write_labels(
        labels,
        resources.bucket_name,
        "ground-truth",
        s3,
        now,
        by=_caller(connection),
        correction=correction,
    )
    return f"s3://{resources.bucket_name}/{key}"


def _caller(connection: Connection) -> str:
    """Who says so: the user or session of the credentials."""
    arn = str(connection.client("sts").get_caller_identity()["Arn"])
    return arn.rpartition(":")[2].rpartition("/")[2]

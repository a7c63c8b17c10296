"""`scones demo`: the whole loop on this machine, from the archive to answers about images."""

import contextlib
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from localaws import control
from pipelines import execution, registry
from pipelines.resources import of_stack
from pipelines.settings import load
from scones import classify, demo_monitoring, endpoints, pipeline, screen, stack
from scones.cli import (
    FAILED,
    NOT_REACHED,
    WRONG_INPUT,
    Environment,
    fail,
    out_option,
    pass_environment,
)
from scones.connection import Connection, connect, local_home
from scones.data import DATA_HELP, find
from scones.datasets import Dataset
from scones.datasets import stage as stage_dataset
from scones.deployments import await_deployment
from scones.models import CLOCKS_DIFFER
from scones.summary import Json, evaluation_of, summary, write

REPLAYED = 20  # test images, as many of each class


@click.command()
@click.option("--data", "source", help=DATA_HELP)
@out_option("Where summary.json and the pictures go.", "out")
@click.option("--keep", is_flag=True, help="Leave the embedded AWS running at the end.")
@pass_environment
def demo(environment: Environment, source: str | None, out: Path, keep: bool) -> None:
    """Train, register, approve, deploy and use a model on this machine, as AWS would."""
    if environment.name != "local":
        fail("The demo runs on this machine only; leave --env out.", WRONG_INPUT)
    dataset = find(source)
    _heading("Data")
    click.echo(f"  {dataset.description}")
    with _embedded_aws(keep):
        connection = connect(load("local"))
        ended = _train(connection, dataset)
        outcome = _outcome(connection, dataset, ended)
        _show(outcome)
        if outcome["model_package"]:
            _serve(connection, outcome, out)
        _say_where(write(out, outcome), outcome)
    if ended.status != "Succeeded":
        fail(ended.failure_reason, FAILED)
    if outcome["deployment"]["status"] != "SUCCEEDED":
        fail(outcome["deployment"]["reason"], FAILED)


@contextlib.contextmanager
def _embedded_aws(keep: bool) -> Iterator[None]:
    """Starts the embedded AWS unless it runs; stops it at the end if it was started here."""
    home = local_home()
    ran_before = control.status(home).running
    os.environ.setdefault("LOCALAWS_CAPTURE_SECONDS", "2")  # nobody waits a minute in a demo
    _heading("Embedded AWS")
    try:
        status = control.up(home)
    except control.LocalAwsError as error:
        fail(str(error), NOT_REACHED)
    click.echo(f"  {status.endpoint_url}, state in {status.home}")
    try:
        yield
    finally:
        if not ran_before and not keep:
            control.down(home)


def _train(connection: Connection, dataset: Dataset) -> execution.Execution:
    """Deploys, stages, upserts, runs; returns the ended execution."""
    cloudformation = connection.client("cloudformation")
    _heading("Stack, data, pipeline")
    name = stack.deploy(connection)
    resources = of_stack(name, cloudformation)
    click.echo(f"  stack     {name} (infra/scones.yaml)")
    with screen.transfer("  staging") as progress:
        uri = stage_dataset(
            dataset, bucket=resources.bucket_name, s3=connection.client("s3"), progress=progress
        )
    click.echo(f"  data      {uri}")
    click.echo(f"  pipeline  {pipeline.submit(connection)}")
    _heading("Training")
    parameters = pipeline.run_parameters(connection, resources, uri, "demo")
    arn = execution.start(
        connection.settings.name("training"), parameters, connection.client("sagemaker")
    )
    return pipeline.follow(connection, arn)


def _outcome(connection: Connection, dataset: Dataset, ended: execution.Execution) -> Json:
    sagemaker = connection.client("sagemaker")
    arn = next((step.model_package_arn for step in ended.steps if step.model_package_arn), None)
    return summary(
        {"name": dataset.name, "sha256": dataset.sha256, "counts": None, "origin": dataset.origin},
        ended,
        evaluation_of(ended, sagemaker, connection.client("s3")),
        registry.describe(arn, sagemaker) if arn else None,
    )


def _serve(connection: Connection, outcome: Json, out: Path) -> None:
    """Approves the version, follows its deployment, asks it about images, and watches it."""
    package = outcome["model_package"]
    _heading("Approval and deployment")
    since = datetime.now(UTC) - CLOCKS_DIFFER
    sagemaker = connection.client("sagemaker")
    decided = registry.decide(
        registry.describe(package["arn"], sagemaker), registry.APPROVED, "demo", sagemaker
    )
    package["approval_status"] = decided.approval_status
    deployment = await_deployment(
        connection, package["version"], since, lambda state: click.echo(f"  ✓ {state}")
    )
    outcome["deployment"] = deployment
    outcome["endpoint"] = endpoints.describe(connection)
    if deployment["status"] != "SUCCEEDED":
        click.echo(f"  ✗ {deployment['reason']}")
        return
    click.echo(
        f"  endpoint {outcome['endpoint']['name']} is {outcome['endpoint']['status']} with version"
        f" {outcome['endpoint']['version']}, {deployment['seconds']:.1f} s after the approval"
    )
    _heading("Inference workflow")
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    chance = random.Random(0)
    images = classify.test_images(connection, resources, REPLAYED, True, chance, None)
    answers = list(classify.run(connection, resources, images))
    for answer in answers[:4]:
        click.echo(f"  {classify.line(answer)}")
    outcome["workflow"] = classify.tally(answers)
    for name, value in outcome["workflow"].items():
        click.echo(f"  {name:16} {value}")
    _heading("Monitoring")
    outcome |= demo_monitoring.watch(connection, resources, out)


def _show(outcome: Json) -> None:
    evaluation, package = outcome["evaluation"], outcome["model_package"]
    if evaluation:
        _heading("Evaluation")
        deviation = evaluation["accuracy_standard_deviation"]
        click.echo(
            f"  accuracy {evaluation['accuracy']:.3f} ± {deviation:.3f}, AUC"
            f" {evaluation['auc']:.3f}, on the test images of: {evaluation['dataset']}"
        )
        click.echo(f"  confidence threshold {evaluation['threshold']:.2f}\n")
        screen.confusion_matrix(evaluation["confusion_matrix"], list(evaluation["recall"]))
    if package:
        _heading("Registered")
        click.echo(f"  version {package['version']}, {package['approval_status']}")
        click.echo(f"  {package['arn']}")


def _say_where(path: Path, outcome: Json) -> None:
    _heading("Where everything lies")
    click.echo(f"  outcome   {path}")
    if outcome["evaluation"]:
        click.echo(f"  picture   {path.with_name('confusion_matrix.png')}")
    if outcome["report"]:
        click.echo(f"  report    {outcome['report']}")
    click.echo(f"  AWS state {local_home()} (the jobs' logs, models and records are in it)")
    click.echo("  go on     scones local up; scones models list; scones pipeline list")


def _heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)

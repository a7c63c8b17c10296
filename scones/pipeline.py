"""`scones pipeline`: the training pipeline of an environment, and the monitoring beside it."""

import contextlib
import functools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipelines import execution, registry
from pipelines.check import check
from pipelines.resources import Resources, of_stack
from scones import source
from scones.cli import FAILED, Environment, fail, json_option, pass_environment, print_json
from scones.connection import Connection, announce
from scones.datasets import staged
from scones.screen import Steps, listing

NAMES = ("training", "tuning", "monitoring")


@click.group()
def pipeline() -> None:
    """The training pipeline and its tuned variant: upsert, start, watch, list, stop, definition."""


@pipeline.command()
@pass_environment
def upsert(environment: Environment) -> None:
    """Build, check and submit the definitions of all pipelines: training, tuning, monitoring."""
    connection = environment.connection
    announce(connection, click.echo)
    click.echo(submit(connection))


@pipeline.command()
@click.argument("name", type=click.Choice(NAMES), default="training")
@pass_environment
def definition(environment: Environment, name: str) -> None:
    """Print the definition that `upsert` would submit; default: the training pipeline's."""
    connection = environment.connection
    click.echo(_build(connection, _resources(connection))[name].definition())


@pipeline.command()
@click.option("--data-url", help="The staged archive; default: the newest below raw/.")
@click.option("--data-sha256", help="Refuse the archive unless it has this checksum.")
@click.option("--trigger", default="manual", show_default=True, help="Why this run; kept with it.")
@click.option("--trigger-id", default="", help="Of the event behind it, such as an alarm's.")
@click.option("--parameter", "-p", "given", multiple=True, metavar="NAME=VALUE")
@click.option("--tune", is_flag=True, help="Train once a trial, with drawn hyperparameters.")
@click.option("--wait", is_flag=True, help="Follow it to its end; Ctrl-C stops the execution.")
@click.option(
    "--exports",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write PIPELINE_EXECUTION_ARN and MODEL_PACKAGE_ARN to this file, as a shell reads them.",
)
@json_option
@pass_environment
def start(
    environment: Environment,
    data_url: str | None,
    data_sha256: str | None,
    trigger: str,
    trigger_id: str,
    given: tuple[str, ...],
    tune: bool,
    wait: bool,
    exports: Path | None,
    as_json: bool,
) -> None:
    """Start an execution; print its ARN. With --wait, exit with 1 unless it succeeds."""
    connection = environment.connection
    resources = _resources(connection)
    data_url = data_url or newest_archive(resources.bucket_name, connection.client("s3"))
    parameters = run_parameters(connection, resources, data_url, trigger, trigger_id)
    if data_sha256:
        parameters["InputDataSha256"] = data_sha256
    parameters |= dict(_parse(pair) for pair in given)
    name = connection.settings.name("tuning" if tune else "training")
    arn = execution.start(name, parameters, connection.client("sagemaker"))
    _export(exports, arn, "")
    if not wait:
        print_json({"execution_arn": arn}) if as_json else click.echo(arn)
        return
    ended = follow(connection, arn, quiet=as_json)
    package = next((step.model_package_arn for step in ended.steps if step.model_package_arn), "")
    _export(exports, arn, package or "")
    _report(ended, as_json)


@pipeline.command()
@click.argument("execution_arn", required=False)
@json_option
@pass_environment
def watch(environment: Environment, execution_arn: str | None, as_json: bool) -> None:
    """Show an execution's steps live; default: the newest. Ctrl-C leaves it running."""
    connection = environment.connection
    arn = execution_arn or _newest(connection)
    _report(_watch(connection, arn, quiet=as_json), as_json)


@pipeline.command("list")
@json_option
@pass_environment
def list_command(environment: Environment, as_json: bool) -> None:
    """List the executions, newest first."""
    columns = {
        "started": "StartTime",
        "status": "PipelineExecutionStatus",
        "execution": "PipelineExecutionArn",
    }
    listing(_executions(environment.connection), as_json, columns)


@pipeline.command()
@click.argument("execution_arn", required=False)
@pass_environment
def stop(environment: Environment, execution_arn: str | None) -> None:
    """Stop an execution; default: the newest."""
    connection = environment.connection
    arn = execution_arn or _newest(connection)
    execution.stop(arn, connection.client("sagemaker"))
    click.echo(f"Stopping {arn}")


def submit(connection: Connection) -> str:
    """Builds, checks and upserts all pipelines; returns the ARN of the training pipeline."""
    resources = _resources(connection)
    submitted = [
        _upsert(built, connection, resources) for built in _build(connection, resources).values()
    ]
    return submitted[0]


def _upsert(built: Any, connection: Connection, resources: Resources) -> str:
    definition = built.definition()
    check(definition)
    built.definition = lambda: definition  # upsert would build it again, twice, for seconds
    from sagemaker.mlops.workflow.parallelism_config import ParallelismConfiguration

    answer = built.upsert(
        role_arn=resources.pipeline_role_arn,
        tags=[{"Key": key, "Value": value} for key, value in connection.settings.tags().items()],
        parallelism_config=ParallelismConfiguration(connection.settings.pipeline.parallel_steps),
    )
    return str(answer["PipelineArn"])


def run_parameters(
    connection: Connection,
    resources: Resources,
    data_url: str,
    trigger: str,
    trigger_id: str = "",
) -> dict[str, str]:
    """What every run is told: its data, its cause, its code, and the version to be held against.

    The images that were labelled by now are gathered for it.
    """
    from scones import labelled  # with numpy, which no other command here needs

    images = labelled.gather(
        resources.bucket_name,
        resources.endpoint_name,
        connection.client("s3"),
        now=datetime.now(UTC),
        side=connection.settings.deployment.thumbnail_side,
    )
    parameters = {
        "InputDataUrl": data_url,
        "LabelledDataUrl": images.url,
        "GitCommit": source.commit(),
        "Trigger": trigger or "manual",
        "TriggerId": trigger_id or "none",
    }
    if not data_url.endswith("/"):  # a prefix has no metadata; Prepare takes what it finds there
        archive = staged(data_url, connection.client("s3"))
        if archive.sha256:
            parameters["InputDataSha256"] = archive.sha256
        if archive.name:
            parameters["DatasetName"] = archive.name
    production = registry.in_production(
        resources.model_package_group_name,
        resources.endpoint_name,
        connection.client("sagemaker"),
    )
    if production:
        parameters["ProductionModelUrl"] = production.comparison_url
        parameters["ProductionModelPackageArn"] = production.arn
    return parameters


def follow(connection: Connection, arn: str, quiet: bool = False) -> execution.Execution:
    """Shows an execution to its end. An interruption stops it and waits until it has stopped."""
    try:
        return _watch(connection, arn, quiet)
    except KeyboardInterrupt:
        click.echo("Stopping the execution …", err=True)
        sagemaker = connection.client("sagemaker")
        execution.stop(arn, sagemaker)
        execution.watch(arn, sagemaker, wait=time.sleep, interval=connection.poll_seconds)
        raise


def newest_archive(bucket: str, s3: Any) -> str:
    """The address of the archive staged last. ExecutionError when there is none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/")
    staged = [item for page in pages for item in page.get("Contents", [])]
    if not staged:
        raise execution.ExecutionError(
            f"No archive is staged below s3://{bucket}/raw/: run `scones data stage` first."
        )
    newest = max(staged, key=lambda item: item["LastModified"])
    return f"s3://{bucket}/{newest['Key']}"


def _watch(connection: Connection, arn: str, quiet: bool) -> execution.Execution:
    look = functools.partial(
        execution.watch,
        arn,
        connection.client("sagemaker"),
        wait=time.sleep,
        interval=connection.poll_seconds,
    )
    if quiet:
        return look()
    with Steps(connection.client("logs")) as steps:
        return look(on_change=steps)


def _report(ended: execution.Execution, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "execution_arn": ended.arn,
                "status": ended.status,
                "failure_reason": ended.failure_reason,
                "steps": [vars(step) for step in ended.steps],
            }
        )
    else:
        click.echo(f"{ended.status}: {ended.arn}")
    if ended.status != "Succeeded":
        fail(ended.failure_reason or f"The execution ended as {ended.status}.", FAILED)


def _build(connection: Connection, resources: Resources) -> dict[str, Any]:
    """The SDK's pipelines by their names, `training` first."""
    from scones.sdk import pipeline_session  # the SDK takes seconds to import: only where needed

    session = pipeline_session(connection, resources)
    from pipelines.monitoring import monitoring_pipeline
    from pipelines.training import training_pipeline

    settings = connection.settings
    return {
        "training": training_pipeline(settings, resources, session),
        "tuning": training_pipeline(settings, resources, session, tuned=True),
        "monitoring": monitoring_pipeline(settings, resources, session),
    }


def _resources(connection: Connection) -> Resources:
    return of_stack(connection.stack_name, connection.client("cloudformation"))


def _newest(connection: Connection) -> str:
    for row in _executions(connection):
        return str(row["PipelineExecutionArn"])
    name = connection.settings.name("training")
    raise execution.ExecutionError(
        f"Pipeline {name!r} has no execution yet: `scones pipeline start` makes one."
    )


def _executions(connection: Connection) -> list[dict[str, Any]]:
    """The executions of the training pipeline and of its tuned variant, newest first."""
    sagemaker = connection.client("sagemaker")
    rows = list(execution.executions(connection.settings.name("training"), sagemaker))
    with contextlib.suppress(execution.ExecutionError):  # an environment of before it was there
        rows += execution.executions(connection.settings.name("tuning"), sagemaker)
    return sorted(rows, key=lambda row: row["StartTime"], reverse=True)


def _export(file: Path | None, execution_arn: str, package_arn: str) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = f"PIPELINE_EXECUTION_ARN={execution_arn}\nMODEL_PACKAGE_ARN={package_arn}\n"
        file.write_text(lines, encoding="utf-8")


def _parse(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not separator:
        raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
    return name, value

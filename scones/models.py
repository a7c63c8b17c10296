"""`scones models`: the versions of the model, and a person's decision about each."""

from datetime import UTC, datetime, timedelta

import click

from pipelines import registry
from pipelines.resources import of_stack
from scones.cli import (
    FAILED,
    Environment,
    SconesGroup,
    fail,
    json_option,
    pass_environment,
    print_json,
)
from scones.connection import Connection
from scones.deployments import await_deployment
from scones.screen import table

CLOCKS_DIFFER = timedelta(seconds=2)  # this machine's and the service's


@click.group(cls=SconesGroup)
def models() -> None:
    """The model registry: list, show, approve, reject, card."""


models.places = {"card": "scones.card:card"}  # which draws


@models.command("list")
@json_option
@pass_environment
def list_command(environment: Environment, as_json: bool) -> None:
    """List the registered versions, newest first."""
    connection = environment.connection
    found = list(registry.versions(_group(connection), connection.client("sagemaker")))
    if as_json:
        print_json([_row(package) for package in found])
        return
    if not found:
        click.echo("No version is registered yet: `scones pipeline start` trains one.")
        return
    rows = [[str(value) for value in _row(package).values()] for package in found]
    table(["version", "status", "accuracy", "registered", "ARN"], rows)


@models.command()
@click.argument("version", type=int)
@json_option
@pass_environment
def show(environment: Environment, version: int, as_json: bool) -> None:
    """Show one version: where it comes from and what it was measured at."""
    connection = environment.connection
    package = registry.find(_group(connection), version, connection.client("sagemaker"))
    if as_json:
        print_json(package.description)
        return
    click.echo(f"{package.arn}\n  {package.approval_status}, accuracy {package.accuracy}")
    click.echo(f"  model  {package.model_data_url}")
    for name, value in sorted(package.metadata.items()):
        click.echo(f"  {name:22} {value}")


@models.command()
@click.argument("version", type=int)
@click.option("--reason", default="", help="Kept with the decision.")
@click.option("--wait", is_flag=True, help="Follow the deployment; exit with 1 unless it serves.")
@pass_environment
def approve(environment: Environment, version: int, reason: str, wait: bool) -> None:
    """Approve a version for production; the registry's event deploys it."""
    since = datetime.now(UTC) - CLOCKS_DIFFER
    _decide(environment, version, registry.APPROVED, reason)
    if wait:
        outcome = await_deployment(environment.connection, version, since, click.echo)
        click.echo(f"{outcome['status']} after {outcome['seconds']:.1f} s")
        if outcome["status"] != "SUCCEEDED" or outcome["reason"]:
            fail(outcome["reason"] or "The deployment did not succeed.", FAILED)


@models.command()
@click.argument("version", type=int)
@click.option("--reason", default="", help="Kept with the decision.")
@pass_environment
def reject(environment: Environment, version: int, reason: str) -> None:
    """Reject a version."""
    _decide(environment, version, registry.REJECTED, reason)


def _decide(environment: Environment, version: int, status: str, reason: str) -> None:
    connection = environment.connection
    sagemaker = connection.client("sagemaker")
    package = registry.find(_group(connection), version, sagemaker)
    decided = registry.decide(package, status, reason, sagemaker)
    click.echo(f"Version {decided.version} is {decided.approval_status}: {decided.arn}")


def _group(connection: Connection) -> str:
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    return resources.model_package_group_name


def _row(package: registry.ModelPackage) -> dict[str, object]:
    return {
        "version": package.version,
        "approval_status": package.approval_status,
        "accuracy": package.accuracy,
        "registered": package.description["CreationTime"],
        "arn": package.arn,
    }

"""`scones endpoints`: what serves now."""

from typing import Any

import click
from botocore.exceptions import ClientError

from pipelines.registry import package_of
from pipelines.resources import of_stack
from scones.cli import WRONG_INPUT, Environment, fail, json_option, pass_environment, print_json
from scones.connection import Connection


@click.group()
def endpoints() -> None:
    """The endpoint of the environment: show."""


@endpoints.command()
@json_option
@pass_environment
def show(environment: Environment, as_json: bool) -> None:
    """Show the endpoint: its status, the version that it serves, what it captures."""
    connection = environment.connection
    found = describe(connection)
    if found is None:
        fail("No endpoint serves yet: `scones models approve N` deploys one.", WRONG_INPUT)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:12} {value}")


def describe(connection: Connection) -> dict[str, Any] | None:
    """Name, status and version of the endpoint; None while there is none."""
    sagemaker = connection.client("sagemaker")
    name = of_stack(connection.stack_name, connection.client("cloudformation")).endpoint_name
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":  # could not find endpoint
            return None
        raise
    variant = endpoint["ProductionVariants"][0] if endpoint.get("ProductionVariants") else {}
    package = package_of(endpoint["EndpointConfigName"], sagemaker)
    return {
        "name": name,
        "status": endpoint["EndpointStatus"],
        "version": int(package.rsplit("/", 1)[-1]) if package else None,
        "package": package,
        "instances": variant.get("CurrentInstanceCount"),
        "capture": endpoint.get("DataCaptureConfig", {}).get("DestinationS3Uri"),
        "reason": endpoint.get("FailureReason"),
    }

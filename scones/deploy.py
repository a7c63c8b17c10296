"""`scones deploy`: the stack of an environment."""

import click

from scones import stack
from scones.cli import Environment, pass_environment
from scones.connection import announce


@click.command()
@pass_environment
def deploy(environment: Environment) -> None:
    """Create or update the environment's stack: bucket, roles, model package group."""
    connection = environment.connection
    announce(connection, click.echo)
    name = stack.deploy(
        environment.settings,
        connection.client("cloudformation"),
        wait_seconds=connection.poll_seconds,
    )
    click.echo(f"Stack {name} is up to date.")

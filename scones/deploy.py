"""`scones deploy`, `scones destroy`: the stack of an environment, and its end."""

import click

from scones import destroy as teardown
from scones import stack
from scones.cli import Environment, pass_environment
from scones.connection import Connection, announce
from scones.screen import table


@click.command()
@click.option("--plan", "plan_only", is_flag=True, help="Print what would change; change nothing.")
@pass_environment
def deploy(environment: Environment, plan_only: bool) -> None:
    """Create or update the environment's stack: everything but the data and the model."""
    connection = environment.connection
    announce(connection, click.echo)
    if plan_only:
        _plan(connection)
        return
    name = stack.deploy(connection)
    click.echo(f"Stack {name} is up to date.")


def _plan(connection: Connection) -> None:
    cloudformation = connection.client("cloudformation")
    request = stack.prepare(connection, stack.TEMPLATE)
    proposal = stack.propose(request, cloudformation, connection.poll_seconds)
    if proposal is None:
        click.echo(f"Stack {connection.stack_name} is up to date; nothing would change.")
        return
    try:
        rows = [[c.action, c.logical_id, c.kind, c.replacement] for c in proposal.changes]
        table(["action", "resource", "type", "replacement"], rows)
        verb = "be created" if proposal.creates else "change"
        click.echo(f"{len(rows)} resources would {verb}. Nothing was changed.")
    finally:
        stack.discard(proposal, cloudformation)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask, whatever the bucket holds.")
@pass_environment
def destroy(environment: Environment, yes: bool) -> None:
    """Delete the environment: endpoint, models, stack, and all data in its buckets."""
    connection = environment.connection
    announce(connection, click.echo)
    names = teardown.environment_of(connection)
    count = teardown.object_count(names.data_bucket, connection.client("s3"))
    if count and not yes:
        some = "1,000 objects or more" if count >= 1000 else f"{count} of them"
        click.confirm(f"{names.data_bucket} holds objects ({some}). Delete it all?", abort=True)
    teardown.destroy(connection, lambda what: click.echo(f"  deleting  {what}"))
    click.echo(f"{names.prefix} is gone.")

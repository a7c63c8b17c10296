"""`scones local`: the embedded AWS on this machine."""

import click

from localaws import control
from scones.cli import NOT_REACHED, fail, json_option, print_json
from scones.connection import local_home


@click.group()
def local() -> None:
    """The embedded AWS: up, down, status, env, logs, permissions."""


@local.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the last, or a free one.")
@click.option("--region", help="Default: the last one, or us-east-1.")
@click.option("--record", is_flag=True, help="Write down what roles ask (`local permissions`).")
def up(port: int | None, region: str | None, record: bool) -> None:
    """Start it in the background; its state is what the last run left."""
    try:
        status = control.up(local_home(), port=port, region=region, record=record)
    except control.LocalAwsError as error:
        fail(str(error), NOT_REACHED)
    click.echo(f"The embedded AWS answers at {status.endpoint_url} (state in {status.home}).")
    click.echo('Point any AWS client at it with: eval "$(scones local env)"')


@local.command()
def down() -> None:
    """Stop it; its state stays."""
    control.down(local_home())
    click.echo("The embedded AWS is stopped; its state is kept.")


@local.command("status")
@json_option
def status_command(as_json: bool) -> None:
    """Say whether it runs, where, and what it holds. Exits with 3 when it does not run."""
    status = control.status(local_home())
    if as_json:
        print_json({**vars(status), "home": str(status.home)})
    elif status.running:
        click.echo(f"running at {status.endpoint_url}, pid {status.pid}, state in {status.home}")
    else:
        click.echo(f"not running; state in {status.home}")
    if not status.running:
        raise SystemExit(NOT_REACHED)


@local.command("env")
def env_command() -> None:
    """Print shell exports that point every AWS client at it."""
    status = control.status(local_home())
    if not status.running:
        fail("The embedded AWS is not running: start it with `scones local up`.", NOT_REACHED)
    click.echo("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for name, value in control.environment(status).items():
        click.echo(f"export {name}={value}")


@local.command()
@click.option("--follow", "-f", is_flag=True, help="Go on printing new lines.")
def logs(follow: bool) -> None:
    """Print the server's log."""
    for line in control.logs(local_home(), follow=follow):
        click.echo(line)


@local.command("permissions")
@click.option("--role", "prefix", default="", help="Only roles whose name starts so.")
@json_option
def permissions_command(prefix: str, as_json: bool) -> None:
    """Show what each role asked since `up --record`, and which permissions nothing needed."""
    try:
        usage = control.usage(local_home(), prefix)
    except control.LocalAwsError as error:
        fail(str(error), NOT_REACHED)
    if as_json:
        needless = [vars(permission) for permission in usage.spare]
        print_json({"used": usage.used, "refused": usage.refused, "spare": needless})
        return
    for role, used in sorted(usage.used.items()):
        click.echo(role)
        for action, resource in used:
            click.echo(f"  {action:40} {resource}")
        for action, resource in usage.refused[role]:
            click.echo(f"  {action:40} {resource}  refused")
    if usage.spare:
        click.echo("Nothing needed:")
    for spare in usage.spare:
        click.echo(f"  {spare.policy} {spare.sid}: {spare.value}")

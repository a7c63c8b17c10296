"""`scones retraining`: what asked for a retraining, what came of it, and asking by hand."""

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

import click

from lambdas.retraining import Ledger
from pipelines.resources import of_stack
from scones import monitor
from scones.cli import FAILED, WRONG_INPUT, Environment, fail, json_option, pass_environment
from scones.cli import print_json as show_json
from scones.connection import Connection
from scones.screen import table

Json = dict[str, Any]


@click.group()
def retraining() -> None:
    """Retrainings, and what was suppressed and why: list, show, start."""


@retraining.command("list")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True)
@json_option
@pass_environment
def list_command(environment: Environment, count: int, as_json: bool) -> None:
    """List what asked for a retraining, newest first: an alarm, labels, the schedule, people."""
    rows = list(itertools.islice(_ledger(environment.connection).decisions(), count))
    if as_json:
        show_json(rows)
        return
    table(
        ["asked", "trigger", "decision", "reason"],
        [
            [
                row["event_time"][:19].replace("T", " "),
                row["trigger"],
                row["decision"],
                row["reason"],
            ]
            for row in rows
        ],
    )


@retraining.command()
@click.argument("event_id", required=False)
@json_option
@pass_environment
def show(environment: Environment, event_id: str | None, as_json: bool) -> None:
    """Show one decision with its figures, by its event's id; default: the newest."""
    found = (
        row
        for row in _ledger(environment.connection).decisions()
        if event_id in (None, row["event_id"])
    )
    row = next(found, None)
    if row is None:
        what = f"with the event id {event_id!r}" if event_id else "yet"
        fail(f"There is no decision about a retraining {what}.", WRONG_INPUT)
    show_json(row) if as_json else _print(row)


@retraining.command()
@click.option("--force", is_flag=True, help="Now and without new labels; never beside another run.")
@json_option
@pass_environment
def start(environment: Environment, force: bool, as_json: bool) -> None:
    """Ask for a retraining as an alarm does. Exits with 1 when it is suppressed."""
    asked = {
        "trigger": "manual",
        "id": str(uuid.uuid4()),
        "time": datetime.now(UTC).isoformat(),
        "force": force,
    }
    connection = environment.connection
    row = monitor.invoke(connection, f"{connection.stack_name}-requestRetraining", asked)
    show_json(row) if as_json else _print(row)
    if row["decision"] != "started":
        fail(f"Nothing was started: {row['reason']}", FAILED)


def _ledger(connection: Connection) -> Ledger:
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    return Ledger(resources.bucket_name, connection.client("s3"))


def _print(row: Json) -> None:
    click.echo(f"{row['decision']}: {row['reason']}")
    for name in ("trigger", "event_id", "event_time", "decided_at", "run", "execution_id"):
        if row[name] is not None:
            click.echo(f"  {name:18} {row[name]}")
    for name, value in row["figures"].items():
        click.echo(f"  {name:18} {value}")

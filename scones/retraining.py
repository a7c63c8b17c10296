"""`scones retraining`: what asked for a retraining, what came of it, and asking by hand.

What came of a run that was started is CodePipeline's to say, and why a build failed stands in the
build's log: the last sentence of a `scones` command in it.
"""

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from lambdas.retraining import Ledger
from pipelines.resources import of_stack
from scones import monitor
from scones.cli import FAILED, WRONG_INPUT, Environment, fail, json_option, pass_environment
from scones.cli import print_json as show_json
from scones.connection import Connection
from scones.screen import Shown, listing

Json = dict[str, Any]
_LINES = 100  # of the end of a build's log: the sentence is the last but a few
_SAYS = "scones: "  # how `scones.cli.fail` begins
_GONE = ("PipelineNotFoundException", "PipelineExecutionNotFoundException")


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
    columns: dict[str, Shown] = {
        "asked": lambda row: row["event_time"][:19].replace("T", " "),
        "trigger": "trigger",
        "decision": "decision",
        "reason": "reason",
    }
    listing(rows, as_json, columns)


@retraining.command()
@click.argument("event_id", required=False)
@json_option
@pass_environment
def show(environment: Environment, event_id: str | None, as_json: bool) -> None:
    """Show one decision by its event's id, and what came of its run; default: the newest."""
    connection = environment.connection
    found = (row for row in _ledger(connection).decisions() if event_id in (None, row["event_id"]))
    row = next(found, None)
    if row is None:
        what = f"with the event id {event_id!r}" if event_id else "yet"
        fail(f"There is no decision about a retraining {what}.", WRONG_INPUT)
    row |= {"outcome": outcome(row["execution_id"], connection) if row["execution_id"] else None}
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


def outcome(execution_id: str, connection: Connection) -> Json | None:
    """The `status` of a run and, where it failed, the `reason`; None for one that is forgotten."""
    name, codepipeline = f"{connection.stack_name}-retraining", connection.client("codepipeline")
    try:
        run = codepipeline.get_pipeline_execution(
            pipelineName=name, pipelineExecutionId=execution_id
        )["pipelineExecution"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        return None
    actions = codepipeline.list_action_executions(
        pipelineName=name, filter={"pipelineExecutionId": execution_id}
    )["actionExecutionDetails"]
    failed = next((action for action in actions if action["status"] == "Failed"), None)
    reason = _why(failed, connection) if failed else run.get("statusSummary") or ""
    return {"status": run["status"], "reason": reason}


def _why(action: Json, connection: Connection) -> str:
    """The build's own sentence about its failure, or else CodePipeline's about the action."""
    result = action["output"]["executionResult"]
    if action["input"]["actionTypeId"]["provider"] == "CodeBuild":
        builds = connection.client("codebuild").batch_get_builds(
            ids=[result.get("externalExecutionId") or "none:none"]
        )["builds"]
        said = [_last_words(build["logs"], connection) for build in builds if _failed(build)]
        if any(said):
            return said[0]
    return f"{action['stageName']}: {result.get('errorDetails', {}).get('message', 'no reason')}"


def _failed(build: Json) -> bool:
    """By itself: one that was stopped says only that it was interrupted."""
    return bool(build["buildStatus"] == "FAILED" and build["logs"].get("streamName"))


def _last_words(logs: Json, connection: Connection) -> str:
    """The last sentence that a command of ours wrote into a build's log; empty if none did."""
    try:
        events = connection.client("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], limit=_LINES
        )["events"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return ""  # it failed before its first command
    lines = [event["message"].rstrip() for event in events]
    return next((x.removeprefix(_SAYS) for x in reversed(lines) if x.startswith(_SAYS)), "")


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
    for name, value in (row.get("outcome") or {}).items():
        click.echo(f"  {name:18} {value}")

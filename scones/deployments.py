"""`scones deployments`: the executions of the deployment workflow."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from pipelines.resources import of_stack
from scones.cli import FAILED, WRONG_INPUT, Environment, fail, json_option, pass_environment
from scones.cli import print_json as show_json
from scones.connection import Connection
from scones.screen import listing
from workflow.executions import State, entered_states, follow

_POLLS = frozenset({"WaitForTurn", "WaitForEndpoint", "WaitForRollBack", "HowFar", "WhatToDo"})


@click.group()
def deployments() -> None:
    """Deployments of approved versions: list, show."""


@deployments.command("list")
@json_option
@pass_environment
def list_command(environment: Environment, as_json: bool) -> None:
    """List the deployments, newest first."""
    columns = {"deployment": "name", "status": "status", "started": "startDate"}
    listing(_all(environment.connection), as_json, columns)


@deployments.command()
@click.argument("name", required=False)
@json_option
@pass_environment
def show(environment: Environment, name: str | None, as_json: bool) -> None:
    """Show a deployment, state by state; default: the newest."""
    connection = environment.connection
    rows = [row for row in _all(connection) if name in (None, row["name"])]
    if not rows:
        fail(f"There is no deployment {name or 'yet'}.", WRONG_INPUT)
    found = outcome(rows[0]["executionArn"], connection.client("stepfunctions"))
    if as_json:
        show_json(found)
        return
    click.echo(f"{found['status']}: {found['execution']}")
    for state in found["states"]:
        click.echo(f"  {state}")
    if found["reason"]:
        click.echo(found["reason"])


def await_deployment(
    connection: Connection,
    version: int,
    since: datetime,
    say: Callable[[str], None],
    seconds: float = 60,
) -> dict[str, Any]:
    """Follows the deployment that a decision about a version started; returns its outcome.

    `since` is when it was decided. The event takes a moment to become an execution; after `seconds`
    without one that is said.
    """
    states = connection.client("stepfunctions")
    deadline = time.monotonic() + seconds
    while True:
        started = [
            row
            for row in _all(connection)
            if row["name"].startswith(f"v{version}-") and row["startDate"] >= since
        ]
        if started:
            break
        if time.monotonic() > deadline:
            fail(
                f"The decision about version {version} started no deployment in "
                f"{seconds:.0f} s: see the log of modelPackageChanged and the dead letters.",
                FAILED,
            )
        time.sleep(connection.poll_seconds)
    arn = started[0]["executionArn"]
    said: set[str] = set()

    def wait(interval: float) -> None:
        for state in entered_states(arn, states):
            if state.name not in said | _POLLS:
                said.add(state.name)
                say(state.name)
        time.sleep(interval)

    follow(arn, states, wait=wait, interval=connection.poll_seconds)
    return outcome(arn, states)


def outcome(execution_arn: str, states: Any) -> dict[str, Any]:
    """How a deployment went: its status, seconds, states, and a sentence.

    `reason` says why it failed or why there was nothing to do; it is None for what came to serve.
    """
    execution = states.describe_execution(executionArn=execution_arn)
    end = execution.get("stopDate")
    return {
        "execution": execution_arn,
        "status": execution["status"],
        "seconds": (end - execution["startDate"]).total_seconds() if end else None,
        "states": _names(entered_states(execution_arn, states)),
        "reason": _reason(execution),
    }


def _reason(execution: dict[str, Any]) -> str | None:
    if execution["status"] == "SUCCEEDED":
        plan = json.loads(execution["output"])["plan"]
        return str(plan["reason"]) if plan["action"] == "nothing" else None
    cause = execution.get("cause")
    try:
        return str(json.loads(cause)["errorMessage"]) if cause else None
    except (ValueError, KeyError, TypeError):
        return str(cause)


def _names(entered: list[State]) -> list[str]:
    """Each state once, in order; waiting in a circle is one state."""
    return list(dict.fromkeys(state.name for state in entered))


def _all(connection: Connection) -> list[dict[str, Any]]:
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    pages = connection.client("stepfunctions").get_paginator("list_executions")
    found = pages.paginate(stateMachineArn=resources.deployment_state_machine_arn)
    rows = [row for page in found for row in page["executions"]]
    return sorted(rows, key=lambda row: row["startDate"], reverse=True)

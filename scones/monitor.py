"""`scones monitor`: what the endpoint sees and says, against its baseline, now and so far."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from lambdas.publish_monitoring import STATISTICS, VIOLATIONS
from lambdas.publish_monitoring import read as read_json
from pipelines.execution import Execution
from pipelines.resources import of_stack
from scones.cli import FAILED, WRONG_INPUT, Environment, fail, json_option, pass_environment
from scones.cli import print_json as show_json
from scones.connection import Connection
from scones.pipeline import follow
from scones.screen import Shown, listing

Json = dict[str, Any]
moment = click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"])


@click.group()
def monitor() -> None:
    """Captured traffic against the baseline: run, list, show."""


@monitor.command("run")
@click.option("--now", is_flag=True, help="Look at the last hour, up to this second.")
@click.option("--start", type=moment, help="Or a window in UTC: from here …")
@click.option("--end", type=moment, help="… up to, but not including, here; default: now.")
@json_option
@pass_environment
def run_command(
    environment: Environment,
    now: bool,
    start: datetime | None,
    end: datetime | None,
    as_json: bool,
) -> None:
    """Run the monitor over a window, at once. Violations are a result: the exit code is 0."""
    if now == bool(start):
        fail("Say which window: --now, or --start and perhaps --end.", WRONG_INPUT)
    connection = environment.connection
    ends = (end or datetime.now(UTC)).replace(tzinfo=UTC)
    starts = start.replace(tzinfo=UTC) if start else ends - timedelta(hours=1)
    found = run(connection, starts, ends, quiet=as_json)
    show_json(found) if as_json else _print(found)


@monitor.command("list")
@json_option
@pass_environment
def list_command(environment: Environment, as_json: bool) -> None:
    """List the analyses, newest first, whoever started them."""
    rows = list(analyses(environment.connection))
    columns: dict[str, Shown] = {
        "written": "written",
        "records": "records",
        "violations": lambda row: len(row["violations"]),
        "analysis": "url",
    }
    listing(rows, as_json, columns)


@monitor.command()
@click.argument("url", required=False)
@json_option
@pass_environment
def show(environment: Environment, url: str | None, as_json: bool) -> None:
    """Show an analysis by its S3 address; default: the newest."""
    connection = environment.connection
    rows = [row for row in analyses(connection) if url in (None, row["url"])]
    if not rows:
        fail(f"There is no analysis {url or 'yet; see `scones monitor run`'}.", WRONG_INPUT)
    show_json(rows[0]) if as_json else _print(rows[0])


def run(connection: Connection, start: datetime, end: datetime, quiet: bool = False) -> Json:
    """Has the monitoring pipeline look at a window, and waits; returns what it found.

    Ends the program with a sentence when there is nothing to look at or the pipeline fails.
    """
    asked = {"start": start.isoformat(), "end": end.isoformat()}
    answer = invoke(connection, f"{connection.stack_name}-startMonitoring", asked)
    if not answer["started"]:
        fail(f"Nothing was looked at: {answer['reason']}", WRONG_INPUT)
    ended: Execution = follow(connection, answer["execution_arn"], quiet)
    if ended.status != "Succeeded":
        fail(ended.failure_reason or f"The monitoring ended as {ended.status}.", FAILED)
    s3, url = connection.client("s3"), answer["output_url"]
    nothing = {"url": url, "records": 0, "features": [], "violations": []}  # labels alone
    return {
        **(read(url, s3) or nothing),
        "window": {"start": start.isoformat(), "end": end.isoformat()},
        "execution_arn": ended.arn,
        "quality": _figures(read(f"{url}/quality", s3)),
    }


def analyses(connection: Connection) -> Iterator[Json]:
    """What lies below `monitoring/<endpoint>/`, newest first."""
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    s3 = connection.client("s3")
    prefix = f"monitoring/{resources.endpoint_name}/"
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=resources.bucket_name, Prefix=prefix
    )
    items = [item for page in pages for item in page.get("Contents", [])]
    written = [item for item in items if item["Key"].endswith(f"/{STATISTICS}")]
    for item in sorted(written, key=lambda item: item["LastModified"], reverse=True):
        folder = item["Key"].removesuffix(f"/{STATISTICS}")
        found = read(f"s3://{resources.bucket_name}/{folder}", s3)
        if found:
            yield {**found, "written": item["LastModified"]}


def read(url: str, s3: Any) -> Json | None:
    """One analysis: its address, records, features and violations; None when it is not there."""
    statistics = read_json(s3, f"{url}/{STATISTICS}")
    if statistics is None:
        return None
    return {
        "url": url,
        "records": statistics["dataset"]["item_count"],
        "features": [feature["name"] for feature in statistics.get("features", [])],
        "violations": (read_json(s3, f"{url}/{VIOLATIONS}") or {}).get("violations", []),
        "figures": _sound(statistics.get("binary_classification_metrics") or {}),
    }


def _sound(metrics: Json) -> Json:
    return {n: f["value"] for n, f in metrics.items() if isinstance(f, dict) and "value" in f}


def _figures(quality: Json | None) -> Json | None:
    if quality is None:
        return None
    return {name: quality[name] for name in ("records", "figures", "violations")}


def invoke(connection: Connection, function: str, payload: Json) -> Json:
    """Calls a function of the stack. Ends the program with the function's own sentence."""
    answer = connection.client("lambda").invoke(
        FunctionName=function, Payload=json.dumps(payload).encode()
    )
    content: Json = json.load(answer["Payload"])
    if "FunctionError" in answer:
        fail(str(content.get("errorMessage", content)), FAILED)
    return content


def _print(found: Json) -> None:
    what = f"{found['records']} records, {len(found['features'])} features"
    click.echo(f"{what}, {len(found['violations'])} violations: {found['url']}")
    for line in sentences(found["violations"]):
        click.echo(f"  {line}")
    quality = found.get("quality")
    if quality:
        accuracy = quality["figures"].get("accuracy")
        click.echo(f"  labelled: {quality['records']}, accuracy {accuracy:.3f}")
        for line in sentences(quality["violations"]):
            click.echo(f"  {line}")


def sentences(violations: list[Json]) -> Iterator[str]:
    """Each violation as one line."""
    for violation in violations:
        name = violation.get("feature_name") or violation.get("metric_name")
        yield f"{name}: {violation['description']}"

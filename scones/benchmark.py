"""`scones benchmark`: how fast what is deployed answers, seen from here."""

import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import click
from botocore.config import Config

from pipelines.resources import of_stack
from scones.classify import test_images
from scones.cli import (
    FAILED,
    WRONG_INPUT,
    Environment,
    fail,
    json_option,
    pass_environment,
    print_json,
)
from scones.connection import Connection
from scones.endpoints import describe
from scones.load import PERCENTILES, Ask, Level, rise
from scones.screen import table

_IMAGES = 50  # different ones, in turn
_PATIENCE = 60  # seconds; SageMaker itself waits no longer for a model


class Clients(click.ParamType[list[int]]):
    """Numbers of clients, `1,2,4`, each from 1 to 64."""

    name = "numbers"

    def convert(self, value: Any, param: Any, context: Any) -> list[int]:
        try:
            found = [int(part) for part in str(value).split(",")]
        except ValueError:
            found = [0]
        if not all(1 <= count <= 64 for count in found):
            self.fail(f"{value!r} is no list of numbers from 1 to 64, such as 1,2,4.")
        return found


@click.group()
def benchmark() -> None:
    """Measure what is deployed: endpoint."""


@benchmark.command()
@click.option("--clients", type=Clients(), default="1,2,4,8", show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=5.0, show_default=True)
@click.option("--limit", type=click.IntRange(1, 100_000), default=5_000, show_default=True)
@json_option
@pass_environment
def endpoint(
    environment: Environment, clients: list[int], seconds: float, limit: int, as_json: bool
) -> None:
    """Ask the endpoint for answers with ever more clients at a time; print latencies and rate.

    Sends test images of the version in production through InvokeEndpoint, `--seconds` for each
    number of `--clients`, and at most `--limit` requests in all. They are captured like all others.
    """
    connection = environment.connection
    served = describe(connection)
    if served is None or served["status"] not in ("InService", "Updating"):
        fail("No endpoint serves yet: `scones models approve N` deploys one.", WRONG_INPUT)
    ask = _asking(connection, served["name"], max(clients))
    first = next(rise(ask, [1], seconds, 1))  # its connection is no measure of the model
    if first.errors:
        fail(f"The endpoint {served['name']} does not answer: {_errors(first)}.", FAILED)
    if not as_json:
        click.echo(
            f"{served['name']}, version {served['version']}: {seconds:g} s with each of"
            f" {', '.join(map(str, clients))} clients, at most {limit:,} requests in all, one image"
            " a request; captured like all others\n"
        )
    levels = list(rise(ask, clients, seconds, limit))
    _report(served, levels, as_json)


def _asking(connection: Connection, name: str, clients: int) -> Ask:
    """Asks with an image of those, without a retry: a refusal counts as one."""
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    places = test_images(connection, resources, _IMAGES, True, random.Random(0), None)
    s3 = connection.client("s3")
    images = [s3.get_object(Bucket=b, Key=key)["Body"].read() for b, key in dict.fromkeys(places)]
    settings = Config(
        retries={"total_max_attempts": 1}, max_pool_connections=clients, read_timeout=_PATIENCE
    )
    runtime = connection.session.client("sagemaker-runtime", config=settings)
    batch = f"benchmark-{uuid4().hex[:12]}"

    def ask(number: int) -> object:
        answer = runtime.invoke_endpoint(
            EndpointName=name,
            ContentType="application/x-image",
            InferenceId=f"{batch}-{number}",
            Body=images[number % len(images)],
        )
        return answer["Body"].read()

    return ask


def _report(served: dict[str, Any], levels: Sequence[Level], as_json: bool) -> None:
    if as_json:
        found = [_figures(level) for level in levels]
        print_json({"endpoint": served["name"], "version": served["version"], "levels": found})
        return
    rows = []
    for level in levels:
        times = [_or_dash(value) for value in level.percentiles().values()]
        rate = f"{level.per_second:.1f}"
        rows.append([str(level.clients), str(level.requests), rate, *times, _errors(level)])
    heads = [f"p{percent} ms" for percent in PERCENTILES]
    table(["clients", "requests", "a second", *heads, "errors"], rows)


def _figures(level: Level) -> dict[str, Any]:
    times = {f"p{percent}_ms": value for percent, value in level.percentiles().items()}
    return {
        "clients": level.clients,
        "requests": level.requests,
        "seconds": level.seconds,
        "per_second": level.per_second,
        **times,
        "errors": dict(level.errors),
    }


def _or_dash(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.1f}"


def _errors(level: Level) -> str:
    return ", ".join(f"{count} {name}" for name, count in level.errors.items()) or "none"

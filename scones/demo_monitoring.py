"""The demo's last part: clean and disturbed traffic, what the monitor says of each, the report."""

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from pipelines.resources import Resources
from scones import classify, monitor, report
from scones.connection import Connection
from scones.disturb import disturbed

Json = dict[str, Any]
CLEAN, DISTURBED = 200, 60  # images; below about 50 a window says nothing for certain
# The traffic's name, what is done to its images, and the one class that it is left to.
WAVES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("clean", (), None),
    ("darker", ("darker",), None),
    ("blurred", ("blurred",), None),
    ("one class only", (), "motorcycle"),
)
CAPTURE_WAIT = 120  # seconds; a capture file is written a minute after its first record


def watch(connection: Connection, resources: Resources, out: Path) -> Json:
    """Sends each wave and has it monitored; returns `monitoring` (a run a wave) and `report`.

    The report is about all of them together.
    """
    began = _next_second()
    runs: list[Json] = []
    for name, kinds, only in WAVES:
        images = classify.test_images(
            connection,
            resources,
            DISTURBED if kinds or only else CLEAN,
            only is None,
            random.Random(1),
            only,
        )
        runs.append(_run(connection, resources, name, images, kinds))
        _say(runs[-1])
    ended = _next_second()
    whole = monitor.run(connection, began, ended, quiet=True)
    path = report.make(connection, began, ended, out / "report", whole)
    return {
        "monitoring": [
            {key: run[key] for key in ("traffic", "records", "features", "violations", "url")}
            for run in runs
        ],
        "report": str(path),
    }


def _run(
    connection: Connection,
    resources: Resources,
    name: str,
    images: list[tuple[str, str]],
    kinds: tuple[str, ...],
) -> Json:
    start = _next_second()
    s3 = connection.client("s3")
    sent = disturbed(images, kinds, resources.bucket_name, s3) if kinds else iter(images)
    answers = list(classify.run(connection, resources, sent))
    answered = sum(answer.confidence is not None for answer in answers)
    end = _next_second()
    _await_capture(connection, resources, start, end, answered)
    return {"traffic": name, **monitor.run(connection, start, end, quiet=True)}


def _await_capture(
    connection: Connection, resources: Resources, start: datetime, end: datetime, count: int
) -> None:
    """Waits until the captured records of the window lie in S3; gives up after CAPTURE_WAIT."""
    deadline = time.monotonic() + CAPTURE_WAIT
    while time.monotonic() < deadline:
        if report.captured(connection, resources, start, end) >= count:
            return
        time.sleep(connection.poll_seconds)
    click.echo("  not every answer was captured in time; the monitor looks at what is there")


def _next_second() -> datetime:
    """The next full second, after waiting for it: captured times have no smaller unit."""
    now = datetime.now(UTC)
    full = now.replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((full - now).total_seconds())
    return full


def _say(run: Json) -> None:
    found = run["violations"]
    click.echo(f"  {run['traffic']:15} {run['records']} records, {len(found)} violations")
    for line in monitor.sentences(found):
        click.echo(f"    {line}")

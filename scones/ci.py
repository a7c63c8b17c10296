"""`scones ci`: the phases of buildspec.yml on this machine, as CodeBuild runs them."""

import contextlib
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

import buildspec
from buildspec import Build, BuildspecError, Outcome, PhaseResult
from localaws import control
from scones import source
from scones.cli import (
    FAILED,
    INTERRUPTED,
    NOT_REACHED,
    WRONG_INPUT,
    Environment,
    fail,
    pass_environment,
)
from scones.connection import PROJECT_ROOT, local_home
from scones.screen import table

PROJECT = "scones-ci"  # what the build's id begins with, as a CodeBuild project would
_MARKS = {"SUCCEEDED": "✓", "FAILED": "✗"}


@click.command()
@click.option(
    "--buildspec",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=PROJECT_ROOT / "buildspec.yml",
    help="Which one; default: the checkout's buildspec.yml.",
)
@click.option(
    "--env-var",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="As the project's or an action's environment variables would set it; may be repeated.",
)
@click.option(
    "--timeout",
    "minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Minutes that the whole build may take, as a CodeBuild project's timeout.",
)
@pass_environment
def ci(environment: Environment, file: Path, given: tuple[str, ...], minutes: float) -> None:
    """Run the build on this machine as CodeBuild would: lint, tests, deployment, training."""
    try:
        spec = buildspec.read(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", WRONG_INPUT)
    except BuildspecError as error:
        fail(f"{file.name}: {error}", WRONG_INPUT)
    variables = {"SCONES_ENV": environment.name, **dict(_pair(text) for text in given)}
    with _aws(environment.name) as aws:
        build = Build(
            spec,
            PROJECT_ROOT,
            image=_image(aws),
            variables=variables | _build_variables(),
            seconds=60 * minutes,
            say=lambda line: click.echo(line),
            on_phase=_show,
        )
        outcome = _run(build)
    _summary(outcome)
    if outcome.status == "STOPPED":
        fail("Interrupted.", INTERRUPTED)
    if outcome.status != "SUCCEEDED":
        fail(f"The build ended as {outcome.status}. {outcome.reason}", FAILED)


@contextlib.contextmanager
def _aws(environment: str) -> Iterator[dict[str, str]]:
    """The variables of the embedded AWS, which is started if it does not run; none of another."""
    if environment != "local":
        yield {}
        return
    home = local_home()
    ran_before = control.status(home).running
    try:
        status = control.up(home)
    except control.LocalAwsError as error:
        fail(str(error), NOT_REACHED)
    try:
        yield control.environment(status)
    finally:
        if not ran_before:
            control.down(home)


def _image(aws: dict[str, str]) -> dict[str, str]:
    """This process's environment, with its Python first; that is what stands for the image."""
    unset = ("AWS_PROFILE", "AWS_SESSION_TOKEN") if aws else ()
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    folder = os.path.dirname(sys.executable)
    return {**inherited, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}", **aws}


def _build_variables() -> dict[str, str]:
    """What CodeBuild sets, as far as it has a meaning here."""
    identity = f"{PROJECT}:{uuid.uuid4()}"
    return {
        "CI": "true",
        "CODEBUILD_BUILD_ID": identity,
        "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:local:000000000000:build/{identity}",
        "CODEBUILD_BUILD_NUMBER": "1",
        "CODEBUILD_INITIATOR": "scones-ci",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": source.commit(),
        "CODEBUILD_START_TIME": str(int(1000 * datetime.now(UTC).timestamp())),
    }


def _run(build: Build) -> Outcome:
    """Runs it in a thread, so that Ctrl-C reaches the build as a stop, and only once."""
    ended: list[Outcome] = []
    thread = threading.Thread(target=lambda: ended.append(build.run()), daemon=True)
    previous = signal.signal(signal.SIGINT, lambda *_: build.stop())
    try:
        thread.start()
        while thread.is_alive():
            thread.join(0.2)
    finally:
        signal.signal(signal.SIGINT, previous)
    if not ended:
        fail("The build ended without an outcome; the lines above say why.", FAILED)
    return ended[0]


def _show(name: str, ended: PhaseResult | None) -> None:
    if ended is None:
        click.secho(f"\n{name}", bold=True)
    else:
        mark = _MARKS.get(ended.status, "■")
        click.echo(f"{mark} {name} {ended.status} in {ended.seconds:.1f} s")


def _summary(outcome: Outcome) -> None:
    click.secho("\nBuild", bold=True)
    rows = [[p.name, p.status, f"{p.seconds:.1f} s", p.message] for p in outcome.phases]
    table(["phase", "status", "time", "reason"], rows)
    for report in outcome.reports:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(report.counts.items()))
        click.echo(
            f"report {report.group}: {report.total} tests in {report.seconds:.1f} s, {counts}"
        )
    for name, found in outcome.artifacts.items():
        click.echo(f"artifact {name or '(primary)'}: {len(found)} files")
    for name, value in outcome.exported.items():
        click.echo(f"{name}={value}")
    click.echo(outcome.status)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env-var")
    return name, value

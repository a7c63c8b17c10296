"""Starts, stops and looks at the embedded AWS of a folder, for a command line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from localaws.errors import LocalAwsError
from localaws.home import Home
from localaws.jobs import sandbox
from localaws.permissions import usage as permissions
from localaws.permissions.record import read
from localaws.permissions.usage import Usage

__all__ = ["LocalAwsError", "Status", "down", "environment", "logs", "status", "up", "usage"]

HOST = "127.0.0.1"
STATUS_PATH = "/_localaws/status"
_START_SECONDS, _STOP_SECONDS = 60.0, 15.0


@dataclass(frozen=True)
class Status:
    """One embedded AWS. Only `running` and `home` mean something while it does not run."""

    running: bool
    home: Path
    pid: int | None = None
    port: int | None = None
    endpoint_url: str = ""
    region: str = ""
    uptime_seconds: float = 0.0
    memory_bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def up(
    home: Path, port: int | None = None, region: str | None = None, *, record: bool = False
) -> Status:
    """Starts the server detached and returns when it answers; one that runs is left alone.

    Without a port it takes the one of the last run, or a free one; without a region that of the
    last run, or us-east-1. With `record` it writes down what roles ask (`usage`). Raises
    LocalAwsError with one sentence: the port is taken, the system has no namespaces, another port
    or region is asked of one that runs, or what it said itself.
    """
    place = Home(home)
    running = status(home)
    if running.running:
        return _require_same(running, port, region)
    try:
        sandbox.check()
    except sandbox.NamespacesUnavailable as error:
        raise LocalAwsError(str(error)) from None
    if port is not None:
        _require_free(port)
    else:
        port = place.last_port() or 0
        port = port if _is_free(port) else 0
    process = _launch(place, port, region or place.last_region() or "us-east-1", record)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        running = status(home)
        if running.running:
            return running
        if process.poll() is not None:
            raise LocalAwsError(_last_words(place, process.returncode))
        time.sleep(0.02)
    process.kill()
    raise LocalAwsError(f"localaws did not answer in {_START_SECONDS:.0f} s; see {place.log}.")


def down(home: Path) -> bool:
    """Stops the server and returns when it is gone; False when none was running."""
    place = Home(home)
    pid = place.pid()
    if pid is None or not place.is_taken():
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while place.is_taken():
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return True


def status(home: Path) -> Status:
    """Whether a server runs on the folder and answers, and what it holds."""
    place = Home(home)
    announced = place.announced()
    if announced is None:
        return Status(running=False, home=place.folder)
    try:
        # One that is gone refuses at once; one on a busy machine may take its time.
        with urllib.request.urlopen(announced["endpoint_url"] + STATUS_PATH, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        memory = psutil.Process(announced["pid"]).memory_info().rss
    except (urllib.error.URLError, OSError, psutil.Error):
        return Status(running=False, home=place.folder)
    return Status(
        running=True,
        home=place.folder,
        pid=told["pid"],
        port=int(told["endpoint_url"].rpartition(":")[2]),
        endpoint_url=told["endpoint_url"],
        region=told["region"],
        uptime_seconds=round(time.time() - told["started"], 1),
        memory_bytes=memory,
        counts=told["counts"],
    )


def environment(running: Status) -> dict[str, str]:
    """What every AWS client needs in its environment to come here.

    `AWS_PROFILE` and `AWS_SESSION_TOKEN` must be unset beside it: they win over these keys.
    """
    return {
        "AWS_ENDPOINT_URL": running.endpoint_url,
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        # The SDK would ask IAM to simulate the role's permissions, which moto cannot.
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }


def usage(home: Path, prefix: str = "") -> Usage:
    """What the roles whose name starts so have asked since `up(record=True)`.

    Raises LocalAwsError when the server does not run, or has recorded nothing.
    """
    running, file = status(home), Home(home).decisions
    if not running.running:
        raise LocalAwsError("The embedded AWS is not running.")
    if not file.exists():
        raise LocalAwsError("Nothing is recorded: start the embedded AWS with `--record`.")
    import boto3  # here, because the other commands need not wait for it

    told = environment(running)
    iam = boto3.client(
        "iam",
        endpoint_url=running.endpoint_url,
        region_name=running.region,
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )
    return Usage.of(permissions.of_roles(iam, prefix), list(read(file)))


def logs(home: Path, follow: bool = False) -> Iterator[str]:
    """The lines of the server's log; with `follow`, new ones as they come, without an end."""
    path = Home(home).log
    while True:
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                while line := file.readline() or (follow and _await_line(path, file.fileno())):
                    if isinstance(line, str):
                        yield line.rstrip("\n")
        if not follow:
            return
        time.sleep(0.2)


def _await_line(path: Path, descriptor: int) -> bool:
    """Waits a moment; False when the log was rotated away and has to be opened again."""
    time.sleep(0.2)
    return path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))


def _launch(place: Home, port: int, region: str, record: bool) -> subprocess.Popen[bytes]:
    place.make()
    # A profile or an endpoint of the user's is for AWS; boto3 inside the server must not follow it.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
    command = [sys.executable, "-m", "localaws.server", "--home", str(place.folder)]
    command += ["--decisions", str(place.decisions)] if record else []
    with place.words.open("wb") as words:
        return subprocess.Popen(
            [*command, "--port", str(port), "--region", region],
            env={**kept, "MALLOC_ARENA_MAX": "2"},  # else freed memory stays with idle threads
            cwd=Path(__file__).parent.parent,  # where Python finds this very package
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )


def _last_words(place: Home, code: int) -> str:
    words = place.words.read_text(errors="replace").strip().splitlines()
    said = words[-1].removeprefix("localaws: ") if words else f"it ended with exit code {code}"
    return said if said.endswith(".") else f"localaws did not start: {said}; see {place.log}."


def _require_same(running: Status, port: int | None, region: str | None) -> Status:
    if port not in (None, running.port) or region not in (None, running.region):
        raise LocalAwsError(
            f"The embedded AWS of {running.home} runs already, in {running.region} on port"
            f" {running.port}: stop it first, or give another folder."
        )
    return running


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _require_free(port: int) -> None:
    if _is_free(port):
        return
    try:
        owners = {c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port}
        names = [f"{psutil.Process(pid).name()} (pid {pid})" for pid in sorted(owners - {None})]
    except psutil.Error:  # another user's processes are not ours to see
        names = []
    owner = f" by {', '.join(names)}" if names else ""
    raise LocalAwsError(f"Port {port} is in use{owner}: choose another one, or stop that program.")

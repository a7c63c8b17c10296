"""The project as its user has it: the `scones` command, in a home of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from scones.datasets import Dataset, resolve
from tests.archives import good_archive

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Command:
    """What a finished command left: its exit code and what it printed."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed; AssertionError with its sentence for a command that failed."""
        assert self.out, f"exit code {self.exit_code}: {self.err}"
        return json.loads(self.out)


class User:
    """Types `scones …` with an embedded AWS below a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home" / "local"
        self.environment = os.environ | {"SCONES_HOME": str(folder / "home"), "COLUMNS": "200"}
        for name in ("SCONES_DATA", "SCONES_ENV"):
            self.environment.pop(name, None)
        self._exports: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()  # boto3 makes one client at a time

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "scones", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a shell ignores Ctrl-C, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, timeout: float = 300) -> Command:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout)
        return Command(process.returncode, out, err)

    def ok(self, *arguments: str, timeout: float = 300) -> str:
        """Runs a command that must succeed; returns what it printed."""
        command = self.run(*arguments, timeout=timeout)
        assert command.exit_code == 0, f"scones {' '.join(arguments)}\n{command.out}{command.err}"
        return command.out

    def aws_environment(self) -> dict[str, str]:
        """What `eval "$(scones local env)"` sets in the user's shell; asked once, as there."""
        if not self._exports:
            exports = [
                line.removeprefix("export ").split("=", 1)
                for line in self.ok("local", "env").splitlines()
                if line.startswith("export ")
            ]
            self._exports = {name: value.strip("'\"") for name, value in exports}
        return self.environment | self._exports

    def aws(self, *arguments: str) -> Any:
        """Runs the AWS CLI and returns its JSON."""
        answer = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), *arguments, "--output", "json"],
            env=self.aws_environment(),
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout) if answer.stdout.strip() else None

    def client(self, service: str) -> Any:
        """A boto3 client, made once: it finds the same address after a restart."""
        with self._making:
            if service not in self._clients:
                environment = self.aws_environment()
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=environment["AWS_ENDPOINT_URL"],
                    region_name=environment["AWS_REGION"],
                    aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                )
            return self._clients[service]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The real images when they are there, drawn ones otherwise; never a download."""
    near = ROOT.parent / "shared" / "data" / "cifar-100-python-bicycle-motorcycle.tar.gz"
    named = os.environ.get("SCONES_DATA") or (None if near.is_file() else "rendered")
    cache = tmp_path_factory.mktemp("cache")
    return resolve(named, environ={}, project_root=ROOT, cache=cache)


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound archive that trains in a second."""
    return good_archive(tmp_path_factory.mktemp("archive") / "small.tar.gz")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose embedded AWS runs and whose stack and pipeline are there."""
    user = User(tmp_path_factory.mktemp("user"))
    user.environment["LOCALAWS_CAPTURE_SECONDS"] = "1"  # instead of a minute
    user.ok("local", "up")
    user.ok("deploy")
    user.ok("pipeline", "upsert")
    yield user
    user.run("local", "down")

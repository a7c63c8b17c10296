"""A real `localaws` server process for the tests that need one.

`local_aws` is shared by all tests of a run: give what you make in it names of your own.
`fresh_local_aws` is a test's own, for the tests that kill and restart it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest

ROOT = Path(__file__).resolve().parent.parent


class LocalAws:
    """A server process with its state in a folder of its own."""

    region = "us-east-1"
    account = "123456789012"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.start()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What `eval "$(scones local env)"` sets, over this process's own environment."""
        unset = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
        return {k: v for k, v in os.environ.items() if k not in unset} | {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "SAGEMAKER_VALIDATE_ROLE": "false",
        }

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client that does not retry, so that every answer is seen."""
        settings: dict[str, Any] = {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": botocore.config.Config(retries={"total_max_attempts": 1}),
        }
        return boto3.client(service, **settings | options)

    def start(self) -> None:
        """Starts on the same port as before, or on a free one at first."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "stderr.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "localaws.server", "--strict"),
                    *("--home", str(self.home)),
                    *("--port", str(self.port)),
                    *("--region", self.region),
                ],
                cwd=ROOT,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"localaws did not start:\n{self.log()[-4000:]}")
            time.sleep(0.02)

    def log(self) -> str:
        """What the process wrote to its log and to its standard error."""
        files = (self.home / "server.log", self.home / "stderr.log")
        return "\n".join(file.read_text() for file in files if file.exists())

    def kill(self) -> None:
        """`kill -9`, at whatever moment this is."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ends it in order and returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def restart(self) -> None:
        """Stops it if it runs, and starts it again on the same folder and port."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        announced = self.home / "server.json"
        if self.port == 0 and announced.exists():
            self.port = int(json.loads(announced.read_text())["endpoint_url"].rpartition(":")[2])
        if self.port == 0:
            return False
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_localaws/status", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    server = LocalAws(tmp_path_factory.mktemp("local-aws"))
    yield server
    server.stop()


@pytest.fixture
def fresh_local_aws(tmp_path: Path) -> Iterator[LocalAws]:
    server = LocalAws(tmp_path / "local-aws")
    yield server
    server.stop()

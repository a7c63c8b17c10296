"""The one place that chooses between AWS and this machine."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.settings import Settings

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# The role behind a request may be seconds old; botocore's own retries cover that and throttling.
_RETRIES = Config(retries={"mode": "standard", "max_attempts": 6})


class NotConnected(Exception):
    """The environment cannot be reached, with what to do about it."""


@dataclass(frozen=True)
class Connection:
    """An environment that answers: its settings, its account and clients for its services."""

    settings: Settings
    session: boto3.Session
    account: str
    poll_seconds: float

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    @property
    def stack_name(self) -> str:
        return self.settings.name()

    @property
    def on_this_machine(self) -> bool:
        """Whether the embedded AWS answers, as which environment ever."""
        return is_on_this_machine()

    def client(self, service: str) -> Any:
        """A boto3 client, such as `client("sagemaker")`."""
        return self.session.client(service, config=_RETRIES)


def is_on_this_machine() -> bool:
    """Whether this process's AWS clients come to the embedded AWS."""
    return os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:")


def local_home() -> Path:
    """Where the embedded AWS keeps its state: `SCONES_HOME`, or `.scones/` in the project."""
    return Path(os.environ.get("SCONES_HOME") or PROJECT_ROOT / ".scones").resolve() / "local"


def connect(settings: Settings) -> Connection:
    """A connection to the settings' environment. Raises NotConnected."""
    # A build that the embedded AWS runs finds its address and its role's credentials set.
    in_a_build = bool(os.environ.get("CODEBUILD_BUILD_ID")) and is_on_this_machine()
    if settings.environment == "local" and not in_a_build:
        _use_this_machine()
    poll_seconds = 0.5 if is_on_this_machine() else 10.0
    # The SDK simulates IAM calls before it accepts a role, which a least-privilege caller may not.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    session = boto3.Session()
    if not session.region_name:
        raise NotConnected("No AWS region is set: export AWS_REGION, or choose a profile with one.")
    try:
        identity = session.client("sts", config=_RETRIES).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise NotConnected(
            f"AWS does not answer in {session.region_name}: {error}. "
            "Check the credentials (`aws sts get-caller-identity`), or use `--env local`."
        ) from error
    return Connection(settings, session, identity["Account"], poll_seconds)


def _use_this_machine() -> None:
    """Points every AWS client of this process and its children at the embedded AWS."""
    from localaws import control  # only here: the product's other users have no `local` extra

    status = control.status(local_home())
    if not status.running:
        raise NotConnected("The embedded AWS is not running: start it with `scones local up`.")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(control.environment(status))


def announce(connection: Connection, say: Callable[[str], None]) -> None:
    """Says where a command is about to act."""
    where = "this machine" if connection.on_this_machine else "AWS"
    say(f"{connection.stack_name} on {where} ({connection.account}, {connection.region})")

"""What a job is and what came of it, in plain terms; the components translate from and to the API.

Paths inside the job are given relative to its `/opt/ml`; times in seconds, sizes in bytes.
"""

import dataclasses
import datetime
import os.path
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from localaws.errors import ValidationError

ML = "/opt/ml"

COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"


class JobFailed(Exception):
    """Ends the job as Failed; the message is its FailureReason."""


class JobStopped(Exception):
    """Ends the job as Stopped before its program ran."""


@dataclass(frozen=True)
class Input:
    """S3 objects and the folder that they are copied to before the program starts."""

    name: str
    s3_uri: str
    folder: PurePosixPath
    is_manifest: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True)
class Output:
    """A folder of the job and where its content goes.

    `s3_uri` is a prefix, or the very object when `archived`. It is uploaded when the job's program
    ended in one of the states `after`; a `continuous` one also while it runs, each changed file.
    `kms_key` is a customer's key for the objects.
    """

    s3_uri: str
    folder: PurePosixPath
    after: frozenset[str] = frozenset({COMPLETED})
    continuous: bool = False
    archived: bool = False
    may_be_empty: bool = True
    kms_key: str = ""


@dataclass(frozen=True)
class JobSpec:
    """One job. `documents` are JSON files to write below `/opt/ml`; `credentials` those of the
    job's role; `remark` is a first line for its log. `client_error` is the exit status by which a
    program of SageMaker's own says that the request is at fault, and not the algorithm."""

    kind: str
    name: str
    command: list[str]
    environment: dict[str, str]
    credentials: dict[str, str]
    role_arn: str
    log_group: str
    running_stage: str
    max_seconds: float
    volume_bytes: int
    is_isolated: bool = False
    remark: str = ""
    client_error: int | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    folders: tuple[PurePosixPath, ...] = ()
    documents: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: tuple[tuple[str, re.Pattern[str]], ...] = ()


@dataclass(frozen=True)
class RunLimits:
    """Seconds: `grace` between SIGTERM and SIGKILL, where SageMaker waits 120; `sync` between two
    looks at continuous outputs."""

    grace: float = 10.0
    sync: float = 2.0


@dataclass
class Metric:
    """The last value that a metric's pattern caught."""

    name: str
    value: float
    time: datetime.datetime


@dataclass
class Outcome:
    """How a job ended. `status` is Completed, Failed or Stopped; `ran_out_of_time` goes with the
    last. `program_started` and `program_seconds` are the job's own program, without the engine's
    share. `metric_lines` are what it left for CloudWatch in `output/metrics/cloudwatch`."""

    status: str
    failure_reason: str = ""
    exit_message: str = ""
    ran_out_of_time: bool = False
    program_started: datetime.datetime | None = None
    program_seconds: float = 0.0
    stage_seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    metrics: list[Metric] = dataclasses.field(default_factory=list)
    metric_lines: list[str] = dataclasses.field(default_factory=list)


class Report(Protocol):
    """Is told, in the job's own thread, what happens to it."""

    def stage(self, name: str) -> None:
        """A stage begins: Downloading, Training or Processing, Uploading."""

    def end(self, outcome: Outcome) -> None:
        """The job is over and its outputs are in place."""


def below_ml(path: str, member: str, beneath: str = ML) -> PurePosixPath:
    """A LocalPath as the folder relative to `/opt/ml`. ValidationError when it lies elsewhere."""
    normal = os.path.normpath(path)
    if not normal.startswith(f"{beneath}/"):
        raise ValidationError(f"Invalid {member} '{path}': it must begin with {beneath}/.")
    return PurePosixPath(normal).relative_to(ML)

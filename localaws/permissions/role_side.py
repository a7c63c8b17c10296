"""S3 and Logs as a role has them: what the platform does in a role's name, its policies must allow.

SageMaker downloads a job's inputs, uploads its outputs and writes its log with the job's role, and
Lambda writes a function's log with the function's. A log that may not be written is not, as on AWS:
the job goes on without one.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localaws.jobs.logs import LogEvent, LogSink
from localaws.objects import ObjectInfo, Objects
from localaws.permissions.guard import Denied, Guard
from localaws.permissions.principal import Session
from localaws.permissions.s3_actions import S3Call

log = logging.getLogger(__name__)


class RoleObjects:
    """`Objects` for one role's session. Raises Denied."""

    def __init__(self, objects: Objects, guard: Guard, session: Session) -> None:
        self._objects, self._guard, self._session = objects, guard, session

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        self._ask("GET", bucket, "", {"list-type": "2", "prefix": prefix})
        yield from self._objects.list(bucket, prefix)

    def read(self, bucket: str, key: str) -> bytes:
        self._ask("GET", bucket, key)
        return self._objects.read(bucket, key)

    def write(self, bucket: str, key: str, data: bytes, kms_key: str = "") -> ObjectInfo:
        self._ask("PUT", bucket, key, headers=_encryption(kms_key))
        return self._objects.write(bucket, key, data, kms_key)

    def download(self, bucket: str, key: str, path: Path) -> None:
        self._ask("GET", bucket, key)
        self._objects.download(bucket, key, path)

    def upload(self, path: Path, bucket: str, key: str, kms_key: str = "") -> ObjectInfo:
        self._ask("PUT", bucket, key, headers=_encryption(kms_key))
        return self._objects.upload(path, bucket, key, kms_key)

    def _ask(
        self,
        method: str,
        bucket: str,
        key: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        call = S3Call(method, bucket, key, query or {}, headers or {})
        self._guard.require_s3(self._session, call)


def _encryption(kms_key: str) -> dict[str, str]:
    if not kms_key:
        return {}
    name = "x-amz-server-side-encryption"
    return {name: "aws:kms", f"{name}-aws-kms-key-id": kms_key}


class RoleLogs:
    """A `LogSink` for one role's session."""

    def __init__(self, logs: LogSink, guard: Guard, session: Session) -> None:
        self._logs, self._guard, self._session = logs, guard, session
        self._made: set[tuple[str, str]] = set()

    def put(self, group: str, stream: str, events: list[LogEvent]) -> None:
        try:
            if (group, stream) not in self._made:
                if not self._guard.resources.has_log_group(group):
                    self._ask("CreateLogGroup", logGroupName=group)
                self._ask("CreateLogStream", logGroupName=group, logStreamName=stream)
                self._made.add((group, stream))
            if events:
                self._ask("PutLogEvents", logGroupName=group, logStreamName=stream)
        except Denied as denied:
            log.warning("%s gets no log: %s", group, denied.message)
            return
        self._logs.put(group, stream, events)

    def _ask(self, operation: str, **given: Any) -> None:
        self._guard.require_call(self._session, "logs", operation, given)

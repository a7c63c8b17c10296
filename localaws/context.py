"""What every emulated service is handed: where it is, what it keeps, and the time.

The services never reach for a global; tests hand them a folder of their own and a clock.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localaws.objects import Objects
from localaws.store import Store

if TYPE_CHECKING:  # both need a context themselves
    from localaws.jobs.logs import LogSink
    from localaws.permissions.guard import Guard


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Context:
    """One running embedded AWS: an account in a region, with its state below `home`."""

    home: Path
    store: Store
    objects: Objects
    region: str = "us-east-1"
    account: str = "123456789012"
    endpoint_url: str = ""
    now: Callable[[], datetime.datetime] = field(default=utc_now)
    guard: "Guard | None" = None  # a unit test's context enforces nothing

    @property
    def partition(self) -> str:
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def objects_of(self, role_arn: str, session: str = "SageMaker") -> Objects:
        """S3 as a role has it."""
        if self.guard is None:
            return self.objects
        from localaws.permissions.role_side import RoleObjects

        return RoleObjects(self.objects, self.guard, self.guard.as_role(role_arn, session))

    def logs_of(self, logs: "LogSink", role_arn: str, session: str = "SageMaker") -> "LogSink":
        """Logs as a role has them."""
        if self.guard is None:
            return logs
        from localaws.permissions.role_side import RoleLogs

        return RoleLogs(logs, self.guard, self.guard.as_role(role_arn, session))

    def require(self, role_arn: str, service: str, operation: str, request: dict[str, Any]) -> None:
        """Raises AccessDenied unless a role that the platform acts for may call an operation."""
        if self.guard is not None:
            session = self.guard.as_role(role_arn, "SageMaker")
            self.guard.require_call(session, service, operation, request)

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and region, such as `context.arn("sagemaker", "pipeline/p")`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

"""What every emulated service is handed: where it is, what it keeps, and the time.

The services never reach for a global; tests hand them a folder of their own and a clock.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localaws.objects import Objects
from localaws.store import Store


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

    @property
    def partition(self) -> str:
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and region, such as `context.arn("sagemaker", "pipeline/p")`."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

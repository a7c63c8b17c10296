"""State changes told to EventBridge: kept with the change itself, delivered soon after.

An event is put into the delivery queue within the transaction of the change that it tells, so a
kill loses neither or both. Delivery is at least once and in no promised order, as on AWS; the
event's `time` says when.
"""

import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.delivery.queue import Entry, Queue

Json = dict[str, Any]
Announce = Callable[[str, list[str], Json], None]  # detail type, ARNs, detail

_QUEUE = "announcement"


def nobody(kind: str, resources: list[str], detail: Json) -> None:
    """Stands where nobody listens."""


class Announcements:
    """Shapes events of one source; `bus` delivers one that is shaped."""

    def __init__(
        self,
        context: Context,
        queue: Queue,
        bus: Callable[[Json], None],
        source: str = "aws.sagemaker",
    ) -> None:
        self._context, self._queue, self._bus, self._source = context, queue, bus, source
        queue.register(_QUEUE, self._deliver)

    def __call__(self, kind: str, resources: list[str], detail: Json) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": self._source,
            "account": self._context.account,
            "time": as_text(self._context.now()),
            "region": self._context.region,
            "resources": resources,
            "detail": detail,
        }
        self._queue.put(_QUEUE, event=event)

    def _deliver(self, entry: Entry) -> None:
        self._bus(entry["event"])


def as_text(moment: datetime.datetime) -> str:
    """A time as an event's envelope has it."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_milliseconds(value: Any) -> Any:
    """A value whose times are milliseconds since 1970, as events of jobs have them."""
    if isinstance(value, dict):
        return {key: as_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_milliseconds(item) for item in value]
    return int(value.timestamp() * 1000) if isinstance(value, datetime.datetime) else value


def upper_snake(name: str) -> str:
    """`ManifestFile` as `MANIFEST_FILE`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()

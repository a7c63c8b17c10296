"""What S3 tells EventBridge of a bucket that has EventBridge notifications on.

moto sends such an event, also for what jobs and captures write; its shape is made here, because
moto's has a constant sequencer and a wrong reason, and swallows what goes wrong.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import itertools
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import moto.s3.notifications as notifications

log = logging.getLogger(__name__)

_REASONS = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete": "DeleteObject",
    "s3:ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}
_sequence = itertools.count(time.time_ns())  # rises, also over a restart
_by_moto = notifications.send_event
_writing: ContextVar[bool] = ContextVar("writing", default=False)


@contextmanager
def writing() -> Iterator[None]:
    """Inside, an object is put or copied: the tags that it comes with are no event of their own."""
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)


def install(notified: Callable[[], Any], ready: Callable[[], Any]) -> None:
    """Takes moto's place. `notified` hears that a queue, a topic or a bus may have changed; `ready`
    returns when they have been loaded.
    """

    def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        if _writing.get() and "ObjectTagging" in event_name:
            return
        if bucket.notification_configuration is not None:
            ready()
            _by_moto(account_id, event_name, bucket, key)
            notified()

    notifications.send_event = send_event
    notifications._send_event_bridge_message = _send  # type: ignore[assignment]  # names differ


def event(account: str, bucket: Any, event_name: Any, key: Any) -> dict[str, Any]:
    """The event as EventBridge matches and delivers it. Source: "Object Created" in the guide."""
    name = str(getattr(event_name, "value", event_name))
    thing = {
        "key": key.name,
        "size": key.size,
        "etag": key.etag.replace('"', ""),
        "sequencer": f"{next(_sequence):016X}",
    }
    if str(key.version_id) != "null":
        thing["version-id"] = key.version_id
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": notifications._detail_type(name),
        "source": "aws.s3",
        "account": account,
        "time": time.time(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": thing,
            "request-id": uuid.uuid4().hex[:16].upper(),
            "requester": account,
            "source-ip-address": "127.0.0.1",
            **({"reason": _REASONS[name]} if name in _REASONS else {}),
        },
    }


def _send(account: str, bucket: Any, event_name: Any, key: Any) -> None:
    from moto.events.models import events_backends

    told: Any = event(account, bucket, event_name, key)
    try:
        buses = events_backends[account][bucket.region_name].event_buses
        for rule in list(buses["default"].rules.values()):  # the one that AWS's own events go to
            rule.send_to_targets(told, transform_input=False)
    except Exception:  # the object is written: what it sets off must not undo that
        log.exception("the event of s3://%s/%s was not delivered", bucket.name, key.name)

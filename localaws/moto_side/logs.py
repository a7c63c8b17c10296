"""moto's log streams as rows of their own, so that a job's ten thousand lines are written once.

The classes here take the place of moto's (`install`). A group's settings are part of the snapshot;
its streams are not: each save appends the events that came since the last one. A row names its
group by a number that a deleted and remade group does not share.
"""

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import moto.logs.models as models

from localaws.moto_side import pickles
from localaws.moto_side.journal import Journal, LogBatch


class Group(models.LogGroup):
    """A log group, pickled without its streams."""

    def __init__(self, account_id: str, region: str, name: str, **kwargs: Any) -> None:
        super().__init__(account_id, region, name, **kwargs)
        self.kms_key_id = kwargs.get("kmsKeyId") or kwargs.get("KmsKeyId")
        self.identity = uuid.uuid4().hex
        waiting.group_made()

    def get_cfn_attribute(self, attribute_name: str) -> str:
        arn = super().get_cfn_attribute(attribute_name)
        return f"{arn}:*"  # as CloudFormation gives it

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "streams": {}}

    def create_log_stream(self, log_stream_name: str) -> None:
        super().create_log_stream(log_stream_name)
        waiting.note(self.streams[log_stream_name])

    def delete_log_stream(self, log_stream_name: str) -> None:
        stream = self.streams.get(log_stream_name)
        super().delete_log_stream(log_stream_name)
        if stream is not None:
            waiting.forget(stream)


class Stream(models.LogStream):
    """A log stream that notes new events, and how many of them are written."""

    log_group: Group

    def __init__(self, log_group: Group, name: str) -> None:
        super().__init__(log_group, name)
        self.identity = uuid.uuid4().hex
        self.written = 0

    def put_log_events(self, log_events: list[dict[str, Any]]) -> str:
        token = super().put_log_events(log_events)
        waiting.note(self)
        return token

    def settings(self) -> dict[str, Any]:
        """The attributes other than the group and the events."""
        left_out = ("log_group", "events", "written")
        return {name: value for name, value in vars(self).items() if name not in left_out}


class _Waiting:
    """The streams with events that are not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, Stream] = {}
        self._gone: set[str] = set()
        self.group_made: Callable[[], Any] = lambda: None

    def note(self, stream: Any) -> None:
        with self._lock:
            self._changed[stream.identity] = stream

    def forget(self, stream: Any) -> None:
        with self._lock:
            self._changed.pop(stream.identity, None)
            self._gone.add(stream.identity)

    def take(self) -> tuple[list[Stream], set[str]]:
        with self._lock:
            changed, self._changed = list(self._changed.values()), {}
            gone, self._gone = self._gone, set()
        return changed, gone

    @property
    def empty(self) -> bool:
        return not self._changed and not self._gone


waiting = _Waiting()


def install(group_made: Callable[[], Any]) -> None:
    """Puts these classes in the place of moto's; `group_made` is told of each new group."""
    models.LogGroup = Group  # type: ignore[misc]  # moto looks them up by name
    models.LogStream = Stream  # type: ignore[misc,assignment]
    waiting.group_made = group_made
    waiting.take()


def save(journal: Journal) -> None:
    """Appends what came since the last save."""
    changed, gone = waiting.take()
    rows: list[LogBatch] = []
    for stream in changed:
        count = len(stream.events)
        new = stream.events[stream.written : count]
        text = json.dumps([[e.ingestion_time, e.timestamp, e.message] for e in new])
        group = stream.log_group
        settings = pickles.dumps(
            (stream.settings(), group.account_id, group.region, group.name, group.identity)
        )
        rows.append((stream.identity, stream.written, settings, text))
        stream.written = count
    if rows or gone:
        journal.write_logs(rows, gone)


def load(journal: Journal) -> None:
    """Puts the streams back into their groups, and drops those whose group is gone."""
    orphans: set[str] = set()
    for identity, settings, batches in journal.logs():
        attributes, account, region, name, group_identity = pickles.loads(settings)
        group = models.logs_backends[account][region].groups.get(name)
        if not isinstance(group, Group) or group.identity != group_identity:
            orphans.add(identity)
            continue
        stream: Any = Stream.__new__(Stream)
        vars(stream).update(attributes, log_group=group)
        stream.events = [
            models.LogEvent(ingested, {"timestamp": timestamp, "message": message})
            for batch in batches
            for ingested, timestamp, message in json.loads(batch)
        ]
        stream.written = len(stream.events)
        group.streams[stream.log_stream_name] = stream
    if orphans:
        journal.write_logs([], orphans)

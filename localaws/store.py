"""The records of our own services, in one SQLite file that survives a kill.

A record is a JSON object with a kind (`training-job`, `model-package` …) and a key that is unique
within the kind. A write is on its way to the disk when the call returns (write-ahead log), so after
`kill -9` every finished call is there; a machine that loses power may lose the last one.
"""

import datetime
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Store:
    """Records by kind and key. Safe to use from several threads; one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, body TEXT NOT NULL,"
            " number INTEGER PRIMARY KEY AUTOINCREMENT, UNIQUE (kind, key))"
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen, or none; other threads wait. May be nested."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._database.execute("BEGIN IMMEDIATE")
                yield
                if self._depth == 1:
                    self._database.execute("COMMIT")
            except BaseException:  # whatever it is: taken back, and raised again
                if self._depth == 1:
                    self._database.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def get(self, kind: str, key: str) -> Record | None:
        """The record, or None."""
        with self._lock:
            row = self._database.execute(
                "SELECT body FROM records WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
        return _decode(row[0]) if row else None

    def put(self, kind: str, key: str, record: Record) -> None:
        """Writes the record, over an older one with the same key."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO records (kind, key, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key, json.dumps(record, default=_encode_datetime)),
            )

    def update(self, kind: str, key: str, **changes: Any) -> Record:
        """Changes members of a record and returns it whole. KeyError when it is not there."""
        with self.transaction():
            record = self.get(kind, key)
            if record is None:
                raise KeyError(f"no {kind} {key!r}")
            record.update(changes)
            self.put(kind, key, record)
        return record

    def delete(self, kind: str, key: str) -> None:
        """Removes the record if it is there."""
        with self.transaction():
            self._database.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))

    def all(self, kind: str, prefix: str = "") -> list[Record]:
        """The records of a kind whose key starts with `prefix`, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT body FROM records WHERE kind = ? AND substr(key, 1, ?) = ? ORDER BY number",
                (kind, len(prefix), prefix),
            ).fetchall()
        return [_decode(row[0]) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many records there are of each kind."""
        with self._lock:
            rows = self._database.execute("SELECT kind, count(*) FROM records GROUP BY kind")
            return dict(rows.fetchall())

    def close(self) -> None:
        with self._lock:
            self._database.close()


def _encode_datetime(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return {"$datetime": value.isoformat()}
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


def _decode(body: str) -> Record:
    record: Record = json.loads(body, object_hook=_restore_datetime)
    return record


def _restore_datetime(value: dict[str, Any]) -> Any:
    if value.keys() == {"$datetime"}:
        return datetime.datetime.fromisoformat(value["$datetime"])
    return value

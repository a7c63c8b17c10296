"""The durable side of moto's state: one SQLite file with a row an object and a row a snapshot.

Whatever changes an object notes it here with `touch`; at the end of the `change` around it the
records of all noted objects are written in one transaction, and then the bytes that nothing refers
to any more are removed. The records are with the operating system then, so they outlive a
`kill -9`.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localaws.moto_side.blobs import Blob, Blobs

Touched = tuple[str, str, str]  # kind (bucket, object, upload), bucket, key or upload id
LogBatch = tuple[str, int, bytes, str]  # stream, number of the first event, settings, events


@dataclass
class _Changes:
    touched: set[Touched] = field(default_factory=set)
    discarded: list[Blob] = field(default_factory=list)


class Journal:
    """Notes changes and writes them. Safe to use from several threads."""

    def __init__(
        self,
        database: Path,
        blobs: Blobs,
        record: Callable[[str, str, str], bytes | None],
    ) -> None:
        self.blobs = blobs
        self._record = record
        self._thread = threading.local()
        self._loose = _Changes()  # noted outside of any `change`, by a thread of moto's own
        self._noting = threading.Lock()
        self._writing = threading.Lock()
        self._database = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS objects (kind TEXT, bucket TEXT, name TEXT,"
            " state BLOB NOT NULL, PRIMARY KEY (kind, bucket, name)) WITHOUT ROWID"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS snapshots (name TEXT PRIMARY KEY, state BLOB NOT NULL)"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS streams (stream TEXT PRIMARY KEY, settings BLOB NOT NULL)"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS events (stream TEXT, first INTEGER, body TEXT NOT NULL,"
            " PRIMARY KEY (stream, first)) WITHOUT ROWID"
        )

    @contextmanager
    def change(self) -> Iterator[None]:
        """What this thread notes inside is written together at the end, not half-way by another."""
        if getattr(self._thread, "changes", None) is not None:
            yield
            return
        changes = self._thread.changes = _Changes()
        try:
            yield
        finally:
            self._thread.changes = None
            self._flush(changes)

    def touch(self, kind: str, bucket: str, name: str) -> None:
        """Notes that a bucket, object or upload changed, appeared or went."""
        changes = getattr(self._thread, "changes", None)
        if changes is not None:
            changes.touched.add((kind, bucket, name))
            return
        with self._noting:
            self._loose.touched.add((kind, bucket, name))

    def discard(self, blob: Blob) -> None:
        """Notes that nothing will refer to a blob once the noted changes are written."""
        changes = getattr(self._thread, "changes", None)
        if changes is not None:
            changes.discarded.append(blob)
            return
        with self._noting:
            self._loose.discarded.append(blob)

    def flush(self) -> None:
        """Writes what was noted outside of any `change`."""
        with self._noting:
            changes, self._loose = self._loose, _Changes()
        self._flush(changes)

    def _flush(self, changes: _Changes) -> None:
        if changes.touched:
            with self._writing:
                self._write(changes.touched)
        for blob in changes.discarded:
            self.blobs.remove(blob)

    def _write(self, touched: set[Touched]) -> None:
        written, gone = [], []
        for change in touched:
            state = self._record(*change)
            if state is None:
                gone.append(change)
            else:
                written.append((*change, state))
        with self._transaction():
            self._database.executemany(
                "DELETE FROM objects WHERE kind = ? AND bucket = ? AND name = ?", gone
            )
            self._database.executemany("REPLACE INTO objects VALUES (?, ?, ?, ?)", written)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:  # whatever it is: taken back, and raised again
            self._database.execute("ROLLBACK")
            raise

    def rows(self, kind: str) -> list[tuple[str, str, bytes]]:
        """Every row of a kind, as (bucket, name, state)."""
        return self._database.execute(
            "SELECT bucket, name, state FROM objects WHERE kind = ?", (kind,)
        ).fetchall()

    def count(self, kind: str) -> int:
        with self._writing:
            rows = self._database.execute("SELECT count(*) FROM objects WHERE kind = ?", (kind,))
            return int(rows.fetchone()[0])

    def put_snapshots(self, states: dict[str, bytes]) -> None:
        """Replaces the named snapshots, all or none."""
        with self._writing, self._transaction():
            self._database.executemany("REPLACE INTO snapshots VALUES (?, ?)", states.items())

    def snapshots(self) -> dict[str, bytes]:
        return dict(self._database.execute("SELECT name, state FROM snapshots").fetchall())

    def write_logs(self, batches: list[LogBatch], gone: set[str]) -> None:
        """Appends batches of log events, and removes the streams that are gone."""
        with self._writing, self._transaction():
            for stream, first, settings, body in batches:
                self._database.execute("REPLACE INTO streams VALUES (?, ?)", (stream, settings))
                self._database.execute(
                    "REPLACE INTO events VALUES (?, ?, ?)", (stream, first, body)
                )
            for table in ("streams", "events"):
                self._database.executemany(
                    f"DELETE FROM {table} WHERE stream = ?", [(stream,) for stream in gone]
                )

    def logs(self) -> Iterator[tuple[str, bytes, list[str]]]:
        """Each log stream: its identity, its settings and its batches in order."""
        streams = self._database.execute("SELECT stream, settings FROM streams").fetchall()
        for stream, settings in streams:
            batches = self._database.execute(
                "SELECT body FROM events WHERE stream = ? ORDER BY first", (stream,)
            )
            yield stream, settings, [body for (body,) in batches]

    def close(self) -> None:
        with self._writing:
            self._database.close()

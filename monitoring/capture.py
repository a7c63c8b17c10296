"""Reads captured records: JSON Lines files, plain or gzip, of some hours, as a stream.

    reading = read(Path("capture"), Window.parse(start, end), endpoint="scones-local")
    for record in reading: ...
    reading.counts, reading.problems

The files lie as SageMaker writes them, `<root>/<endpoint>/<variant>/yyyy/mm/dd/hh/*.jsonl`, or
anywhere else. A job may have more hours mounted than its window has, so the reader filters:

- a window of whole hours takes the files in the folders of its hours, as SageMaker's own does, so
  that a record of 10:00:03 in a file begun at 09:59:40 is read exactly once, with 09;
- any other window, and a file outside of such folders, goes by each record's `inferenceTime`.

Left out and counted: shadow traffic, records that are among the last half million (same `eventId`),
other endpoints' files.
Broken is a line that is no record, and a record with a half that is missing or cannot be decoded.
The latter is passed on all the same, since a record preprocessor makes a row with `decode_ok` 0 of
it. The first few are named with file and line; more than 1 % of them end the reading with an error.

Memory: one line, and the ids to know duplicates by: 12 MB at most (`seen`).
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from monitoring.flaws import HALVES, flaw
from monitoring.record import Record, RecordError
from monitoring.seen import Seen
from monitoring.window import HOUR, Window

__all__ = [
    "HALVES",
    "CaptureError",
    "Counts",
    "EmptyWindow",
    "Problem",
    "Reading",
    "Record",
    "TooManyBroken",
    "Window",
    "read",
]

BROKEN_SHARE = 0.01  # above it, the window says more about the capture than about the images
NAMED = 5  # problems that are kept
LINE_LIMIT = 64 << 20  # bytes; two bodies of 6 MiB in base64 or escaped JSON are far below
# A file may hold records later than its folder's hour. Real ones end about a minute after their
# first record; at what size AWS begins a new one is unconfirmed, hence the margin.
_SPILL = datetime.timedelta(minutes=10)
_HOUR = re.compile(
    r"(?:^|.*/)??(?:(?:(?P<endpoint>[^/]+)/)?(?P<variant>[^/]+)/)?"
    r"(?P<hour>\d{4}/\d{2}/\d{2}/\d{2})/[^/]+"
)


class CaptureError(Exception):
    """The captured records of a window cannot be analysed."""


class EmptyWindow(CaptureError):
    """There is no record in the window. Says where was looked; not a failure of the model."""


class TooManyBroken(CaptureError):
    """More than 1 % of the records are broken. Gives their count and names the first."""


class Problem(NamedTuple):
    """One broken line; `line` counts from 1."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path} line {self.line}: {self.what}"


@dataclass
class Counts:
    """Of one reading. `records` were passed on; `broken` are among them or were no records."""

    files: int = 0
    records: int = 0
    broken: int = 0
    unreadable: int = 0  # those of the broken that could not be passed on
    duplicates: int = 0
    shadow: int = 0
    outside: int = 0  # records of other times, in files that were read
    other_files: int = 0  # files of other hours or endpoints, which were not read

    @property
    def broken_share(self) -> float:
        return self.broken / max(1, self.records + self.unreadable)


@dataclass
class Reading:
    """The records of one window. The counts are complete when the iteration has ended.

    Iterating raises, at its end, TooManyBroken or EmptyWindow; and OSError as files do.
    """

    sources: tuple[Path, ...]
    window: Window | None = None
    endpoint: str | None = None
    halves: Sequence[str] = HALVES
    counts: Counts = field(default_factory=Counts)
    problems: list[Problem] = field(default_factory=list)

    def __iter__(self) -> Iterator[Record]:
        self.counts, self.problems = Counts(), []
        seen = Seen()
        for place in self._files():
            self.counts.files += 1
            by_time = self.window if place.by_time else None
            for number, line in enumerate(_lines(place.path), 1):
                record = self._record(place.path, number, line, by_time, seen)
                if record is not None:
                    self.counts.records += 1
                    yield record
        if self.counts.broken_share > BROKEN_SHARE:
            raise TooManyBroken(self.broken_sentence())
        if not self.counts.records:
            raise EmptyWindow(self.empty_sentence())

    def broken_sentence(self) -> str:
        """How many records are broken, and the first of them."""
        total = self.counts.records + self.counts.unreadable
        named = "; ".join(map(str, self.problems))
        return (
            f"{self.counts.broken} of {total} captured records are broken "
            f"({self.counts.broken_share:.2%}; more than {BROKEN_SHARE:.0%} is too many): {named}"
        )

    def empty_sentence(self) -> str:
        """Where was looked, for what, and what was there instead."""
        hours = self.window.prefixes() if self.window else []
        looked = ", ".join(hours if len(hours) <= 4 else [*hours[:2], "…", hours[-1]])
        where = " and ".join(map(str, self.sources))
        missing = [str(source) for source in self.sources if not source.exists()]
        counts = self.counts
        return (
            f"No captured record below {where}"
            + (f" of endpoint {self.endpoint!r}" if self.endpoint else "")
            + (f" in {self.window} (hours {looked})" if self.window else "")
            + f": {counts.files} files read, {counts.other_files} of other hours or endpoints, "
            f"{counts.outside} records of other times, {counts.shadow} of shadow traffic. "
            + (f"There is no {' and no '.join(missing)}. " if missing else "")
            + "Was there traffic, is data capture on, and may the endpoint's role write there?"
        )

    def _record(
        self, path: Path, number: int, line: bytes | _Cut, window: Window | None, seen: Seen
    ) -> Record | None:
        """The line's record if it belongs to the reading; counts what it finds."""
        try:
            record = _parsed(line)
            if record is None:
                return None
            outside = window is not None and record.time not in window
        except RecordError as error:
            self.counts.unreadable += 1
            self._broken(path, number, str(error))
            return None
        if record.shadow:
            self.counts.shadow += 1
        elif outside:
            self.counts.outside += 1
        elif not seen.add(record.event_metadata.event_id):
            self.counts.duplicates += 1
        else:
            found = flaw(record, self.halves)
            if found:
                self._broken(path, number, found)
            return record
        return None

    def _broken(self, path: Path, number: int, what: str) -> None:
        self.counts.broken += 1
        if len(self.problems) < NAMED:
            self.problems.append(Problem(str(path), number, what))

    def _files(self) -> Iterator[_Place]:
        """The files to read, in the order of their hours."""
        found = (place for source in self.sources for place in _places(source, self.window))
        for place in sorted(found, key=lambda place: (place.hour or "", str(place.path))):
            other = self.endpoint and place.endpoint not in (None, self.endpoint)
            if other or not place.wanted:
                self.counts.other_files += 1
            else:
                yield place


def read(
    sources: Path | Iterable[Path],
    window: Window | None = None,
    *,
    endpoint: str | None = None,
    halves: Sequence[str] = HALVES,
) -> Reading:
    """The records below `sources` (files or folders) in `window`; all of them without one.

    `endpoint` leaves out what lies in another endpoint's folders. `halves` are those that each
    record must have: those that are captured, as `captureIndexNames` in a job's environment.
    """
    paths = (sources,) if isinstance(sources, Path) else tuple(sources)
    return Reading(paths, window, endpoint, tuple(halves))


class _Place(NamedTuple):
    """A file, what its folders say of it, and how the window applies to it."""

    path: Path
    endpoint: str | None
    hour: str | None
    wanted: bool
    by_time: bool


class _Cut(NamedTuple):
    """Stands for what could not be read from a file."""

    what: str


def _places(source: Path, window: Window | None) -> Iterator[_Place]:
    single = source.is_file()
    for path in [source] if single else source.rglob("*.jsonl*"):
        if not path.is_file():
            continue
        match = _HOUR.fullmatch((source if single else path.relative_to(source)).as_posix())
        endpoint, hour = match.group("endpoint", "hour") if match else (None, None)
        yield _Place(path, endpoint, hour, *_judged(hour, window))


def _judged(hour: str | None, window: Window | None) -> tuple[bool, bool]:
    """Whether a file is wanted, and whether its records are judged by their own time."""
    if window is None:
        return True, False
    try:
        start = datetime.datetime.strptime(f"{hour} +0000", "%Y/%m/%d/%H %z")
    except ValueError:  # no such folder, or one like 2026/13/45/99
        return True, True
    if window.whole_hours:
        return start in window, False
    return start < window.end and window.start < start + HOUR + _SPILL, True


def _parsed(line: bytes | _Cut) -> Record | None:
    """The record; None for a blank line. Raises RecordError."""
    if isinstance(line, _Cut):
        raise RecordError(line.what)
    if not line.strip():
        return None
    try:
        return Record(json.loads(line))
    except RecordError:
        raise
    except (ValueError, RecursionError):
        cut = "" if line.endswith(b"\n") else ", and the file ends in the middle of it"
        raise RecordError(f"the line is no JSON{cut}") from None


def _lines(path: Path) -> Iterator[bytes | _Cut]:
    """The lines of a file; a `_Cut` for one that is too long, and where a gzip file breaks off."""
    with open(path, "rb", buffering=1 << 20) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: BinaryIO = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            while line := file.readline(LINE_LIMIT):
                if len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                    while len(rest := file.readline(LINE_LIMIT)) == LINE_LIMIT:
                        if rest.endswith(b"\n"):
                            break
                    yield _Cut(f"the line is longer than {LINE_LIMIT >> 20} MiB")
                else:
                    yield line
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield _Cut("the gzip file is damaged or cut off here")

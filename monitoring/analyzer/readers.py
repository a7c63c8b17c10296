"""The dataset as chunks of columns, whatever its format.

CSV and JSON Lines are read file by file in the order of their names, plain or gzip. CSV keeps each
value's text (its types are inferred from it) and is parsed by Arrow, a block at a time. A line with
too many or too few fields is counted and left out; above 1 % of them the reading fails.

Captured and merged records come from `monitoring.capture`, and become rows in `monitoring.analyzer.
records`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import csv as arrow_csv

from monitoring.analyzer import chunk, records
from monitoring.analyzer.chunk import Chunk, Row
from monitoring.analyzer.preprocessor import Preprocessor
from monitoring.analyzer.settings import AnalyzerError, Json, Settings
from monitoring.capture import BROKEN_SHARE, NAMED

_LOG = logging.getLogger(__name__)

# Of CSV that is parsed at once, and the longest row. Arrow reads 32 blocks ahead, which count.
BLOCK_BYTES = 256 << 10


class Broken:
    """Counts the lines that could not be read, and names the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    def add(self, where: str, what: str) -> None:
        """One more."""
        self.count += 1
        if len(self._named) < NAMED:
            self._named.append(f"{where}: {what}")

    def judge(self, good: int) -> None:
        """Raises AnalyzerError when more than 1 % of the lines are broken; logs fewer."""
        if not self.count:
            return
        total = self.count + good
        sentence = f"{self.count} of {total} lines are broken: {'; '.join(self._named)}"
        if self.count > BROKEN_SHARE * total:
            raise AnalyzerError(f"{sentence} (more than {BROKEN_SHARE:.0%} is too many).")
        _LOG.warning("%s; they are left out.", sentence)


def read(settings: Settings) -> Iterator[Chunk]:
    """The chunks of the dataset. Raises AnalyzerError, and CaptureError for captured records."""
    script = settings.file("record_preprocessor_script")
    preprocessor = Preprocessor(script) if script else None
    name = settings.format_name
    if name == "parquet":
        raise AnalyzerError("dataset_format parquet is not supported: use csv or json.")
    if name in ("sagemakerCaptureJson", "sagemakerMergeJson"):
        chunks = _rows_to_chunks(records.rows(settings, preprocessor), preprocessor is not None)
    elif name == "json":
        chunks = _rows_to_chunks(_json_rows(settings, preprocessor))
    elif preprocessor:
        chunks = _rows_to_chunks(_csv_rows(settings, preprocessor))
    else:
        chunks = _csv(settings)
    excluded = settings.excluded
    for one in chunks:
        for position, name in enumerate([*one.columns]):
            if name in excluded or str(position) in excluded:
                del one.columns[name]
        yield one


def files(source: Path) -> list[Path]:
    """The data files at or below `source`, by name; hidden ones are no data."""
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.is_file())
    return [path for path in found if not path.name.startswith((".", "_"))]


def _rows_to_chunks(rows: Iterator[Row], is_json: bool = True) -> Iterator[Chunk]:
    """Rows that are read back as JSON have their columns sorted by name."""
    for batch in chunk.batches(rows):
        yield chunk.of_rows(batch, None if is_json else [*{key: 0 for row in batch for key in row}])


def _csv(settings: Settings) -> Iterator[Chunk]:
    """CSV without a preprocessor: `_c0`, `_c1`, … where there is no header."""
    header = bool(settings.format_options.get("header", False))
    broken, rows = Broken(), 0
    names: list[str] | None = None
    for path in files(settings.dataset_source):
        if not path.stat().st_size:
            continue
        try:
            for batch in _batches(path, header, broken):
                if names is None:
                    names = list(batch.schema.names)
                elif names != batch.schema.names:
                    raise AnalyzerError(
                        f"{path} has the columns {', '.join(batch.schema.names)}, but the files "
                        f"before it have {', '.join(names)}."
                    )
                rows += batch.num_rows
                yield chunk.of_batch(batch)
        except (pa.ArrowInvalid, csv.Error, UnicodeDecodeError, OSError, EOFError) as error:
            what = str(error)
            if "straddling" in what:
                what = f"a row is longer than {BLOCK_BYTES >> 10} KiB (is a quote left open?)"
            raise AnalyzerError(f"{path} cannot be read as CSV: {what}.") from error
    broken.judge(rows)


def _batches(path: Path, header: bool, broken: Broken) -> Iterator[Any]:
    """The record batches of one file, all columns as strings, an empty field as null."""

    def skip(row: Any) -> str:
        counts = f"{row.actual_columns} fields instead of {row.expected_columns}"
        broken.add(str(path), f"{counts}: {row.text[:80]}")
        return "skip"

    names = _names(path, header)
    with _opened(path) as stream:
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                column_names=names,
                skip_rows_after_names=int(header),  # a whole row, with its line breaks
                block_size=BLOCK_BYTES,
                use_threads=False,
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield from reader


def _names(path: Path, header: bool) -> list[str]:
    """The columns' names, from the first row. Raises AnalyzerError, and what readers raise."""
    with io.TextIOWrapper(_opened(path), "utf-8-sig", newline="") as stream:
        names = next(filter(None, csv.reader(stream)), [])
    if not header:
        return [f"_c{position}" for position in range(len(names))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise AnalyzerError(f"{path}: its header names {', '.join(sorted(twice))} more than once.")
    return names


def _opened(path: Path) -> BinaryIO:
    """The file's bytes, unpacked when it is gzip."""
    stream = open(path, "rb")  # noqa: SIM115 - handed to the caller, who closes it
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    return cast(BinaryIO, gzip.open(stream)) if packed else stream


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, with its place."""
    with _opened(path) as stream:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text.strip():
                yield f"{path} line {number}", text


def _json_rows(settings: Settings, preprocessor: Preprocessor | None) -> Iterator[Row]:
    """JSON Lines: one object a line. With `"lines": false` a file holds a list of objects."""
    broken, rows = Broken(), 0
    options = settings.format_options
    as_lines = bool(options.get("lines", options.get("line", True)))  # "Line" in the API
    for path in files(settings.dataset_source):
        for where, value in _json_lines(path, broken) if as_lines else _json_list(path):
            if not isinstance(value, dict):
                broken.add(where, "no JSON object")
                continue
            rows += 1
            yield from preprocessor.rows(value, where) if preprocessor else [value]
    broken.judge(rows)


def _json_lines(path: Path, broken: Broken) -> Iterator[tuple[str, Any]]:
    for where, text in _lines(path):
        try:
            yield where, json.loads(text)
        except (ValueError, RecursionError):
            broken.add(where, "no JSON")


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with _opened(path) as stream:
            value: list[Json] | Json = json.load(stream)
    except (ValueError, OSError) as error:
        raise AnalyzerError(f"{path} cannot be read as JSON: {error}.") from error
    for number, one in enumerate(value if isinstance(value, list) else [value], 1):
        yield f"{path} object {number}", one


def _csv_rows(settings: Settings, preprocessor: Preprocessor) -> Iterator[Row]:
    """CSV with a preprocessor, which gets each raw line."""
    header = bool(settings.format_options.get("header", False))
    for path in files(settings.dataset_source):
        for number, (where, text) in enumerate(_lines(path)):
            if number or not header:
                yield from preprocessor.rows(text, where)

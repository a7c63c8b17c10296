"""Captured and merged records as rows: through the preprocessor, or as the analyzer alone does it.

Without a preprocessor all halves of a record must have one encoding. CSV becomes `_c0`, `_c1`, …,
the output's columns first; a body of several lines becomes one column, as was measured on AWS. In
merged records the names are `groundTruthData_0`, `endpointOutput_0`, ….
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator
from typing import Any

from monitoring import capture
from monitoring.analyzer.chunk import Row
from monitoring.analyzer.preprocessor import Preprocessor
from monitoring.analyzer.settings import AnalyzerError, Settings
from monitoring.features import features
from monitoring.record import Part, Record

_LOG = logging.getLogger(__name__)


def rows(settings: Settings, preprocessor: Preprocessor | None) -> Iterator[Row]:
    """One row a record, or what the preprocessor makes of it, in the settings' window.

    Raises: AnalyzerError; CaptureError for an empty window and for too many broken records.
    """
    merged = settings.format_name == "sagemakerMergeJson"
    names = settings.index_names
    reading = capture.read(
        settings.dataset_source,
        settings.window,
        endpoint=settings.get("sagemaker_endpoint_name"),
        halves=tuple(names),
    )
    if preprocessor and preprocessor.is_ours:
        yield from features(reading)  # the same rows, faster
    else:
        for number, record in enumerate(reading, 1):
            if preprocessor:
                where = f"record {number} ({record.event_metadata.event_id})"
                yield from preprocessor.rows(record, where)
            else:
                yield _row(record, names, merged)
    counts = reading.counts
    _LOG.info("Read %d records of %d files.", counts.records, counts.files)
    if counts.broken:
        _LOG.warning(
            "%d of the records are broken: %s", counts.broken, "; ".join(map(str, reading.problems))
        )


def _row(record: Record, names: list[str], merged: bool) -> Row:
    halves = {
        "endpointInput": record.endpoint_input,
        "endpointOutput": record.endpoint_output,
        "batchTransformOutput": record.batch_transform_output,
    }
    parts = {name: part for name in names if (part := halves[name]) is not None}
    encodings = {name: part.encoding for name, part in parts.items()}
    _same_encoding(encodings)
    if not merged:
        values = [value for part in parts.values() for value in _values(part).values()]
        # [I] JSON objects keep their own names; everything else is numbered.
        if "JSON" in encodings.values():
            return {key: value for part in parts.values() for key, value in _values(part).items()}
        return {f"_c{position}": value for position, value in enumerate(values)}
    if record.ground_truth is not None:
        parts = {"groundTruthData": record.ground_truth, **parts}
    return {
        f"{name}_{key.removeprefix('_c')}": value
        for name, part in parts.items()
        for key, value in _values(part).items()
    }


def _same_encoding(encodings: dict[str, Any]) -> None:
    """The analyzer's own check, with its words (issue 2785 of the SageMaker Python SDK)."""
    if len(set(encodings.values())) < 2:
        return
    order = sorted(encodings.items())  # endpointInput is named first
    (one, first), (other, second) = order[0], order[-1]
    raise AnalyzerError(
        f"Error: Encoding mismatch: Encoding is {first} for {one}, but Encoding is {second} for "
        f"{other}. We currently only support the same type of input and output encoding at the "
        "moment."
    )


def _values(part: Part) -> dict[str, Any]:
    """The values of one half: CSV fields, or the members of a JSON object or list."""
    data = part.data if isinstance(part.data, str) else ""
    if part.encoding == "CSV":
        text = data.rstrip("\r\n")
        fields = [text] if "\n" in text else next(csv.reader([text]), [])
        return {f"_c{position}": field or None for position, field in enumerate(fields)}
    if part.encoding == "JSON":
        try:
            return _flat(json.loads(data))
        except ValueError:
            return {"_c0": None}
    # Base64 alone means that both halves are; the analyzer then sees the text as one column. [I]
    return {"_c0": data or None}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A JSON value with nested names joined by underscores. [?] AWS's names are not documented."""
    if isinstance(value, dict):
        named = value.items()
    elif isinstance(value, list):
        named = {
            f"_c{position}" if not prefix else str(position): one
            for position, one in enumerate(value)
        }.items()
    else:
        return {prefix or "_c0": value}
    found: dict[str, Any] = {}
    for name, one in named:
        found |= _flat(one, f"{prefix}_{name}" if prefix else str(name))
    return found

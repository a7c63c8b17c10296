"""Labels: written for an inference, and joined with what was captured of it.

    {prefix}/yyyy/mm/dd/hh/{uuid}.jsonl        the hour (UTC) in which the label was collected

    {"groundTruthData":{"data":"1","encoding":"CSV"},"eventMetadata":{"eventId":"…"},
     "eventVersion":"0"}

`eventId` is the inference id that the caller of the endpoint chose, or else the captured event's.
A label is the number of its class. Merged records are captured records with `groundTruthData` at
their top, as Model Monitor's own merge job writes them.

Who labelled, and whether that corrects an earlier label, stands in the object's metadata (`by`,
`correction`), where a merge job does not look. For monitoring the last label counts. A model must
not learn from a doubtful one: see `scones/labelled.py`.

Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-merge.html
"""

from __future__ import annotations

import contextlib
import datetime
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from monitoring.record import Json, Record
from monitoring.record_preprocessor import CLASSES
from monitoring.window import Window

NAMED = 5  # problems that are kept
_NO_LABEL = (ValueError, KeyError, TypeError, RecursionError)  # what a line raises that is none


class GroundTruthError(ValueError):
    """The label cannot be written; says why."""


class Label(NamedTuple):
    """The true class of one inference: its id, and the class's number as text."""

    inference_id: str
    data: str


def label_line(inference_id: str, class_name: str) -> bytes:
    """The line for one label. Raises GroundTruthError for an unknown class or an empty id."""
    if class_name not in CLASSES:
        known = " or ".join(CLASSES)
        raise GroundTruthError(f"There is no class {class_name!r}; the label must be {known}.")
    if not 1 <= len(inference_id) <= 64:
        raise GroundTruthError(f"An inference id has 1 to 64 characters, not {inference_id!r}.")
    line = {
        "groundTruthData": {"data": str(CLASSES.index(class_name)), "encoding": "CSV"},
        "eventMetadata": {"eventId": inference_id},
        "eventVersion": "0",
    }
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8") + b"\n"


def write_labels(
    labels: Iterable[tuple[str, str]],
    bucket: str,
    prefix: str,
    s3: Any,
    now: datetime.datetime,
    *,
    by: str = "",
    correction: bool = False,
) -> str:
    """Puts labels, `(inference id, class name)`, into one new object; returns its key.

    All of them are checked first: nothing is written when one is wrong.
    """
    body = b"".join(label_line(inference_id, name) for inference_id, name in labels)
    if not body:
        raise GroundTruthError("There is no label to write.")
    hour = now.astimezone(datetime.UTC)
    folder = "/".join(part for part in prefix.split("/") if part)  # a double slash would hide it
    key = f"{folder}/{hour:%Y/%m/%d/%H}/{hour:%M-%S}-{uuid.uuid4()}.jsonl".lstrip("/")
    metadata = {"by": by.encode("ascii", "replace").decode()} if by else {}
    if correction:
        metadata["correction"] = "true"
    s3.put_object(
        Bucket=bucket, Key=key, Body=body, ContentType="application/jsonlines", Metadata=metadata
    )
    return key


def labels_of(body: bytes) -> Iterator[Label]:
    """The labels in one object, in their order; lines that are none are passed over."""
    for line in body.splitlines():
        with contextlib.suppress(*_NO_LABEL):
            yield _label(json.loads(line))


@dataclass
class Labels:
    """The labels of some hours, the last collected one of each inference.

    `contradicted` counts inferences whose labels differ; `broken` lines are named in `problems`.
    """

    by_id: dict[str, Label] = field(default_factory=dict)
    lines: int = 0
    broken: int = 0
    contradictions: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def contradicted(self) -> int:
        return len(self.contradictions)

    def add(self, label: Label) -> None:
        before = self.by_id.get(label.inference_id)
        if before is not None and before.data != label.data:
            self.contradictions.add(label.inference_id)
        self.by_id[label.inference_id] = label


def read_labels(folder: Path, window: Window | None = None) -> Labels:
    """Those below `folder`, from the hours of `window` where one is given.

    "Last" is by the hour's folder, then the file's name (which begins with minute and second), then
    the line. A folder without labels gives none: no labels is no error.
    """
    hours = set(window.prefixes()) if window else None
    labels = Labels()
    for path in sorted(folder.rglob("*.jsonl"), key=lambda path: path.relative_to(folder).parts):
        hour = "/".join(path.relative_to(folder).parts[-5:-1])
        if hours is None or hour in hours:
            _read(path, labels)
    return labels


def _read(path: Path, labels: Labels) -> None:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            labels.lines += 1
            try:
                labels.add(_label(json.loads(line)))
            except _NO_LABEL:
                labels.broken += 1
                if len(labels.problems) < NAMED:
                    labels.problems.append(f"{path} line {number}: it is no label")


def _label(event: Any) -> Label:
    data, encoding = event["groundTruthData"]["data"], event["groundTruthData"]["encoding"]
    inference_id = event["eventMetadata"]["eventId"]
    if encoding != "CSV" or not isinstance(data, str) or not isinstance(inference_id, str):
        raise ValueError("Ground truth is CSV text for an id.")
    if not data.strip() or "," in data or "\n" in data.strip():
        raise ValueError("Ground truth is one value.")
    return Label(inference_id, data.strip())


@dataclass
class Merged:
    """Captured records with their labels. The counts are complete when the iteration has ended.

    `labelled` records are passed on; `unlabelled` ones are not. `unknown` labels are for inferences
    that were not among the records, be they of another hour or mistaken. No label at all is said by
    `labelled == 0`; what Model Monitor's merge job does then is fail.
    """

    records: Iterable[Record]
    labels: Labels
    labelled: int = 0
    unlabelled: int = 0
    unknown: int = 0

    def __iter__(self) -> Iterator[Record]:
        self.labelled = self.unlabelled = 0
        used: set[str] = set()
        for record in self.records:
            label = self.labels.by_id.get(record.join_id)
            if label is None:
                self.unlabelled += 1
                continue
            self.labelled += 1
            used.add(label.inference_id)
            yield merged(record, label)
        self.unknown = len(self.labels.by_id) - len(used)


def merge(records: Iterable[Record], labels: Labels) -> Merged:
    """Joins on the caller's inference id where the record has one, else on its event id."""
    return Merged(records, labels)


def merged(record: Record, label: Label) -> Record:
    """The record with its label at the top. (Where among its members AWS puts it: unconfirmed.)"""
    event: Json = {
        **record.event_dict,
        "groundTruthData": {"data": label.data, "encoding": "CSV"},
    }
    return Record(event)


def write_merged(records: Iterable[Record], path: Path) -> int:
    """Writes records as JSON Lines, whole or not at all; returns their number."""
    part, count = path.with_name(path.name + ".part"), 0
    try:
        with open(part, "w", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record.event_dict, separators=(",", ":")) + "\n")
                count += 1
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count

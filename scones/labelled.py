"""Every image that somebody has labelled, as one set that a training run can be given.

    ground-truth/…      what stands of the labels of each inference
        ▼
    the image           of the set before, else of its review record, else as it was captured
        ▼
    labelled/<sha256 of the list>/labelled.jsonl, *.png, *.jpg      and labelled/newest.json

The set is named by its contents: the same labels give the same address, so the steps of a run with
nothing new are cached, and each run can be done again with what it had. The set before saves the
looking, and keeps images whose capture has expired since.

Which labels stand: a repeated label is one label; one that differs is a contradiction, and both go
into the set, where Prepare quarantines them; a correction (`scones label --correct`) takes the
place of all before it. A label whose image nobody knows goes in too, with that for a reason. What
can be learned from an image, and whether it is one, Prepare decides; nothing is left out here.
"""

import datetime
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from monitoring import ground_truth
from monitoring.record_preprocessor import CLASSES
from scones.answered import LATE, UNKNOWN, Answered, Images
from steps.labelled import FORMAT, LIST

PREFIX, NEWEST = "labelled/", "labelled/newest.json"

_AT_ONCE = 16  # requests; a label is an object of its own
Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One label of one inference: which class, who said so, when, and where that is written."""

    inference_id: str
    label: str
    by: str
    at: datetime.datetime
    url: str
    correction: bool


@dataclass(frozen=True)
class LabelledSet:
    """A set in S3: its address, how many labels stand, and how many of them have an image."""

    url: str
    labels: int
    images: int


def gather(
    bucket: str, endpoint_name: str, s3: Any, *, now: datetime.datetime, side: int
) -> LabelledSet:
    """Makes the set of all labels so far, unless it is there.

    `side`: pixels a side of the workflow's pictures of large photos.
    """
    stand = standing(collected(bucket, s3))
    before = _before(bucket, s3)
    with tempfile.TemporaryDirectory(prefix="labelled-") as temporary:
        images = Images(bucket, endpoint_name, s3, Path(temporary), side)
        wanted = {
            one.inference_id: one.at
            for one in stand
            # What could not be found in the week after its label will not be found any more.
            if one.inference_id not in before
            or ("problem" in before[one.inference_id] and now - one.at < LATE)
        }
        found = images.of(wanted)
        rows = [_row(one, found.get(one.inference_id), before) for one in stand]
        return _write(bucket, rows, Path(temporary), _home(bucket, before), s3)


def collected(bucket: str, s3: Any) -> list[Said]:
    """All labels in the order of their collection; of one second, corrections come last."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="ground-truth/")
    items = [item for page in pages for item in page.get("Contents", []) if item["Size"]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = pool.map(lambda item: list(_said(bucket, item["Key"], s3)), items)
        found = [one for several in read for one in several]
    return sorted(found, key=lambda one: (one.at, one.correction, one.url))


def _said(bucket: str, key: str, s3: Any) -> Iterator[Said]:
    answer = s3.get_object(Bucket=bucket, Key=key)
    metadata, url = answer["Metadata"], f"s3://{bucket}/{key}"
    for label in ground_truth.labels_of(answer["Body"].read()):
        if label.data in ("0", "1"):
            yield Said(
                inference_id=label.inference_id,
                label=CLASSES[int(label.data)],
                by=metadata.get("by", ""),
                at=answer["LastModified"],
                url=url,
                correction=metadata.get("correction") == "true",
            )


def standing(said: Iterable[Said]) -> list[Said]:
    """What stands of labels in their order: one of each class for an inference, by its id."""
    stand: dict[str, list[Said]] = {}
    for one in said:
        others = stand.setdefault(one.inference_id, [])
        if one.correction:
            others[:] = [one]
        elif all(other.label != one.label for other in others):
            others.append(one)
    return [one for inference_id in sorted(stand) for one in stand[inference_id]]


def _row(said: Said, found: Answered | None, before: dict[str, Json]) -> Json:
    """A line of the list: the label, and its image or why there is none."""
    image: Json = {"source": "none", "image_url": "", "problem": UNKNOWN}
    known = before.get(said.inference_id)
    if found:
        image = vars(found)
    elif known:
        kept = ("source", "image_url", "problem", "sha256", "file")
        image = {name: known[name] for name in kept if name in known}
    return {
        "inference_id": said.inference_id,
        "label": said.label,
        "by": said.by,
        "labelled_at": said.at.isoformat(),
        "label_url": said.url,
        **{name: value for name, value in image.items() if value or name == "image_url"},
    }


def _before(bucket: str, s3: Any) -> dict[str, Json]:
    """The rows of the newest set by their inference ids, with its own address as `home`."""
    newest = _read(bucket, NEWEST, s3)
    if newest is None:
        return {}
    home = json.loads(newest)["prefix"]
    _, *lines = (_read(bucket, home + LIST, s3) or _body([])).splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["inference_id"]: {**row, "home": home} for row in rows}


def _home(bucket: str, before: dict[str, Json]) -> str:
    """Where the images of the set before lie."""
    return next((str(row["home"]) for row in before.values()), "")


def _write(bucket: str, rows: list[Json], folder: Path, home: str, s3: Any) -> LabelledSet:
    """Puts the images, then the list: a set with a list is whole."""
    body = _body(rows)
    prefix = _prefix(body)
    files = {row["file"] for row in rows if "file" in row}
    if _read(bucket, prefix + LIST, s3) is None:
        for name in sorted(files):
            if (folder / name).is_file():
                s3.upload_file(str(folder / name), bucket, prefix + name)
            else:
                source = {"Bucket": bucket, "Key": home + name}
                s3.copy_object(Bucket=bucket, Key=prefix + name, CopySource=source)
    url = _put(bucket, body, s3)
    if rows:
        pointer = json.dumps({"prefix": prefix}).encode()
        s3.put_object(Bucket=bucket, Key=NEWEST, Body=pointer, ContentType="application/json")
    return LabelledSet(url, len(rows), sum("file" in row for row in rows))


def _put(bucket: str, body: bytes, s3: Any) -> str:
    prefix = _prefix(body)
    s3.put_object(Bucket=bucket, Key=prefix + LIST, Body=body, ContentType="application/jsonlines")
    return f"s3://{bucket}/{prefix}"


def _body(rows: list[Json]) -> bytes:
    lines = [json.dumps(row, sort_keys=True, ensure_ascii=False) for row in [FORMAT, *rows]]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _prefix(body: bytes) -> str:
    return f"{PREFIX}{hashlib.sha256(body).hexdigest()}/"


def _read(bucket: str, key: str, s3: Any) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return body

"""The images behind inferences: of their review records, or as the endpoint captured them.

A review record names the image in S3, and is one look-up; a captured record is found by reading the
capture of the week before the label, an object at a time and a line at a time. Either way the bytes
are those that the endpoint was sent.
"""

import contextlib
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from lambdas import serialize_image_data
from lambdas.deployment import VARIANT
from monitoring import capture
from monitoring.record_preprocessor import image_of
from monitoring.window import HOUR, Window

LATE = datetime.timedelta(days=7)  # a label may come so much later than its image
UNKNOWN = "No image of this inference is captured or kept for review: the id is wrong, or too old."
_SPILL = datetime.timedelta(minutes=5)  # a capture file may hold records later than its hour
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
NO_IMAGE = (
    serialize_image_data.ImageNotFound,
    serialize_image_data.ImageEmpty,
    serialize_image_data.ImageTooLarge,
    serialize_image_data.ImageTruncated,
    serialize_image_data.NotAnImage,
)


@dataclass(frozen=True)
class Answered:
    """An inference's image: where it comes from, and its file; or the problem with it."""

    source: str
    image_url: str
    sha256: str = ""
    file: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Images:
    """Finds images and leaves them in `folder`, named by their contents."""

    bucket: str
    endpoint_name: str
    s3: Any
    folder: Path
    side: int  # pixels a side of the workflow's pictures of large photos

    def of(self, wanted: Mapping[str, datetime.datetime]) -> dict[str, Answered]:
        """By inference id, what is found of those that were labelled at these times."""
        looked_up = {inference_id: self._reviewed(inference_id) for inference_id in wanted}
        found = {name: one for name, one in looked_up.items() if one}
        rest = {n: at for n, at in wanted.items() if n not in found or found[n].problem}
        return found | dict(self._captured(rest))

    def _reviewed(self, inference_id: str) -> Answered | None:
        record = review_record(self.bucket, inference_id, self.s3)
        if record is None:
            return None
        url = f"s3://{record['s3_bucket']}/{record['s3_key']}"
        try:
            image = picture(record, self.s3, self.side)
        except NO_IMAGE as error:
            return Answered("review", url, problem=f"no image: {error}")
        return self._kept("review", url, image)

    def _captured(self, wanted: Mapping[str, datetime.datetime]) -> Iterator[tuple[str, Answered]]:
        missing = set(wanted)
        for key in self._keys(wanted):
            if not missing:
                return
            path = self.folder / "captured.jsonl"
            self.s3.download_file(self.bucket, key, str(path))
            # Broken records are the monitor's business.
            with contextlib.suppress(capture.CaptureError):
                for record in capture.read(path):
                    image = record.join_id in missing and image_of(record.endpoint_input)
                    if image:
                        missing.discard(record.join_id)
                        url = f"s3://{self.bucket}/{key}"
                        yield record.join_id, self._kept("capture", url, image)
            path.unlink()

    def _keys(self, wanted: Mapping[str, datetime.datetime]) -> Iterator[str]:
        """The capture files in which the images can be, oldest first."""
        windows = (Window(at - LATE - _SPILL, at + HOUR) for at in wanted.values())
        hours = {hour for window in windows for hour in window.prefixes()}
        if not hours:
            return
        prefix = f"capture/{self.endpoint_name}/{VARIANT}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=prefix + min(hours)
        )
        for page in pages:
            for item in page.get("Contents", []):
                hour = item["Key"].removeprefix(prefix).rpartition("/")[0]
                if hour > max(hours):
                    return
                if hour in hours and item["Size"]:
                    yield item["Key"]

    def _kept(self, source: str, url: str, image: bytes) -> Answered:
        sha256 = hashlib.sha256(image).hexdigest()
        suffix = next((s for magic, s in _SUFFIXES.items() if image.startswith(magic)), ".bin")
        (self.folder / f"{sha256}{suffix}").write_bytes(image)
        return Answered(source, url, sha256, f"{sha256}{suffix}")


def review_record(bucket: str, inference_id: str, s3: Any) -> dict[str, Any] | None:
    """What the workflow kept for review of an inference; None when it was sure."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=f"review/{inference_id}.json")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    found: dict[str, Any] = json.load(answer["Body"])
    return found


def picture(record: dict[str, Any], s3: Any, side: int) -> bytes:
    """The image of a review record, as the workflow sent it to the endpoint.

    Raises the errors of `serialize_image_data`, which are sentences.
    """
    bucket, key = record["s3_bucket"], record["s3_key"]
    content = serialize_image_data.read(bucket, key, s3)
    return serialize_image_data.bounded(content, f"s3://{bucket}/{key}", side)[0]

"""Data capture: what passes through a variant, as JSON lines in S3.

    {destination}/{endpoint}/{variant}/yyyy/mm/dd/hh/MM-SS-mmm-{uuid}.jsonl

The hour, minute, second and millisecond are those of the file's first record, in UTC; a file is
written about a minute after its first record (not documented; so are AWS's). A half is text where
its content type is in a list of CaptureContentTypeHeader, and BASE64 otherwise.

A record is appended to a file below the server's folder before the caller has its answer, and that
file is uploaded. So an orderly stop writes everything, and after `kill -9` the next start uploads
what was left: nothing of an answered call is lost short of a power failure. As on SageMaker a
destination that cannot be written to is not an error of the endpoint; here the log says so.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture.html and files
that real endpoints wrote.
"""

import base64
import datetime
import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from localaws.errors import ApiError
from localaws.jobs.channels import split_uri
from localaws.objects import Objects

log = logging.getLogger(__name__)

Json = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Exchange(NamedTuple):
    """One successful invocation; the caller's inference id and custom attributes where given."""

    request: bytes
    request_type: str | None
    response: bytes
    response_type: str | None
    inference_id: str | None = None
    custom_attributes: str | None = None


def record(exchange: Exchange, settings: Json, moment: datetime.datetime) -> bytes:
    """One line of a capture file. `settings` is the DataCaptureConfig."""
    modes = {option["CaptureMode"] for option in settings["CaptureOptions"]}
    data: Json = {}
    if modes & {"Input", "InputAndOutput"}:
        half = _half(exchange.request, exchange.request_type, "INPUT", settings)
        data["endpointInput"] = half
    if modes & {"Output", "InputAndOutput"}:
        half = _half(exchange.response, exchange.response_type, "OUTPUT", settings)
        data["endpointOutput"] = half
    event: Json = {"eventId": str(uuid.uuid4())}
    if exchange.inference_id:
        event["inferenceId"] = exchange.inference_id
    if exchange.custom_attributes:
        event["customAttributes"] = [exchange.custom_attributes]
    event["inferenceTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    line = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return _encode(line).encode() + b"\n"


def _half(body: bytes, content_type: str | None, mode: str, settings: Json) -> Json:
    lists = settings.get("CaptureContentTypeHeader") or {}
    kind = (content_type or "").partition(";")[0].strip().lower()
    encoding, data = "BASE64", None
    for name, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if kind in (item.lower() for item in lists.get(member) or ()):
            try:
                encoding, data = name, body.decode("utf-8")
            except UnicodeDecodeError:  # whatever its header says, it is no text
                encoding = "BASE64"
    if data is None:
        data = base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


class Capture:
    """The capture of one endpoint under one configuration. Safe to use from several threads."""

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        endpoint: str,
        settings: Json,
        now: Callable[[], datetime.datetime],
        seconds: float,
    ) -> None:
        self.settings = settings
        self._objects, self._folder, self._endpoint = objects, folder, endpoint
        self._now, self._seconds = now, seconds
        self._lock = threading.Lock()
        self._open: dict[str, tuple[IO[bytes], Path, float]] = {}  # by variant
        self._random = random.Random()
        self._closing = threading.Event()
        threading.Thread(target=self._run, name=f"capture/{endpoint}", daemon=True).start()

    def add(self, variant: str, exchange: Exchange) -> None:
        """Keeps the exchange, or does not, by InitialSamplingPercentage."""
        if self._random.random() * 100 >= self.settings["InitialSamplingPercentage"]:
            return
        moment = self._now().astimezone(datetime.UTC)
        line = record(exchange, self.settings, moment)
        with self._lock:
            if variant not in self._open:
                self._open[variant] = self._start_file(variant, moment)
            file = self._open[variant][0]
            file.write(line)
            file.flush()
        if self._closing.is_set():  # the last answer of a fleet that has been retired
            self.flush()

    def flush(self, younger_too: bool = True) -> None:
        """Uploads the files, or only those whose time has come."""
        limit = time.monotonic() + (float("inf") if younger_too else 0)
        with self._lock:
            due = [v for v, (_, _, deadline) in self._open.items() if deadline <= limit]
            files = [self._open.pop(variant) for variant in due]
        for file, path, _ in files:
            file.close()
            upload(self._objects, path)

    def close(self) -> None:
        """Uploads everything; called once nobody adds any more."""
        self._closing.set()
        self.flush()

    def _start_file(self, variant: str, moment: datetime.datetime) -> tuple[IO[bytes], Path, float]:
        name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        prefix = self.settings["DestinationS3Uri"].rstrip("/")
        uri = f"{prefix}/{self._endpoint}/{variant}/{moment:%Y/%m/%d/%H}/{name}"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        key = self.settings.get("KmsKeyId", "")
        # Before the file: one without it is nobody's.
        path.with_suffix(".uri").write_text(f"{uri}\n{key}")
        file = open(path, "ab")  # noqa: SIM115  # written to until its time has come
        return file, path, time.monotonic() + self._seconds

    def _run(self) -> None:
        while not self._closing.wait(min(1.0, self._seconds / 4)):
            self.flush(younger_too=False)


def upload(objects: Objects, path: Path) -> None:
    """One file to where its `.uri` says, and away with it, unless another thread has done so."""
    address = path.with_suffix(".uri")
    try:
        uri, _, key = address.read_text().partition("\n")
        objects.upload(path, *split_uri(uri), key)
    except FileNotFoundError:
        return
    except ApiError as error:
        log.warning("captured data was not written to %s: %s", uri, error.message)
    path.unlink(missing_ok=True)
    address.unlink(missing_ok=True)


def upload_leftovers(objects: Objects, folder: Path) -> None:
    """What a killed server had not uploaded yet. Call before any endpoint serves."""
    for path in sorted(folder.rglob("*.jsonl")):
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])  # the kill may have cut a line
        if path.with_suffix(".uri").exists():
            upload(objects, path)

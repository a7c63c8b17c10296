"""The archive's place in S3: raw/<data set>/<hash>/<file>, where the pipeline's input lies."""

import re
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from scones.datasets.dataset import Dataset, DatasetError, Progress, checksum, silent


def stage(dataset: Dataset, *, bucket: str, s3: Any, progress: Progress = silent) -> str:
    """Sees to it that the archive is in S3 and returns its address.

    An archive of the same content is uploaded once: the key holds its hash, and the object's
    metadata the whole of it. `s3` is a boto3 client; its transfer splits a large file into parts,
    and takes them back if one fails. Encryption is the bucket's own setting. An archive of another
    bucket is copied there, as the jobs' roles may read this bucket only; one of this bucket stays.

    Raises: DatasetError.
    """
    if dataset.uri is not None:
        return _copied(dataset.uri, dataset.name, bucket, s3)
    if dataset.path is None:
        raise DatasetError(
            f"{dataset.name} has neither a path nor an S3 address: resolve it first."
        )
    try:
        sha256 = dataset.sha256 or checksum(dataset.path)
        size = dataset.path.stat().st_size
    except OSError as error:
        raise DatasetError(
            f"{dataset.path} cannot be read ({error.strerror}): has it been moved?"
        ) from error
    key = f"raw/{_slug(dataset.name)}/{sha256[:16]}/{_archive_name(dataset.path)}"
    uri = f"s3://{bucket}/{key}"
    try:
        if not _is_there(s3, bucket, key, sha256, size):
            metadata = {
                "sha256": sha256,
                "rendered": str(dataset.rendered).lower(),
                "name": quote(dataset.name, safe=" (),"),  # metadata is ASCII
            }
            s3.upload_file(
                str(dataset.path),
                bucket,
                key,
                ExtraArgs={"Metadata": metadata, "ContentType": "application/gzip"},
                Callback=_Counter(size, progress),
            )
    except (S3UploadFailedError, ClientError, BotoCoreError) as error:
        raise DatasetError(
            f"{dataset.path} could not be uploaded to {uri} ({_why(error)}): "
            "check the bucket's name and that these credentials may write there."
        ) from error
    return uri


class Staged(NamedTuple):
    """An archive in S3 as its own metadata describes it; empty where it does not."""

    uri: str
    sha256: str
    name: str


def staged(uri: str, s3: Any) -> Staged:
    """What was staged at an address. Raises: DatasetError when nothing can be read there."""
    metadata = _head(uri, s3)["Metadata"]
    return Staged(uri, metadata.get("sha256", ""), unquote(metadata.get("name", "")))


class _Counter:
    """Adds up what boto3's threads report, each only its own bytes."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, transferred: int) -> None:
        with self._lock:
            self._done += transferred
            self._progress(self._done, self._total)


def _copied(uri: str, name: str, bucket: str, s3: Any) -> str:
    head = _head(uri, s3)
    if head["ContentLength"] == 0:
        raise DatasetError(f"{uri} is empty: upload the archive again.")
    source, _, key = uri.removeprefix("s3://").partition("/")
    if source == bucket:
        return uri
    etag = head["ETag"].strip('"')
    target = f"raw/{_slug(name)}/{etag[:16]}/{_archive_name(Path(key))}"
    try:
        s3.copy({"Bucket": source, "Key": key}, bucket, target)
    except (ClientError, BotoCoreError) as error:
        raise DatasetError(
            f"{uri} could not be copied to s3://{bucket}/{target} ({_why(error)}): "
            "check that these credentials may read the one and write the other."
        ) from error
    return f"s3://{bucket}/{target}"


def _head(uri: str, s3: Any) -> dict[str, Any]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        answer: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise DatasetError(
            f"{uri} cannot be read ({_why(error)}): "
            "check the address and that these credentials may read it."
        ) from error
    return answer


def _is_there(s3: Any, bucket: str, key: str, sha256: str, size: int) -> bool:
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # Without leave to list the bucket S3 says 403 of a missing object too: then try to write.
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "403"):
            return False
        raise
    return bool(head["ContentLength"] == size and head["Metadata"].get("sha256") == sha256)


def _why(error: Exception) -> str:
    cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
    if isinstance(cause, ClientError):
        code = cause.response["Error"]["Code"]
        plain = {
            "404": "it does not exist",
            "403": "access denied",
            "NoSuchBucket": "the bucket does not exist",
        }
        return plain.get(
            code, f"{code}: {cause.response['Error'].get('Message', '')}".rstrip(". :")
        )
    return str(cause or error).rstrip(".")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "archive"


def _archive_name(path: Path) -> str:
    """The file's own name, made safe for a key, and ending as the archive that it is."""
    stem = re.sub(r"(\.tar\.gz|\.tgz)$", "", path.name, flags=re.IGNORECASE)
    return (re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "archive") + ".tar.gz"

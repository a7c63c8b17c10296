"""S3 objects for the services that live in this process, without a detour over HTTP.

A job's inputs and outputs are thousands of small files; going through the loopback port for each
would cost more time than the job. What is written here is the very object that an S3 client sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """One object: its bucket, key, size in bytes and entity tag (without quotes)."""

    bucket: str
    key: str
    size: int
    etag: str


class Objects(Protocol):
    """Objects by bucket and key. A missing bucket or key raises `localaws.errors.NotFound`."""

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """The objects whose key starts with `prefix`, in key order."""

    def read(self, bucket: str, key: str) -> bytes:
        """A whole object."""

    def write(self, bucket: str, key: str, data: bytes, kms_key: str = "") -> ObjectInfo:
        """Puts an object, noted as encrypted with a customer's key where one is given."""

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Copies an object to a file (which the caller may change without changing the object)."""

    def upload(self, path: Path, bucket: str, key: str, kms_key: str = "") -> ObjectInfo:
        """Copies a file to an object; `kms_key` as for `write`."""

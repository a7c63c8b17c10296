"""What the data is: the shape that every way to it ends in, and the archives known by content."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int | None], object]  # bytes done, bytes in all if that is known

RENDERED_NAME = "rendered images (not CIFAR-100)"


class DatasetError(Exception):
    """The data cannot be had; one sentence says where, what, and what to try."""


@dataclass(frozen=True)
class Dataset:
    """An archive in CIFAR-100's python version layout, here (`path`) or in S3 (`uri`)."""

    name: str  # decided by the archive's content, never by its file name
    description: str  # one sentence for the screen: which data, from where, and why this
    origin: str  # the path or address that it came from
    path: Path | None = None
    uri: str | None = None  # s3://bucket/key; not downloaded
    sha256: str | None = None  # None for an archive in S3, until somebody has read it
    size: int | None = None  # bytes; None for an archive in S3
    rendered: bool = False  # drawn by the project: its figures are no CIFAR figures


@dataclass(frozen=True)
class KnownArchive:
    """A published archive: what it is called and what its bytes are."""

    name: str
    size: int
    sha256: str
    md5: str = ""
    url: str = ""


OFFICIAL = KnownArchive(
    name="CIFAR-100",
    size=169_001_437,
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
)
CUT = KnownArchive(
    name="CIFAR-100 cut (bicycle, motorcycle)",
    size=3_313_600,
    sha256="c6e73eb6419cc4414595a0c9d687c1ccc9d8f23900cbc3cebce63de292c6fc4e",
)


def checksum(path: Path, algorithm: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def silent(done: int, total: int | None) -> None:
    """The progress of those who do not look."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file beside `path` that takes its place at the end, and is gone after a failure.

    Raises: DatasetError when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{path} cannot be written ({error.strerror or error}): "
        "make room there, or choose another cache folder."
    )

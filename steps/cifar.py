"""Reads the official CIFAR-100 archive ("python version") without trusting it.

The archive is a gzipped tar of three pickles that Python 2 wrote: `meta` (names of the classes),
`train` and `test` (pixels, labels, file names). A pickle can name any function and have it called,
and a tar member can name any path, so:

- nothing is unpacked to disk, and only the three members are ever read, each up to a size;
- members with an absolute path, a `..`, or that are links or devices are refused;
- the unpickler knows the three globals that an array needs and refuses all others; even for those
  it has harmless stand-ins, so numpy itself is never called (nor its import waited for);
- what comes out is checked: types, shapes, lengths, ranges.

Whatever is wrong ends in a `StepError` with one sentence.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from steps.gunzip import Gunzip
from steps.job import StepError

PIXELS = 3 * 32 * 32
FOLDER = "cifar-100-python"
SPLITS = ("train", "test")
PIECE = 1 << 18  # bytes
MEMBER_LIMIT = 512 << 20  # bytes; the real train member has 155 MB


class Meta(NamedTuple):
    """The names of the fine classes by label, and the dataset's own name if it has one."""

    class_names: list[str]
    dataset_name: str | None


class Split(NamedTuple):
    """The images of one split; `raw` are the N×3,072 bytes as the archive orders them."""

    raw: bytes
    by_columns: bool  # whether numpy stored the array column by column ("Fortran order")
    labels: list[int]
    filenames: list[str]

    def pixels(self, row: int) -> bytes:
        """An image: 1,024 bytes of red, then of green, then of blue, by rows."""
        if self.by_columns:
            return self.raw[row :: len(self.labels)]
        return self.raw[row * PIXELS : (row + 1) * PIXELS]


def read(path: Path) -> Iterator[tuple[str, Meta | Split]]:
    """Yields `("meta", Meta)`, `("train", Split)` and `("test", Split)` in the archive's order.

    A part comes out as soon as it is there, while the next one is being decompressed. Raises
    `StepError` for anything that is not a whole and harmless CIFAR-100 archive.
    """
    missing = {"meta", *SPLITS}
    try:
        with (
            Gunzip(path) as source,
            io.BufferedReader(source, PIECE) as stream,
            tarfile.open(fileobj=stream, mode="r:") as tar,
        ):
            for member in _checked(tar):
                part = PurePosixPath(member.name)
                if part.parent.name == FOLDER and part.name in missing and member.isfile():
                    missing.remove(part.name)
                    yield part.name, _parse(part.name, _Member(stream, member))
            source.drain()
    except tarfile.TarError as error:
        raise StepError(
            f"the archive {path.name} is truncated or no tar archive ({error}); fetch it again"
        ) from error
    if missing:
        raise StepError(
            f"the archive {path.name} has no {' and no '.join(sorted(missing))} below {FOLDER}/; "
            "it must be the official CIFAR-100 archive (python version)"
        )


def _checked(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name:
            raise StepError(f"the archive's member {member.name!r} climbs out of the folder")
        if not (member.isfile() or member.isdir()) or member.issparse():
            raise StepError(f"the archive's member {member.name!r} is a link or a device")
        if member.size > MEMBER_LIMIT:
            limit = f"{MEMBER_LIMIT >> 20} MB"
            raise StepError(f"the archive's member {member.name!r} has more than {limit}")
        yield member


class _Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        pass  # byte order and alignment, which say nothing about single bytes


class _Array:
    """Stands for `numpy.ndarray`: keeps what the pickle says, and makes nothing of it."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


def _reconstruct(*_: object) -> _Array:
    return _Array()


GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # its name since numpy 2
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Refused(Exception):
    """The pickle names a global that it may not."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return GLOBALS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


class _Member(io.RawIOBase):
    """A member's bytes and no others, straight from the stream.

    tarfile's own reader copies each byte five times before it hands it out.
    """

    def __init__(self, stream: "io.BufferedReader[Gunzip]", member: tarfile.TarInfo) -> None:
        stream.seek(member.offset_data)
        self._stream = stream
        self._left = member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def _parse(member: str, pickled: _Member) -> Meta | Split:
    try:
        table = _Unpickler(io.BufferedReader(pickled, PIECE), encoding="bytes").load()
    except StepError:  # the archive ends early or is damaged
        raise
    except _Refused as refused:
        raise StepError(
            f"the archive's member {member} names the global {refused}, which no CIFAR-100 "
            "archive needs; nothing of it was run"
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise StepError(
            f"the archive's member {member} is not a sound pickle ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(table, dict):
        raise StepError(f"the archive's member {member} holds no dictionary")
    parse: Callable[..., Meta | Split] = _meta if member == "meta" else _split
    return parse(member, table)


def _meta(member: str, table: dict[Any, Any]) -> Meta:
    names = _texts(member, table, "fine_label_names")
    name = table.get(b"dataset_name")
    if name is not None and not isinstance(name, bytes):
        raise StepError(f"the archive's member {member}: dataset_name is not a byte string")
    return Meta(names, None if name is None else name.decode("utf-8", "replace"))


def _split(member: str, table: dict[Any, Any]) -> Split:
    count, raw, by_columns = _pixels(member, table.get(b"data"))
    labels = table.get(b"fine_labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise StepError(f"the archive's member {member}: fine_labels is not a list of integers")
    if labels and not 0 <= min(labels) <= max(labels) < 100:
        raise StepError(f"the archive's member {member}: a fine label is not within 0 to 99")
    filenames = _texts(member, table, "filenames")
    if not count == len(labels) == len(filenames):
        raise StepError(
            f"the archive's member {member} has {count} images, {len(labels)} labels and "
            f"{len(filenames)} file names: the numbers must be the same"
        )
    return Split(raw, by_columns, labels, filenames)


def _pixels(member: str, data: object) -> tuple[int, bytes, bool]:
    """The number of images, their bytes, and whether these are stored column by column."""
    where = f"the archive's member {member}: data"
    match data.state if isinstance(data, _Array) else None:
        case (
            _,
            tuple() as shape,
            _Dtype(code=b"u1"),
            (bool() | 0 | 1) as by_columns,
            bytes() as raw,
        ):
            pass
        case _:
            raise StepError(f"{where} is not an array of uint8")
    if len(shape) != 2 or shape[1] != PIXELS:
        raise StepError(f"{where} has the shape {'×'.join(map(str, shape))} and not N×{PIXELS}")
    if type(shape[0]) is not int or shape[0] * PIXELS != len(raw):
        raise StepError(f"{where} has {len(raw)} bytes, which is not {shape[0]}×{PIXELS}")
    return shape[0], raw, bool(by_columns)


def _texts(member: str, table: dict[Any, Any], key: str) -> list[str]:
    texts = table.get(key.encode())
    if not isinstance(texts, list) or not all(isinstance(text, bytes) for text in texts):
        raise StepError(f"the archive's member {member}: {key} is not a list of byte strings")
    return [text.decode("utf-8", "replace") for text in texts]

"""The bytes of S3 objects, as files that are written once and never changed.

A blob belongs to one object version or one part of an upload, and the journal's row of that object
refers to it; a file without a row is what a kill left behind and is removed at the next start. No
descriptor stays open and no blob is held in memory, so the process stays small however much it
keeps. Writing goes straight to the final name: nothing can refer to a blob before it is complete.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_CHUNK = 1 << 20  # bytes; also the size up to which a copy goes through memory


class Blob(NamedTuple):
    """One file: its name below the blobs' folder, its size in bytes and the MD5 of its content."""

    name: str
    size: int
    md5: str


class Stream:
    """A part of an open blob, to be sent in chunks; it stays readable after the blob is removed."""

    def __init__(self, file: BinaryIO, blob: Blob, start: int, size: int) -> None:
        self.blob = blob
        self._file, self._start, self._size = file, start, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> "Stream":
        start, stop, _ = part.indices(self._size)
        return Stream(self._file, self.blob, self._start + start, max(0, stop - start))

    def __iter__(self) -> Iterator[bytes]:
        position, end = self._start, self._start + self._size
        while position < end:
            chunk = os.pread(self._file.fileno(), min(_CHUNK, end - position), position)
            if not chunk:
                raise OSError(f"{self._file.name} is shorter than its record says")
            position += len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()


class Blobs:
    """The folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        for number in range(256):
            folder.joinpath(f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def path(self, blob: Blob) -> str:
        return f"{self._folder}/{blob.name}"

    def write(self, data: bytes) -> Blob:
        """Keeps bytes that are in memory."""
        name = _new_name()
        descriptor = os.open(f"{self._folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            os.unlink(f"{self._folder}/{name}")
            raise
        finally:
            os.close(descriptor)
        return Blob(name, len(data), _md5(data).hexdigest())

    def write_chunks(self, chunks: Iterable[bytes]) -> Blob:
        """Keeps bytes that come piece by piece; what is written of a failed one is removed."""
        name, size, digest = _new_name(), 0, _md5()
        path = f"{self._folder}/{name}"
        try:
            with open(path, "xb", buffering=0) as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        except BaseException:  # whatever it is: taken back, and raised again
            os.unlink(path)
            raise
        return Blob(name, size, digest.hexdigest())

    def copy_in(self, path: Path) -> Blob:
        """Keeps a copy of a file, which its owner may change later."""
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size <= _CHUNK:
                return self.write(file.read())
            return self.write_chunks(iter(lambda: file.read(_CHUNK), b""))

    def copy_out(self, blob: Blob, path: Path) -> None:
        """Copies a blob to a file (in the kernel, as a reflink where the filesystem can)."""
        with open(self.path(blob), "rb", buffering=0) as source, open(path, "wb", 0) as target:
            if blob.size <= _CHUNK:
                target.write(source.read())
                return
            left = blob.size
            while left:
                try:
                    copied = os.copy_file_range(source.fileno(), target.fileno(), left)
                except OSError:  # another filesystem, or one that cannot
                    copied = os.sendfile(target.fileno(), source.fileno(), None, left)
                if not copied:
                    raise OSError(f"{source.name} is shorter than its record says")
                left -= copied

    def write_stream(self, stream: Stream) -> Blob:
        """Keeps what another blob holds: all of it as a link, a part of it as a copy."""
        try:
            if len(stream) < stream.blob.size:
                return self.write_chunks(stream)
            name = _new_name()
            os.link(self.path(stream.blob), f"{self._folder}/{name}")
            return Blob(name, stream.blob.size, stream.blob.md5)
        finally:
            stream.close()

    def read(self, blob: Blob) -> bytes:
        with open(self.path(blob), "rb", buffering=0) as file:
            return file.read()

    def open(self, blob: Blob) -> Stream:
        # Closed by the server when the response is sent, or with the last slice of it.
        return Stream(open(self.path(blob), "rb"), blob, 0, blob.size)

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        stream = self.open(blob)
        try:
            yield from stream
        finally:
            stream.close()

    def remove(self, blob: Blob) -> None:
        try:
            os.unlink(self.path(blob))
        except FileNotFoundError:
            return

    def is_whole(self, blob: Blob) -> bool:
        """Whether the file is there with the size that its record says."""
        try:
            return os.stat(self.path(blob)).st_size == blob.size
        except FileNotFoundError:
            return False

    def sweep(self, kept: set[str]) -> int:
        """Removes the files that are not in `kept` and returns how many they were."""
        removed = 0
        for folder in os.scandir(self._folder):
            for entry in os.scandir(folder):
                if f"{folder.name}/{entry.name}" not in kept:
                    os.unlink(entry.path)
                    removed += 1
        return removed


def _new_name() -> str:
    token = secrets.token_hex(16)
    return f"{token[:2]}/{token[2:]}"


def _md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)  # S3's entity tag, no protection

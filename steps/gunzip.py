"""Decompresses a gzip file on the other core, ahead of its reader.

    archive ─► inflate.py (a process) ─► pipe ─► Gunzip ─► tarfile, pickle

Decompressing one gzip stream cannot be divided; it is most of what Prepare does. So all else (the
checksum, unpickling, encoding, judging) happens beside it. A thread would do for small archives;
on a large one, every copy of the reader would hold the GIL that the thread waits for.
"""

import io
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steps.job import StepError

LIMIT = 1 << 30  # bytes
SKIP = 1 << 20  # bytes read at a time where nothing is kept


class Gunzip(io.RawIOBase):
    """The decompressed bytes as a raw file that can be read and skipped, but not wound back.

    What is wrong with the file (truncated, damaged, unfolds to more than `limit` bytes) is raised
    where its bytes end, as `StepError`.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._name = path.name
        program = Path(__file__).with_name("inflate.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(path), str(limit)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pipesize=1 << 20,
        )
        assert self._process.stdout is not None  # a pipe, and so is stderr
        assert self._process.stderr is not None
        self._bytes = self._process.stdout
        self._reason = self._process.stderr
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()  # it may be in the middle; at its end this does nothing
        self._process.wait()
        self._bytes.close()
        self._reason.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer, or a part of it, as pipes do; 0 at the end of a sound file."""
        count: int = self._bytes.readinto(buffer)  # type: ignore[attr-defined] # unbuffered
        self._position += count
        if count == 0 and len(buffer):
            self._require_sound()
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skips forward, at most to the end."""
        target = offset + (self._position if whence == io.SEEK_CUR else 0)
        if whence == io.SEEK_END or target < self._position:
            raise io.UnsupportedOperation("a stream that is being decompressed goes forward only")
        while self._position < target and self.read(min(SKIP, target - self._position)):
            pass
        return self._position

    def drain(self) -> None:
        """Reads to the end, where gzip keeps the checksum of all that came before."""
        while self.read(SKIP):
            pass

    def _require_sound(self) -> None:
        reason = self._reason.read().decode("utf-8", "replace").strip()
        if code := self._process.wait():
            raise StepError(reason or f"decompressing {self._name} ended with exit code {code}")

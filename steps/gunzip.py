"""Decompresses a gzip file ahead of its reader, in a thread.

zlib releases the GIL, so the reader can unpickle and encode images on one core while the next
chunks are being decompressed on the other.
"""

import queue
import threading
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from steps.job import StepError

CHUNK = 1 << 20  # bytes decompressed at a time
AHEAD = 32  # chunks: CIFAR-100's test split, while the train split is being encoded


class Gunzip:
    """A readable of the decompressed bytes, in order, for `tarfile.open(mode="r|")`.

    Errors of the thread (a file that is truncated, damaged, or unfolds to more than `limit` bytes)
    are raised by `read`, as `StepError`.
    """

    def __init__(self, path: Path, limit: int = 1 << 30) -> None:
        self._path = path
        self._limit = limit
        self._chunks: queue.Queue[bytes | Exception] = queue.Queue(maxsize=AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="gunzip", daemon=True)
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        while self._thread.is_alive():  # the thread may be waiting for a place in the queue
            try:
                self._chunks.get(timeout=0.01)
            except queue.Empty:
                continue

    def read(self, size: int = CHUNK) -> bytes:
        """The next chunk, whatever `size` says (a short read, as pipes have); b"" at the end."""
        if self._ended:
            return b""
        chunk = self._chunks.get()
        if isinstance(chunk, Exception):
            self._ended = True
            raise chunk
        self._ended = not chunk
        return chunk

    def drain(self) -> None:
        """Reads to the end, where gzip keeps the checksum of all that came before."""
        while self.read():
            pass

    def _fill(self) -> None:
        name = self._path.name
        try:
            with self._path.open("rb") as file:
                self._decompress(file)
            self._chunks.put(b"")
        except EOFError:
            reason = f"the archive {name} is truncated: its gzip stream ends early"
            self._chunks.put(StepError(f"{reason}; fetch it again"))
        except zlib.error as error:
            reason = f"the archive {name} is damaged or not a gzip file ({error})"
            self._chunks.put(StepError(f"{reason}; fetch it again"))
        except (OSError, StepError) as error:
            self._chunks.put(error)

    def _decompress(self, file: BinaryIO) -> None:
        source = zlib.decompressobj(wbits=31)  # 31: with gzip's header and trailer, both checked
        left = self._limit
        while not (source.eof or self._closed.is_set()):
            packed = source.unconsumed_tail or file.read(CHUNK // 4)
            # The second argument keeps a bomb from unfolding in memory all at once.
            chunk = source.decompress(packed, CHUNK)
            left -= len(chunk)
            if left < 0:
                raise StepError(
                    f"the archive {self._path.name} unfolds to more than {self._limit >> 20} MB"
                )
            if chunk:
                self._chunks.put(chunk)
            elif not packed:
                raise EOFError

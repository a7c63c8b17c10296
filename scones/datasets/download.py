"""An archive from the web, however bad the line: resumed, verified, and whole or not there.

The bytes go to `<target>.part`, beside it a note of which file they belong to (address, ETag,
Last-Modified), so that the next run asks only for the rest and only of the same file (RFC 9110,
If-Range). The part takes the target's place when its size and checksum are right.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from scones.datasets.dataset import DatasetError, Progress, checksum, not_written, silent

_CHUNK = 1 << 16  # bytes
_BUSY = (429, 500, 502, 503, 504)  # answers worth asking again


class _BrokeOffError(Exception):
    """This attempt failed, the next one may not."""


@dataclass(frozen=True)
class _Version:
    """Which file at which address: what makes bytes of two answers parts of one file."""

    url: str
    etag: str = ""
    last_modified: str = ""

    @property
    def validator(self) -> str:
        """For If-Range, which takes no weak ETag."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def continues(self, earlier: "_Version | None") -> bool:
        """Whether a 206 of this version may follow; it need not repeat all that a 200 said."""
        return (
            earlier is not None
            and self.etag in ("", earlier.etag)
            and self.last_modified in ("", earlier.last_modified)
        )


@dataclass(frozen=True)
class _Wanted:
    url: str
    target: Path
    size: int | None
    md5: str | None

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    def failed(
        self, why: str, advice: str = "try again, or pass --data with a copy"
    ) -> DatasetError:
        return DatasetError(f"{shown(self.url)} could not be downloaded: {why}; {advice}.")


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    md5: str | None = None,
    progress: Progress = silent,
    attempts: int = 6,
    timeouts: tuple[float, float] = (3.0, 30.0),
    pause: Callable[[float], object] = time.sleep,
) -> Path:
    """Downloads `url` to `target` and returns it; does nothing when it is there already.

    With `md5` a file that is there is checked by it, without one the server is asked whether it has
    changed. `timeouts` are those of the connection and of each read, in seconds. A server that does
    not answer at all is asked once; one that breaks off, `attempts` times with growing pauses.

    Raises: DatasetError. What came so far is kept for the next run, unless it is wrong.
    """
    wanted = _Wanted(url, target, size, md5)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(wanted, progress, pause):
            if md5 and target.exists():
                if checksum(target, "md5") == md5:
                    return target
                target.unlink()
            if _fetch(wanted, progress, attempts, timeouts, pause):
                _verify(wanted)
                wanted.part.replace(target)
                _note(wanted.part).replace(_note(target))
    except OSError as error:
        raise not_written(target, error) from error
    return target


def shown(url: str) -> str:
    """The address without user, password and query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def _only_one(
    wanted: _Wanted, progress: Progress, pause: Callable[[float], object]
) -> Iterator[None]:
    """Waits, showing its progress, for another process that downloads the same file.

    The lock file stays: who removed it could remove the next one's lock.
    """
    with wanted.target.with_name(wanted.target.name + ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(_length(wanted.part), wanted.size)
                pause(0.2)
        yield


def _fetch(
    wanted: _Wanted,
    progress: Progress,
    attempts: int,
    timeouts: tuple[float, float],
    pause: Callable[[float], object],
) -> bool:
    """Fills the part; False when the target is there and the server has nothing newer."""
    with requests.Session() as session:
        for attempt in range(1, attempts + 1):
            if wanted.size is not None and _length(wanted.part) == wanted.size:
                return True
            try:
                headers = {"Accept-Encoding": "identity", **_conditions(wanted)}
                with session.get(
                    wanted.url, headers=headers, stream=True, timeout=timeouts
                ) as response:
                    return _receive(response, wanted, progress)
            except requests.RequestException as error:
                if attempt == 1:
                    raise wanted.failed(_reason(error)) from error
                why = _reason(error)
            except _BrokeOffError as error:
                why = str(error)
            if attempt < attempts:
                pause(min(0.5 * 2**attempt, 8.0))
    raise wanted.failed(f"{why}, {attempts} times", "run it again to go on from there")


def _conditions(wanted: _Wanted) -> dict[str, str]:
    """The headers that ask for the rest of the part, or for the target only if it has changed."""
    have = _length(wanted.part)
    if have and (version := _read_note(wanted.part)) and version.url == wanted.url:
        if version.validator:
            return {"Range": f"bytes={have}-", "If-Range": version.validator}
    elif wanted.target.exists() and (version := _read_note(wanted.target)):
        if version.url == wanted.url and version.etag:
            return {"If-None-Match": version.etag}
        if version.url == wanted.url and version.last_modified:
            return {"If-Modified-Since": version.last_modified}
    return {}


def _receive(response: requests.Response, wanted: _Wanted, progress: Progress) -> bool:
    if response.status_code == 304:
        return False
    if response.status_code == 416:  # the part reaches past the end: it is another file's
        wanted.part.unlink(missing_ok=True)
        raise _BrokeOffError("the server has no such range")
    status = f"the server answered {response.status_code} {response.reason}"
    if response.status_code in _BUSY:
        raise _BrokeOffError(status)
    if response.status_code not in (200, 206):
        raise wanted.failed(status, "check the address, or pass --data with a copy")

    headers = response.headers
    version = _Version(wanted.url, headers.get("ETag", ""), headers.get("Last-Modified", ""))
    start, total = _extent(response)
    if wanted.size is not None and total not in (None, wanted.size):
        wanted.part.unlink(missing_ok=True)
        raise wanted.failed(f"it has {total:,} bytes there, not the expected {wanted.size:,}")
    if response.status_code == 206:
        if start != _length(wanted.part) or not version.continues(_read_note(wanted.part)):
            wanted.part.unlink(missing_ok=True)
            raise _BrokeOffError("the file changed on the server meanwhile")
    else:
        wanted.part.write_bytes(b"")
        _note(wanted.part).write_text(json.dumps(asdict(version)))
    _append(response, wanted, total or wanted.size, progress)
    return True


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where the answer's bytes start, and how many the whole file has if the server says so."""
    found = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
    )
    if response.status_code == 206:
        if found is None:
            return -1, None
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _append(
    response: requests.Response, wanted: _Wanted, total: int | None, progress: Progress
) -> None:
    done = _length(wanted.part)
    try:
        with wanted.part.open("ab") as file:
            # Not iter_content: it would unpack an archive that is sent as Content-Encoding: gzip.
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    except urllib3.exceptions.HTTPError as error:
        of = f" of {total:,}" if total else ""
        raise _BrokeOffError(
            f"the connection broke off after {_length(wanted.part):,}{of} bytes"
        ) from error
    except OSError:  # a full disk, most likely: a part that cannot grow only takes room
        wanted.part.unlink(missing_ok=True)
        raise


def _verify(wanted: _Wanted) -> None:
    size = _length(wanted.part)
    if wanted.size is not None and size != wanted.size:
        why = f"{size:,} bytes came, not the expected {wanted.size:,}"
    elif wanted.md5 and (md5 := checksum(wanted.part, "md5")) != wanted.md5:
        why = f"its md5 is {md5}, not the expected {wanted.md5}"
    elif size == 0:
        why = "it is empty"
    else:
        return
    wanted.part.unlink()
    raise wanted.failed(why, "the bad file was removed: try again, or pass --data with a copy")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_note(path: Path) -> _Version | None:
    try:
        return _Version(**json.loads(_note(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # no note, or one cut short: then it is another file


def _reason(error: requests.RequestException) -> str:
    """The cause of a failed connection in a few plain words."""
    cause: object = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted here"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let it through"
    if isinstance(error, requests.Timeout):
        return "it does not answer in time"
    inner = cause.args[-1] if isinstance(cause, urllib3.exceptions.ProtocolError) else cause
    for below in (inner, getattr(cause, "__cause__", None)):
        if isinstance(below, OSError) and below.errno:
            return os.strerror(below.errno).lower()
    if isinstance(error, requests.ConnectionError):
        return "the connection failed"
    return str(error)

"""The download against a real server on this machine that can be told to fail."""

import contextlib
import hashlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from scones.datasets.dataset import DatasetError
from scones.datasets.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
HALF = 1_441_792  # bytes that have come after half of it: whole chunks of 64 KiB
REPO = Path(__file__).parents[2]


class Server(ThreadingHTTPServer):
    """Serves one file with ranges and validators; `faults` are used up, one a request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.faults: list[str] = []
        self.ranges: list[str | None] = []  # the Range of each request
        self.ignores_ranges = False
        self.half_sent = threading.Event()
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data/archive.tar.gz"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.ranges.append(asked)
        fault = server.faults.pop(0) if server.faults else ""
        if fault == "hang up":
            return
        if fault.isdecimal():
            self.send_error(int(fault))
            return
        if self.headers["If-None-Match"] == server.etag:
            self.send_response(304)
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        same = self.headers["If-Range"] == server.etag and not server.ignores_ranges
        start = start if same or fault == "lies" else 0
        body, total = server.content[start:], len(server.content)
        if start >= total:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "drop":
            self.wfile.write(body[: len(body) // 2])
            return
        if fault == "wait":
            self.wfile.write(body[: len(body) // 2])
            server.half_sent.set()
            server.go_on.wait(30)
            body = body[len(body) // 2 :]
        with contextlib.suppress(ConnectionError):  # the reader has hung up, as a test wanted
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "archive.tar.gz"


def fetch(server: Server, target: Path, **options: object) -> list[float]:
    """Downloads without waiting; returns the pauses it would have made."""
    pauses: list[float] = []
    arguments: dict[str, object] = {"size": len(CONTENT), "md5": MD5, "pause": pauses.append}
    download(server.url, target, **{**arguments, **options})  # type: ignore[arg-type] # any option
    return pauses


def leave_half(server: Server, target: Path) -> None:
    """A first run that gets half of the file and gives up."""
    server.faults = ["drop"]
    with pytest.raises(DatasetError, match="broke off after 1,500,000 of 3,000,000 bytes"):
        fetch(server, target, attempts=1)
    server.ranges.clear()


def left_beside(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name, f"{target.name}.lock"}


def test_a_download_arrives_whole_and_shows_its_progress(server: Server, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(server, target, progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert left_beside(target) == {"archive.tar.gz.json"}


def test_a_file_that_is_there_and_right_is_not_asked_for_again(
    server: Server, target: Path
) -> None:
    fetch(server, target)
    fetch(server, target)
    assert len(server.ranges) == 1


def test_a_cached_file_that_was_damaged_is_fetched_again(server: Server, target: Path) -> None:
    fetch(server, target)
    target.write_bytes(CONTENT[:-1] + b"?")
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_connection_that_breaks_off_is_taken_up_where_it_stopped(
    server: Server, target: Path
) -> None:
    server.faults = ["drop", "503", "hang up", "drop"]
    pauses = fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, *["bytes=1500000-"] * 3, "bytes=2250000-"]
    assert pauses == sorted(pauses)
    assert len(pauses) == 4


def test_a_server_that_falls_silent_is_asked_for_the_rest(server: Server, target: Path) -> None:
    server.faults = ["wait"]
    fetch(server, target, timeouts=(3.0, 0.2))
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == CONTENT


def test_the_next_run_goes_on_from_the_part_that_is_there(server: Server, target: Path) -> None:
    leave_half(server, target)
    fetch(server, target)
    assert server.ranges == ["bytes=1500000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_makes_it_start_over(server: Server, target: Path) -> None:
    leave_half(server, target)
    server.ignores_ranges = True
    fetch(server, target)
    assert server.ranges == ["bytes=1500000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("answer", ["", "lies"], ids=["whole-new-file", "rest-of-new-file"])
def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_part(
    server: Server, target: Path, answer: str
) -> None:
    leave_half(server, target)
    server.content, server.etag = CONTENT[::-1], '"two"'
    server.faults = [answer]
    fetch(server, target, md5=hashlib.md5(CONTENT[::-1], usedforsecurity=False).hexdigest())
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server: Server, target: Path) -> None:
    leave_half(server, target)
    target.with_name("archive.tar.gz.part").write_bytes(CONTENT + b"more")
    fetch(server, target)
    assert server.ranges == ["bytes=3000004-", None]
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_continued(server: Server, target: Path) -> None:
    leave_half(server, target)
    mirror = server.url.replace("/data/", "/mirror/")
    download(mirror, target, size=len(CONTENT), md5=MD5)
    assert server.ranges == [None]
    assert target.read_bytes() == CONTENT


def test_a_killed_download_leaves_a_part_that_the_next_one_completes(
    server: Server, target: Path
) -> None:
    server.faults = ["wait"]
    process = start_download(server, target)
    assert process.stdout is not None
    while (line := process.stdout.readline()) and int(line.split()[0]) < HALF:
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    assert not target.exists()
    fetch(server, target)
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == CONTENT


def test_two_processes_download_once_and_both_get_it(server: Server, target: Path) -> None:
    server.faults = ["wait"]
    first = start_download(server, target)
    assert server.half_sent.wait(30)
    second = start_download(server, target)
    assert second.stdout is not None
    assert second.stdout.readline().endswith(" 3000000\n")  # it waits, and shows the first's bytes
    assert second.poll() is None
    server.go_on.set()
    for process in (first, second):
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert server.ranges == [None]
    assert target.read_bytes() == CONTENT


def start_download(server: Server, target: Path) -> "subprocess.Popen[str]":
    script = (
        "import sys; from pathlib import Path; from scones.datasets.download import download\n"
        "show = lambda done, total: print(done, total, flush=True)\n"
        "download(sys.argv[1], Path(sys.argv[2]), size=3000000, md5=sys.argv[3], progress=show)"
    )
    command = [sys.executable, "-c", script, server.url, str(target), MD5]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)


def test_wrong_bytes_are_refused_and_removed(server: Server, target: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DatasetError, match=f"its md5 is .*, not the expected {MD5}; the bad file"):
        fetch(server, target)
    assert not target.exists()
    assert not target.with_name("archive.tar.gz.part").exists()


def test_a_file_of_another_size_is_refused_before_it_is_downloaded(
    server: Server, target: Path
) -> None:
    server.content = b"<html>Please log in to this network</html>"
    with pytest.raises(DatasetError, match="it has 42 bytes there, not the expected 3,000,000"):
        fetch(server, target)
    assert not target.exists()


def test_an_address_that_is_not_there_is_asked_for_once(server: Server, target: Path) -> None:
    server.faults = ["404"]
    with pytest.raises(DatasetError, match=r"answered 404 Not Found; check the address") as caught:
        fetch(server, target)
    assert server.ranges == [None]
    assert "\n" not in str(caught.value)


def test_a_server_that_stays_busy_is_given_up_after_the_last_attempt(
    server: Server, target: Path
) -> None:
    server.faults = ["503"] * 9
    with pytest.raises(DatasetError, match="503 Service Unavailable, 4 times"):
        fetch(server, target, attempts=4)
    assert len(server.ranges) == 4


def test_a_refused_connection_is_told_at_once(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/archive.tar.gz"
        pauses: list[float] = []
        with pytest.raises(DatasetError, match="could not be downloaded: connection refused"):
            download(url, target, pause=pauses.append)
    assert pauses == []


def test_a_name_that_cannot_be_resolved_is_told_so(target: Path) -> None:
    with pytest.raises(DatasetError, match="its name cannot be resolved"):
        download("http://archive.invalid/a.tar.gz", target)  # RFC 2606: never resolves


def test_a_full_disk_is_told_and_its_part_is_removed(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part = target.with_name("archive.tar.gz.part")
    part.symlink_to("/dev/full")
    with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
        fetch(server, target)
    assert not part.is_symlink()
    assert not target.exists()


def test_without_a_checksum_the_server_is_asked_whether_the_file_changed(
    server: Server, target: Path
) -> None:
    for _ in range(2):
        fetch(server, target, size=None, md5=None)
    before = target.stat().st_mtime_ns
    server.content, server.etag = b"new", '"two"'
    fetch(server, target, size=None, md5=None)
    assert len(server.ranges) == 3
    assert target.stat().st_mtime_ns != before
    assert target.read_bytes() == b"new"


def test_a_signature_in_the_address_is_not_shown(server: Server, target: Path) -> None:
    server.faults = ["403"]
    url = server.url.replace("http://", "http://user:secret@") + "?X-Amz-Signature=secret"
    with pytest.raises(DatasetError, match="403 Forbidden") as caught:
        download(url, target)
    assert "secret" not in str(caught.value)

"""A job's lines in CloudWatch Logs, and the disk watch: the parts that count."""

import os
from pathlib import Path

from moto.backends import get_backend

from localaws.context import utc_now
from localaws.jobs.logs import CloudWatchLogs, JobLog, LogSink
from localaws.jobs.volume import Volume, allocated_bytes
from tests.unit.job_kit import MemoryLogs


def follow(output: bytes, sink: LogSink, most_lines: int = 1000) -> list[str]:
    """Feeds a whole output to a job's log; returns the lines that `on_line` saw."""
    seen: list[str] = []
    reader, writer = os.pipe()
    log = JobLog(sink, "group", "job/algo-1-1", utc_now, seen.append, most_lines)
    child = os.fork()
    if child == 0:
        os.close(reader)
        while output:
            output = output[os.write(writer, output) :]
        os._exit(0)
    os.close(writer)
    log.follow(reader)
    os.close(reader)
    os.waitpid(child, 0)
    return seen


def test_output_becomes_lines_whatever_its_bytes() -> None:
    sink = MemoryLogs()
    seen = follow(b"one\r\n\n\xff two\nlast without an end", sink)
    assert seen == ["one", "", "� two", "last without an end"]
    assert sink.streams["group", "job/algo-1-1"] == ["one", " ", "� two", "last without an end"]


def test_a_line_of_absurd_length_is_cut_at_cloudwatchs_limit() -> None:
    sink = MemoryLogs()
    follow(b"x" * (3 << 20) + b"\nnext\n", sink)
    lines = sink.streams["group", "job/algo-1-1"]
    assert max(map(len, lines)) == 256 * 1024 - 26
    assert lines[-1] == "next"


def test_a_job_that_prints_in_a_loop_does_not_fill_the_memory() -> None:
    sink = MemoryLogs()
    seen = follow(b"again\n" * 25, sink, most_lines=10)
    assert len(seen) == 25
    lines = sink.streams["group", "job/algo-1-1"]
    assert lines == ["again"] * 10 + ["localaws left out 15 lines after the first 10."]


def test_lines_are_in_cloudwatch_logs_for_every_client_of_this_process() -> None:
    follow(b"hello\nworld\n", CloudWatchLogs("111122223333", "eu-central-1"))
    backend = get_backend("logs")["111122223333"]["eu-central-1"]
    stream = backend.groups["group"].streams["job/algo-1-1"]
    assert [event.message for event in stream.events] == ["hello", "world"]


def test_the_disk_watch_counts_blocks_of_all_files_and_not_their_links(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    before = allocated_bytes(tmp_path)
    with open(deep / "big", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
    (tmp_path / "link").symlink_to("/")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    assert 1 << 20 <= allocated_bytes(tmp_path) - before < 2 << 20


def test_the_disk_watch_looks_only_when_it_is_time(tmp_path: Path) -> None:
    clock = [0.0]
    volume = Volume(tmp_path, limit=1 << 16, clock=lambda: clock[0])
    with open(tmp_path / "big", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 17)
    assert not volume.looks_full()
    clock[0] = volume.next_look
    assert volume.looks_full()

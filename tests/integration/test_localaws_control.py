"""Starting, stopping and looking at the embedded AWS, as the command line does."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from localaws import control


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    control.down(folder)


def test_it_starts_once_keeps_its_port_and_stops(home: Path) -> None:
    assert not control.status(home).running
    first = control.up(home)
    assert control.up(home).pid == first.pid
    assert first.memory_bytes < 400e6
    assert (home.stat().st_mode & 0o777) == 0o700

    assert control.down(home)
    assert not control.down(home)
    assert not control.status(home).running
    assert control.up(home).port == first.port


def test_its_environment_brings_any_client_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a-profile-that-does-not-exist")
    running = control.up(home, region="eu-west-1")
    monkeypatch.delenv("AWS_PROFILE")
    for name, value in control.environment(running).items():
        monkeypatch.setenv(name, value)

    session = boto3.session.Session()

    assert session.region_name == "eu-west-1"
    assert session.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert session.client("sagemaker").list_pipelines()["PipelineSummaries"] == []


def test_after_a_kill_it_is_not_running_and_starts_again_where_it_was(home: Path) -> None:
    first = control.up(home, region="eu-west-1")
    assert first.pid
    os.kill(first.pid, 9)
    deadline = time.monotonic() + 10
    while control.status(home).running:
        assert time.monotonic() < deadline

    second = control.up(home)

    assert (second.port, second.region) == (first.port, "eu-west-1")


def test_a_port_in_use_is_refused_with_its_owner(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            control.LocalAwsError, match=rf"Port {port} is in use by .*{os.getpid()}"
        ):
            control.up(home, port=port)
    assert not control.status(home).running


def test_one_that_runs_elsewhere_than_asked_is_not_passed_off_as_it(home: Path) -> None:
    running = control.up(home)
    with pytest.raises(
        control.LocalAwsError, match=f"runs already, in us-east-1 on port {running.port}"
    ):
        control.up(home, region="eu-west-1")


def test_a_damaged_state_is_refused_and_left_as_it_is(home: Path) -> None:
    running = control.up(home)
    control.down(home)
    database = home / "moto.sqlite"
    database.write_bytes(b"this is no database, but it may be somebody's last copy of something")
    for rest in home.glob("moto.sqlite-*"):
        rest.unlink()

    with pytest.raises(control.LocalAwsError, match="did not start"):
        control.up(home, port=running.port)

    assert database.read_bytes().startswith(b"this is no database")


def test_the_log_can_be_read_and_followed(home: Path) -> None:
    control.up(home)
    assert any("answering on" in line for line in control.logs(home))
    seen: list[str] = []
    ended = threading.Event()

    def follow() -> None:
        for line in control.logs(home, follow=True):
            seen.append(line)
            if line.endswith("stopped"):
                break
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    control.down(home)
    assert ended.wait(10)
    assert any("answering on" in line for line in seen)

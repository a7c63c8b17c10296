"""The parts that keep state: blobs, the journal, pickles, and moto's S3 on top of them."""

import datetime
import os
import pickle
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from moto.core.common_models import BaseModel
from moto.core.config import default_user_config
from moto.s3.models import s3_backends
from moto.stepfunctions.parser.api import ExecutionStatus

from localaws.errors import LocalAwsError, NotFound
from localaws.home import Home
from localaws.moto_side import pickles
from localaws.moto_side.blobs import Blobs
from localaws.moto_side.state import MotoState


class World:
    """moto in this process, on a folder; `reopen` is what a restart does to it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.make()
        self.state = MotoState(self.home, port=1, region="us-east-1")

    @property
    def objects(self) -> Any:
        return self.state.objects

    @property
    def s3(self) -> Any:
        return s3_backends[self.state.account]["aws"]

    def make_bucket(self, name: str) -> None:
        with self.state.journal.change():
            self.s3.create_bucket(name, "us-east-1")

    def objects_of(self, bucket: str, key: str) -> list[Any]:
        """The versions of an object, oldest first."""
        return list(self.s3.get_bucket(bucket).keys.getlist(key, []))

    def reopen(self) -> None:
        self.state.close()
        self.state = MotoState(self.home, port=1, region="us-east-1")

    def files(self) -> list[Path]:
        return [path for path in self.home.objects.rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def moto_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes back what MotoState changes in moto: another module's tests mock AWS with it."""
    modules = [m for name, m in sys.modules.items() if name.startswith("moto.")]
    before = [(vars(module), dict(vars(module))) for module in modules]
    monkeypatch.setattr(BaseModel, "__new__", BaseModel.__new__)
    monkeypatch.setattr(s3_backends, "backend", s3_backends.backend)
    for service in ("iam", "stepfunctions"):
        monkeypatch.setitem(default_user_config, service, {**default_user_config[service]})
    with mock.patch.dict(os.environ):
        yield
    for names, then in before:
        names.update(then)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    made.make_bucket("bucket")
    yield made
    made.state.close()


def test_an_object_is_there_after_a_restart_with_the_bytes_and_tag_that_were_put(
    world: World,
) -> None:
    put = world.objects.write("bucket", "folder/key", b"content")

    world.reopen()

    assert world.objects.read("bucket", "folder/key") == b"content"
    assert list(world.objects.list("bucket", "folder/")) == [put]
    assert put.etag == "9a0364b9e99bb480dd25e1f0284c8555"
    assert put.size == 7


def test_objects_are_listed_in_key_order_and_by_prefix(world: World) -> None:
    for key in ("b", "a/2", "a/10", "ab"):
        world.objects.write("bucket", key, b"")

    assert [found.key for found in world.objects.list("bucket", "a/")] == ["a/10", "a/2"]
    assert [found.key for found in world.objects.list("bucket", "")] == ["a/10", "a/2", "ab", "b"]


@pytest.mark.parametrize("size", [0, 10, (1 << 20) + 1, 3_000_001])
def test_a_file_comes_back_as_it_was_uploaded_and_is_a_copy(
    world: World, tmp_path: Path, size: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    content = os.urandom(size)
    source.write_bytes(content)

    put = world.objects.upload(source, "bucket", "key")
    source.write_bytes(b"changed later")
    world.objects.download("bucket", "key", target)

    assert target.read_bytes() == content
    assert put.size == size
    target.write_bytes(b"also changed")
    assert world.objects.read("bucket", "key") == content


def test_a_missing_bucket_or_key_is_not_found(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="bucket 'none' does not exist"):
        list(world.objects.list("none", ""))
    with pytest.raises(NotFound, match="s3://bucket/none"):
        world.objects.read("bucket", "none")
    with pytest.raises(NotFound, match="s3://bucket/none"):
        world.objects.download("bucket", "none", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_the_bytes_of_a_replaced_or_deleted_object_are_removed(world: World) -> None:
    world.objects.write("bucket", "key", b"old")
    world.objects.write("bucket", "key", b"new")
    assert len(world.files()) == 1

    with world.state.journal.change():
        world.s3.delete_object("bucket", "key")

    assert world.files() == []


def test_every_version_of_a_versioned_object_is_kept_over_a_restart(world: World) -> None:
    with world.state.journal.change():
        world.s3.put_bucket_versioning("bucket", "Enabled")
    for content in (b"1", b"2"):
        world.objects.write("bucket", "key", content)
    with world.state.journal.change():
        world.s3.delete_object("bucket", "key")

    world.reopen()

    versions = world.s3.get_bucket("bucket").keys.getlist("key")
    assert [version.value for version in versions[:2]] == [b"1", b"2"]
    with pytest.raises(NotFound):  # a delete marker is the latest
        world.objects.read("bucket", "key")


def test_all_objects_of_one_change_are_written_together(world: World) -> None:
    with world.state.journal.change():
        for number in range(3):
            world.objects.write("bucket", str(number), b"content")
        assert world.state.journal.count("object") == 0

    assert world.state.journal.count("object") == 3


def test_bytes_that_no_record_refers_to_are_removed_at_the_start(world: World) -> None:
    world.objects.write("bucket", "key", b"kept")
    world.state.journal.blobs.write(b"left behind by a kill")

    world.reopen()

    assert [path.read_bytes() for path in world.files()] == [b"kept"]


def test_an_object_whose_bytes_are_gone_is_dropped_and_named(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.objects.write("bucket", "key", b"content")
    world.files()[0].write_bytes(b"cut")

    world.reopen()

    assert list(world.objects.list("bucket", "")) == []
    assert "s3://bucket/key are gone" in caplog.text


def test_a_failed_upload_leaves_no_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        blobs.write_chunks(broken())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_open_object_can_be_read_to_its_end_after_it_was_removed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = blobs.write(b"0123456789")
    stream = blobs.open(blob)
    blobs.remove(blob)

    assert b"".join(stream[2:5]) == b"234"
    assert b"".join(stream) == b"0123456789"


def test_a_copied_object_shares_no_fate_with_its_source(world: World) -> None:
    content = os.urandom((1 << 20) + 5)
    world.objects.write("bucket", "source", content)
    with world.state.journal.change():
        source = world.s3.get_object("bucket", "source")
        world.s3.copy_object(source, "bucket", "copy")
        world.s3.delete_object("bucket", "source")

    assert world.objects.read("bucket", "copy") == content


def test_writers_and_readers_of_one_key_never_see_a_torn_object(world: World) -> None:
    contents = {bytes([65 + n]) * 5000 for n in range(3)}
    world.objects.write("bucket", "key", next(iter(contents)))
    seen: set[bytes] = set()
    failures: list[Exception] = []

    def repeat(action: Any) -> None:
        try:
            for _ in range(100):
                action()
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=repeat, args=(lambda c=c: world.objects.write("bucket", "key", c),))
        for c in contents
    ]
    reader = lambda: seen.add(world.objects.read("bucket", "key"))  # noqa: E731  # one expression
    threads.append(threading.Thread(target=repeat, args=(reader,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert seen <= contents
    assert len(world.files()) == 1


class _Forbidden:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def test_no_version_of_an_object_is_lost_however_many_write_it_at_once(world: World) -> None:
    world.s3.put_bucket_versioning("bucket", "Enabled")
    writers, each, deleted = 8, 20, []

    def write(number: int) -> None:
        for turn in range(each):
            world.objects.write("bucket", "key", b"%d %d" % (number, turn))
            if turn % 4 == 0:  # and takes one of somebody's versions away
                with world.state.journal.change():
                    gone = world.objects_of("bucket", "key")[-1].version_id
                    world.s3.delete_object("bucket", "key", version_id=gone)
                    deleted.append(str(gone))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)

    left = [str(version.version_id) for version in world.objects_of("bucket", "key")]
    assert len(left) == len(set(left)) == writers * each - len(set(deleted))
    assert not set(left) & set(deleted)
    world.reopen()
    assert [str(version.version_id) for version in world.objects_of("bucket", "key")] == left
    assert len(world.files()) == len(left)


def test_a_snapshot_makes_no_class_that_is_not_on_the_list() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"may not hold a (posix|os|nt)\.system"):
        pickles.loads(pickle.dumps(_Forbidden()))


def test_a_snapshot_cannot_reach_through_a_module_of_motos() -> None:
    through = b"\x80\x04\x8c\x0emoto.s3.models\x8c\tos.system\x93."
    with pytest.raises(
        pickle.UnpicklingError, match=r"may not hold a moto\.s3\.models\.os\.system"
    ):
        pickles.loads(through)


def test_what_a_snapshot_could_not_read_back_is_not_written() -> None:
    with pytest.raises(pickle.PicklingError, match="may not keep a"):
        pickles.dumps({"type": Path}, lambda value: None)
    with pytest.raises(pickle.PicklingError, match=r"may not keep a builtins\.getattr"):
        pickles.dumps({"function": getattr}, lambda value: None)


def test_a_member_of_an_enumeration_is_kept_by_its_value() -> None:
    # Each Python pickles it in its own way, and some by calling getattr.
    data = pickles.dumps({"status": ExecutionStatus.SUCCEEDED}, lambda value: None)
    assert b"getattr" not in data
    assert pickles.loads(data)["status"] is ExecutionStatus.SUCCEEDED


def test_what_is_kept_elsewhere_is_a_reference_and_plain_values_are_not_asked_about() -> None:
    asked: list[Any] = []

    def refer(value: Any) -> tuple[str, ...] | None:
        asked.append(value)
        return ("path", str(value)) if isinstance(value, Path) else None

    data = pickles.dumps({"there": Path("/a"), "plain": ["text", 1, (2.0, b"x")]}, refer)
    found = pickles.loads(data, lambda reference: reference)
    assert found == {"there": ("path", "/a"), "plain": ["text", 1, (2.0, b"x")]}
    assert asked.count(Path("/a")) == 1
    assert not any(isinstance(value, str | int | float | bytes | list) for value in asked)
    with pytest.raises(pickle.UnpicklingError, match="a reference where none may be"):
        pickles.loads(data)


def test_locks_and_lambdas_inside_moto_are_made_anew() -> None:
    value = {
        "lock": threading.Lock(),
        "condition": threading.Condition(),
        "when": datetime.datetime.max,
    }
    value["tags"] = defaultdict(lambda: 1, {"a": 2})

    back = pickles.loads(pickles.dumps(value, lambda value: None))

    assert not back["lock"].locked()
    assert back["tags"] == {"a": 2}
    assert back["when"] == datetime.datetime.max


def test_a_service_that_cannot_be_kept_is_named_and_the_others_are_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    from moto.sns.models import sns_backends
    from moto.sqs.models import sqs_backends

    world.state.wait_until_loaded()
    sqs_backends[world.state.account]["us-east-1"].create_queue("kept", None)
    bad: Any = sns_backends[world.state.account]["us-east-1"]
    bad.unkeepable = (number for number in range(3))
    world.state.changed()

    world.reopen()
    world.state.wait_until_loaded()

    assert "the state of moto.sns.models cannot be kept" in caplog.text
    assert sqs_backends[world.state.account]["us-east-1"].get_queue("kept")


def test_what_an_object_announces_to_a_queue_is_kept_too(world: World) -> None:
    from moto.sqs.models import sqs_backends

    world.state.wait_until_loaded()
    queue: Any = sqs_backends[world.state.account]["us-east-1"].create_queue("announced", None)
    with world.state.journal.change():
        world.s3.put_bucket_notification_configuration(
            "bucket",
            {"QueueConfiguration": [{"Queue": queue.queue_arn, "Event": ["s3:ObjectCreated:*"]}]},
        )
    world.objects.write("bucket", "key", b"content")

    world.reopen()
    world.state.wait_until_loaded()

    queue = sqs_backends[world.state.account]["us-east-1"].get_queue("announced")
    messages = queue.messages
    assert '"key": "key"' in messages[-1].body


def test_the_state_of_another_version_is_refused_with_one_sentence(world: World) -> None:
    world.state.journal.put_snapshots({"format": b"0 moto-1.0 python-2.7"})
    world.state.close()
    with pytest.raises(
        LocalAwsError, match=r"written by another version \(0 moto-1\.0 python-2\.7"
    ):
        MotoState(world.home, port=1, region="us-east-1")
    world.state = _nothing()


def test_a_folder_in_use_is_refused_and_names_the_process(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.acquire()
    with pytest.raises(
        LocalAwsError, match=f"in use by the localaws with process id {os.getpid()}"
    ):
        second.acquire()
    first.retire()
    second.acquire()
    second.retire()
    assert (tmp_path.stat().st_mode & 0o777) == 0o700


def _nothing() -> Any:
    class Closed:
        def close(self) -> None:
            """There is nothing left to close."""

    return Closed()


class GivesWay:
    """A value whose pickling lets other threads run, as that of moto's own objects does."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        os.sched_yield()
        return GivesWay, ()


def test_a_record_is_written_whole_while_another_thread_adds_to_it() -> None:
    parts: dict[int, Any] = {number: GivesWay() for number in range(10)}
    done = threading.Event()

    def add() -> None:
        for number in range(100, 100_000):
            if done.is_set():
                return
            parts[number] = "part"
            parts.pop(number - 20, None)  # else each try would take longer than the one before
            done.wait(0.0005)

    other = threading.Thread(target=add)
    other.start()
    try:
        for _ in range(300):
            assert len(pickles.dumps({"parts": parts})) > 100
    finally:
        done.set()
        other.join()

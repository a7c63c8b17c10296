"""Archives of functions: what is unpacked, and what is refused."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from localaws.functions.code import CodeStore
from localaws.functions.errors import InvalidValue, NoSuchResource
from tests.functions_kit import packed
from tests.localaws_parts import FolderObjects


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    return CodeStore(tmp_path / "code", FolderObjects(tmp_path / "objects"))


def zip_of(name: str, mode: int = 0o644, data: bytes = b"x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, data)
    return packed.getvalue()


def test_an_archive_is_unpacked_once_and_found_by_its_hash(store: CodeStore) -> None:
    data = packed(app="X = 1", package__module="Y = 2")
    first, second = store.take({"ZipFile": data}), store.take({"ZipFile": data})
    assert first == second
    assert (store.content(first.digest) / "package" / "module.py").read_text() == "Y = 2"
    assert store.zipped(first.digest) == data


def test_a_program_in_an_archive_may_be_run(store: CodeStore) -> None:
    archive = store.take({"ZipFile": zip_of("tool", 0o755)})
    assert (store.content(archive.digest) / "tool").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zip at all", "Could not unzip"),
        (packed(app="X = 1")[:-30], "Could not unzip"),
        (zip_of("../outside.py"), "leaves its folder"),
        (zip_of("/etc/passwd"), "leaves its folder"),
        (zip_of("link", stat.S_IFLNK | 0o777, b"/etc"), "symbolic link"),
        (b"", "provide a source"),
    ],
)
def test_a_bad_archive_is_refused_and_leaves_nothing(
    store: CodeStore, tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        store.take({"ZipFile": data})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_code_that_is_not_in_s3_is_refused(store: CodeStore) -> None:
    with pytest.raises(InvalidValue, match="NoSuchKey"):
        store.take({"S3Bucket": "b", "S3Key": "k"})


@pytest.mark.parametrize("digest", ["../../records.sqlite", "0" * 64])
def test_only_archives_can_be_downloaded(store: CodeStore, digest: str) -> None:
    with pytest.raises(NoSuchResource):
        store.zipped(digest)

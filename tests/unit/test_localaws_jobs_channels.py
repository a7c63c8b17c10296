"""How keys become paths, what an input may name, and what goes back to S3."""

import json
import os
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from localaws.errors import ValidationError
from localaws.jobs import archive
from localaws.jobs.channels import Download, Upload, relative_path, split_uri
from localaws.jobs.spec import Input, JobFailed, Output
from tests.unit.job_kit import FolderObjects


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    objects = FolderObjects(tmp_path / "s3")
    objects.make_bucket("data")
    return objects


def fetch(
    objects: FolderObjects, folder: Path, prefix: str, is_manifest: bool = False
) -> dict[str, str]:
    """Downloads an input and returns its files with their texts."""
    channel = Input("in", f"s3://data/{prefix}", PurePosixPath("in"), is_manifest)
    download = Download(objects, channel, "us-east-1", "role")
    download.find()
    download.copy(folder, lambda: None)
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        ("p/train", "p/train/a/b.csv", "a/b.csv"),
        ("p/train/", "p/train/b.csv", "b.csv"),
        ("p/b.csv", "p/b.csv", "b.csv"),
        ("b.csv", "b.csv", "b.csv"),
        ("p/part-", "p/part-01.csv", "part-01.csv"),
        ("p/train", "p/train2/c.csv", "train2/c.csv"),
        ("", "p/b.csv", "p/b.csv"),
        ("p/", "p/", "./"),
        ("p", "p/", "./"),
        ("p", "p/empty/", "empty/"),
    ],
)
def test_a_file_keeps_what_follows_the_prefix(prefix: str, key: str, path: str) -> None:
    assert relative_path(key, prefix) == path


def test_folder_markers_make_folders_and_no_files(objects: FolderObjects, tmp_path: Path) -> None:
    for key in ("p/", "p/empty/", "p/a.txt"):
        objects.write("data", key, b"x" if key.endswith("t") else b"")
    assert fetch(objects, tmp_path / "in", "p") == {"a.txt": "x"}
    assert (tmp_path / "in" / "empty").is_dir()


@pytest.mark.parametrize("key", ["p/../../escaped", "p/a/../../../escaped", "p//etc/escaped"])
def test_a_key_that_leads_out_of_the_folder_is_refused(
    objects: FolderObjects, tmp_path: Path, key: str
) -> None:
    objects.write("data", key, b"x")
    with pytest.raises(JobFailed, match="leads out of the input's folder"):
        fetch(objects, tmp_path / "deep" / "in", "p")
    assert not list(tmp_path.rglob("escaped"))


def test_an_object_below_another_object_is_refused(objects: FolderObjects, tmp_path: Path) -> None:
    objects.write("data", "p/a", b"x")
    objects.write("data", "p/a/b", b"x")
    with pytest.raises(JobFailed, match="p/a/b cannot be a file and a folder at once"):
        fetch(objects, tmp_path / "in", "p")


def test_a_manifest_names_a_prefix_and_suffixes(objects: FolderObjects, tmp_path: Path) -> None:
    for key in ("p/a", "p/deep/b", "p/not-named"):
        objects.write("data", key, key.encode())
    manifest = [{"prefix": "s3://data/p/"}, "a", "deep/b"]
    objects.write("data", "list.manifest", json.dumps(manifest).encode())
    found = fetch(objects, tmp_path / "in", "list.manifest", is_manifest=True)
    assert found == {"a": "p/a", "deep/b": "p/deep/b"}


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"not json", "not a JSON list"),
        (b"[]", "not a JSON list"),
        (b'["s3://data/p/", "a"]', "not a JSON list"),
        (b'[{"prefix": "s3://data/p/"}, "ghost"]', "names s3://data/p/ghost"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_by_name(
    objects: FolderObjects, tmp_path: Path, manifest: bytes, words: str
) -> None:
    objects.write("data", "list.manifest", manifest)
    with pytest.raises(JobFailed, match=words):
        fetch(objects, tmp_path / "in", "list.manifest", is_manifest=True)


@pytest.mark.parametrize("uri", ["https://data/x", "s3://", "s3:///x", "data/x", ""])
def test_an_address_that_is_not_s3_is_refused(uri: str) -> None:
    with pytest.raises(ValidationError, match="must look like s3://bucket/prefix"):
        split_uri(uri)


def test_only_what_changed_is_uploaded_again(objects: FolderObjects, tmp_path: Path) -> None:
    folder = tmp_path / "ml" / "out"
    folder.mkdir(parents=True)
    (folder / "old").write_text("from S3")
    upload = Upload(
        objects,
        Output("s3://data/o", PurePosixPath("out"), continuous=True),
        tmp_path / "ml",
        tmp_path,
    )
    upload.know()
    (folder / "new").write_text("1")
    upload.sync()
    assert [item.key for item in objects.list("data", "")] == ["o/new"]
    (folder / "old").write_text("changed")
    upload.sync()
    assert objects.read("data", "o/old") == b"changed"


def test_links_inside_the_job_are_followed(objects: FolderObjects, tmp_path: Path) -> None:
    folder = tmp_path / "ml" / "out"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("w")
    (folder / "latest").symlink_to("weights")
    (folder / "absolute").symlink_to("/opt/ml/out/weights")
    os.mkfifo(folder / "pipe")
    Upload(objects, Output("s3://data/o", PurePosixPath("out")), tmp_path / "ml", tmp_path).sync()
    assert {item.key: objects.read("data", item.key) for item in objects.list("data", "")} == {
        "o/absolute": b"w",
        "o/latest": b"w",
        "o/weights": b"w",
    }


def test_an_archive_of_nothing_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    archive.write(tmp_path / "empty", tmp_path / "a.tar.gz")
    (tmp_path / "full").mkdir()
    archive.write(tmp_path / "full", tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_an_archive_comes_out_as_it_went_in(tmp_path: Path) -> None:
    code = tmp_path / "in" / "code"
    code.mkdir(parents=True)
    (code / "serve").write_text("#!/bin/sh")
    (code / "serve").chmod(0o700)
    (tmp_path / "in" / "latest").symlink_to("code/serve")
    archive.write(tmp_path / "in", tmp_path / "a.tar.gz")
    archive.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/latest").readlink() == Path("code/serve")
    assert (tmp_path / "out/latest").read_text() == "#!/bin/sh"
    assert os.access(tmp_path / "out/code/serve", os.X_OK)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../evil", tarfile.REGTYPE, "")], "leads out"),
        ([("/etc/evil", tarfile.REGTYPE, "")], "leads out"),
        ([("door", tarfile.SYMTYPE, "..")], "leads out"),
        ([("door", tarfile.SYMTYPE, "/etc")], "leads out"),
        ([("twin", tarfile.LNKTYPE, "../secret")], "leads out"),
        ([("a", tarfile.DIRTYPE, ""), ("a/b", tarfile.SYMTYPE, "../..")], "leads out"),
        ([("null", tarfile.CHRTYPE, "")], "is a device"),
    ],
)
def test_nothing_of_an_archive_leads_out_of_its_folder(
    tmp_path: Path, members: list[tuple[str, bytes, str]], reason: str
) -> None:
    (tmp_path / "secret").write_text("mine")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as packed:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            packed.addfile(member)
    with pytest.raises(tarfile.ExtractError, match=reason):
        archive.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"secret", "a.tar.gz", "out"}

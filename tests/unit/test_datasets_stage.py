"""Staging against moto's S3 through a real boto3 client."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError

from scones.datasets import Dataset, DatasetError, stage, staged
from scones.datasets.dataset import checksum

BUCKET = "scones-test"


@pytest.fixture
def s3(aws: None) -> Any:
    """A client of an empty bucket that keeps versions, so that every upload can be counted."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


def make_dataset(path: Path, content: bytes, name: str = "CIFAR-100 cut (a, b)") -> Dataset:
    path.write_bytes(content)
    return Dataset(
        name=name,
        description="A test archive.",
        origin=str(path),
        path=path,
        sha256=checksum(path),
        size=len(content),
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "cut.tar.gz", b"twelve bytes")


def test_what_was_staged_can_be_asked_of_the_object_alone(s3: Any, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "a.tar.gz", b"bytes", name="Fahrräder, 50 %")
    uri = stage(dataset, bucket=BUCKET, s3=s3)
    assert staged(uri, s3) == (uri, dataset.sha256, "Fahrräder, 50 %")


def uploads(s3: Any) -> list[str]:
    return [v["Key"] for v in s3.list_object_versions(Bucket=BUCKET).get("Versions", [])]


def test_an_archive_is_staged_under_its_name_and_hash(s3: Any, dataset: Dataset) -> None:
    uri = stage(dataset, bucket=BUCKET, s3=s3)
    assert dataset.sha256
    key = f"raw/cifar-100-cut-a-b/{dataset.sha256[:16]}/cut.tar.gz"
    assert uri == f"s3://{BUCKET}/{key}"
    found = s3.get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == b"twelve bytes"
    assert found["Metadata"] == {
        "sha256": dataset.sha256,
        "rendered": "false",
        "name": "CIFAR-100 cut (a, b)",
    }


def test_the_same_archive_is_uploaded_once(s3: Any, dataset: Dataset) -> None:
    first = stage(dataset, bucket=BUCKET, s3=s3)
    assert stage(dataset, bucket=BUCKET, s3=s3) == first
    assert len(uploads(s3)) == 1


def test_another_archive_of_the_same_name_gets_its_own_place(
    s3: Any, dataset: Dataset, tmp_path: Path
) -> None:
    other = make_dataset(tmp_path / "cut.tar.gz", b"other bytes!")
    assert stage(dataset, bucket=BUCKET, s3=s3) != stage(other, bucket=BUCKET, s3=s3)


@pytest.mark.parametrize("wrong", [b"TWELVE BYTES", b"short"], ids=["same-size", "other-size"])
def test_an_object_that_is_not_the_archive_is_replaced(
    s3: Any, dataset: Dataset, wrong: bytes
) -> None:
    uri = stage(dataset, bucket=BUCKET, s3=s3)
    key = uri.removeprefix(f"s3://{BUCKET}/")
    s3.put_object(Bucket=BUCKET, Key=key, Body=wrong)
    stage(dataset, bucket=BUCKET, s3=s3)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"twelve bytes"


def test_a_large_archive_goes_up_in_parts_with_progress(s3: Any, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(20_000_000)
    dataset = make_dataset(tmp_path / "large.tar.gz", content, "CIFAR-100")
    seen: list[tuple[int, int | None]] = []
    uri = stage(
        dataset, bucket=BUCKET, s3=s3, progress=lambda done, total: seen.append((done, total))
    )
    key = uri.removeprefix(f"s3://{BUCKET}/")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content
    assert seen == sorted(seen)
    assert seen[-1] == (20_000_000, 20_000_000)
    assert len(seen) > 10


def test_an_upload_that_fails_half_way_leaves_nothing(s3: Any, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "large.tar.gz", bytes(20_000_000))
    parts = threading.Semaphore(1)

    def fail_after_the_first(**_: object) -> None:
        if not parts.acquire(blocking=False):
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")

    s3.meta.events.register("before-call.s3.UploadPart", fail_after_the_first)
    with pytest.raises(DatasetError, match="could not be uploaded to s3://scones-test/raw/"):
        stage(dataset, bucket=BUCKET, s3=s3)
    assert not uploads(s3)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_bucket_that_does_not_exist_is_told_in_one_sentence(s3: Any, dataset: Dataset) -> None:
    with pytest.raises(
        DatasetError, match=r"the bucket does not exist.*check the bucket"
    ) as caught:
        stage(dataset, bucket="scones-nowhere", s3=s3)
    assert "\n" not in str(caught.value)


def test_a_file_that_has_gone_is_told(s3: Any, dataset: Dataset) -> None:
    assert dataset.path
    dataset.path.unlink()
    with pytest.raises(DatasetError, match=r"cut.tar.gz cannot be read \(No such file"):
        stage(dataset, bucket=BUCKET, s3=s3)


def in_s3(key: str) -> Dataset:
    uri = f"s3://{BUCKET}/{key}"
    return Dataset(name="archive a.tar.gz", description="In S3.", origin=uri, uri=uri)


def test_an_archive_in_the_bucket_stays_where_it_is(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="mine/a.tar.gz", Body=b"twelve bytes")
    assert stage(in_s3("mine/a.tar.gz"), bucket=BUCKET, s3=s3) == f"s3://{BUCKET}/mine/a.tar.gz"
    assert uploads(s3) == ["mine/a.tar.gz"]


def test_an_archive_of_another_bucket_is_copied_where_the_jobs_may_read_it(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="mine/a.tar.gz", Body=b"twelve bytes")
    s3.create_bucket(Bucket="another")
    uri = stage(in_s3("mine/a.tar.gz"), bucket="another", s3=s3)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    assert (bucket, key.split("/")[0]) == ("another", "raw")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"twelve bytes"


def test_a_bucket_that_cannot_be_written_is_told_with_both_addresses(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="mine/a.tar.gz", Body=b"twelve bytes")
    with pytest.raises(DatasetError, match="could not be copied to s3://nowhere/raw/"):
        stage(in_s3("mine/a.tar.gz"), bucket="nowhere", s3=s3)


def test_an_archive_that_is_not_in_s3_is_told(s3: Any) -> None:
    with pytest.raises(DatasetError, match=r"mine/a.tar.gz cannot be read \(it does not exist\)"):
        stage(in_s3("mine/a.tar.gz"), bucket=BUCKET, s3=s3)


def test_an_empty_object_is_told(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="empty.tar.gz", Body=b"")
    with pytest.raises(DatasetError, match=r"empty.tar.gz is empty"):
        stage(in_s3("empty.tar.gz"), bucket=BUCKET, s3=s3)


def test_a_file_name_with_spaces_and_signs_becomes_a_plain_key(
    s3: Any, dataset: Dataset, tmp_path: Path
) -> None:
    odd = make_dataset(tmp_path / "my data (ü) #1.TGZ", b"x", name="archive my data (ü) #1.TGZ")
    uri = stage(odd, bucket=BUCKET, s3=s3)
    assert odd.sha256
    assert uri.endswith(f"/raw/archive-my-data-1-tgz/{odd.sha256[:16]}/my-data-1.tar.gz")
    assert replace(odd, sha256=None) != odd
    assert stage(replace(odd, sha256=None), bucket=BUCKET, s3=s3) == uri
    assert len(uploads(s3)) == 1

"""The archive is read without being trusted."""

import gzip
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steps import cifar
from steps.gunzip import Gunzip
from steps.job import StepError
from tests import archives


def _read(path: Path) -> dict[str, Any]:
    return dict(cifar.read(path))


def _with_train(path: Path, **changes: Any) -> Path:
    train = archives.two_classes(4, 1) | {key.encode(): value for key, value in changes.items()}
    return archives.write_archive(
        path, train=train, test=archives.two_classes(4, 2), meta=archives.meta()
    )


def test_a_sound_archive_gives_its_names_pixels_labels_and_file_names(tmp_path: Path) -> None:
    train = archives.two_classes(4, 1)
    path = archives.write_archive(
        tmp_path / "a.tar.gz", train=train, test=archives.two_classes(2, 2), meta=archives.meta()
    )
    parts = _read(path)
    assert set(parts) == {"train", "test", "meta"}
    assert parts["meta"].class_names[48] == "motorcycle"
    assert parts["meta"].dataset_name is None
    assert [parts["train"].pixels(i) for i in range(11)] == [
        row.tobytes() for row in train[b"data"]
    ]
    assert parts["train"].labels == train[b"fine_labels"]
    assert parts["train"].filenames[0] == "image_000000.png"


def test_an_array_that_was_stored_column_by_column_gives_the_same_pixels(tmp_path: Path) -> None:
    train = archives.two_classes(4, 1)
    path = _with_train(tmp_path / "a.tar.gz", data=np.asfortranarray(train[b"data"]))
    pixels = _read(path)["train"].pixels
    assert [pixels(i) for i in range(11)] == [row.tobytes() for row in train[b"data"]]


def test_an_array_with_fewer_bytes_than_its_shape_says_is_refused(tmp_path: Path) -> None:
    good = archives.python2_pickle(archives.two_classes(4, 1))
    shape = b"J" + (11).to_bytes(4, "little")
    bad = good.replace(shape, b"J" + (12).to_bytes(4, "little"), 1)
    path = archives.write_archive(tmp_path / "a.tar.gz", train=bad, meta=archives.meta())
    with pytest.raises(StepError, match="has 33792 bytes, which is not 12×3072"):
        _read(path)


def test_a_set_that_names_itself_is_known_by_that_name(tmp_path: Path) -> None:
    path = archives.good_archive(tmp_path / "a.tar.gz", dataset_name=b"rendered")
    assert _read(path)["meta"].dataset_name == "rendered"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_archive_is_refused_with_one_sentence(tmp_path: Path, share: float) -> None:
    whole = archives.good_archive(tmp_path / "whole.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(StepError, match=r"cut\.tar\.gz is truncated.*fetch it again"):
        _read(cut)


def test_an_archive_that_lacks_no_more_than_its_checksum_is_refused(tmp_path: Path) -> None:
    path = archives.good_archive(tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StepError, match="is truncated"):
        _read(path)


def test_a_damaged_archive_is_refused_even_when_only_its_checksum_is_wrong(tmp_path: Path) -> None:
    path = archives.good_archive(tmp_path / "a.tar.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # within gzip's CRC
    path.write_bytes(content)
    with pytest.raises(StepError, match="is damaged"):
        _read(path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(StepError, match="not a gzip file"):
        _read(path)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "cifar-100-python/../../evil"])
def test_a_member_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    path = archives.write_archive(
        tmp_path / "a.tar.gz", more=[(tarfile.TarInfo(name), b"x")], meta=archives.meta()
    )
    with pytest.raises(StepError, match="climbs out of the folder"):
        _read(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("cifar-100-python/train")
    link.type, link.linkname = kind, "/etc/passwd"
    path = archives.write_archive(tmp_path / "a.tar.gz", more=[(link, b"")])
    with pytest.raises(StepError, match="is a link or a device"):
        _read(path)


def test_a_member_that_claims_a_giant_size_is_refused_unread(tmp_path: Path) -> None:
    giant = tarfile.TarInfo("cifar-100-python/train")
    giant.size = cifar.MEMBER_LIMIT + 1
    packed = io.BytesIO(giant.tobuf())
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(packed.getvalue() + bytes(1 << 16)))
    with pytest.raises(StepError, match="has more than 512 MB"):
        _read(path)


def test_a_stream_that_unfolds_beyond_the_limit_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(4 << 20)))
    with Gunzip(path, limit=1 << 20) as source, pytest.raises(StepError, match="more than 1 MB"):
        source.drain()


class _Evil:
    """A pickle that would make a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_another_global_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    evil = pickle.dumps(_Evil(trace), protocol=2)
    pickle.loads(evil)  # noqa: S301 # the proof that it would run
    assert trace.exists()
    trace.rmdir()
    path = archives.write_archive(tmp_path / "a.tar.gz", train=evil, meta=archives.meta())
    with pytest.raises(StepError, match=r"member train names the global (posix|nt)\.mkdir"):
        _read(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["os\nsystem", "numpy\nload", "numpy\nndarray.tofile", "builtins\neval"]
)
def test_only_the_three_globals_of_an_array_are_known(tmp_path: Path, name: str) -> None:
    pickled = b"\x80\x02c" + name.encode() + b"\n."
    path = archives.write_archive(tmp_path / "a.tar.gz", meta=pickled)
    with pytest.raises(StepError, match="which no CIFAR-100 archive needs"):
        _read(path)


@pytest.mark.parametrize(
    "pickled", [b"", b"garbage", b"\x80\x02}(u", b"\x80\x02T\xff\xff\xff\x7fx."]
)
def test_a_broken_pickle_is_refused(tmp_path: Path, pickled: bytes) -> None:
    path = archives.write_archive(tmp_path / "a.tar.gz", meta=pickled)
    with pytest.raises(StepError, match="member meta is not a sound pickle"):
        _read(path)


@pytest.mark.parametrize("missing", ["train", "test", "meta"])
def test_an_archive_without_one_of_its_parts_is_refused(tmp_path: Path, missing: str) -> None:
    parts: dict[str, Any] = {
        "train": archives.two_classes(2, 1),
        "test": archives.two_classes(2, 2),
        "meta": archives.meta(),
    }
    del parts[missing]
    path = archives.write_archive(tmp_path / "a.tar.gz", **parts)
    with pytest.raises(StepError, match=f"has no {missing} below"):
        _read(path)


@pytest.mark.parametrize("shape", [(11, 3071), (11, 3, 32, 32), (11 * 3072,)])
def test_an_array_of_the_wrong_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = _with_train(tmp_path / "a.tar.gz", data=np.zeros(shape, np.uint8))
    with pytest.raises(StepError, match=r"member train: data has the shape .* and not N×3072"):
        _read(path)


@pytest.mark.parametrize("data", [np.zeros((11, 3072), np.float32), b"pixels", [1, 2], None])
def test_data_that_is_no_array_of_bytes_is_refused(tmp_path: Path, data: Any) -> None:
    path = _with_train(tmp_path / "a.tar.gz", data=data)
    with pytest.raises(StepError, match="data is not an array of uint8"):
        _read(path)


@pytest.mark.parametrize("key", ["fine_labels", "filenames"])
def test_labels_and_images_of_different_lengths_are_refused(tmp_path: Path, key: str) -> None:
    shorter = archives.two_classes(4, 1)[key.encode()][:-1]
    path = _with_train(tmp_path / "a.tar.gz", **{key: shorter})
    with pytest.raises(StepError, match=r"train has 11 images, 1[01] labels and 1[01] file names"):
        _read(path)


@pytest.mark.parametrize("labels", [[100] * 11, [-1] * 11, [True] * 11, [b"8"] * 11, None])
def test_labels_that_are_no_fine_labels_are_refused(tmp_path: Path, labels: Any) -> None:
    path = _with_train(tmp_path / "a.tar.gz", fine_labels=labels)
    with pytest.raises(StepError, match=r"fine.label"):
        _read(path)

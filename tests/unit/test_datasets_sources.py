"""Which data is taken, and what is said of it."""

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scones.datasets import Dataset, DatasetError, resolve
from scones.datasets.dataset import CUT, OFFICIAL, KnownArchive, checksum
from scones.datasets.rendered import render

CONTENT = b"stands for the official archive, which has 169 MB"
REAL = Path(
    os.environ.get("SCONES_DATA")
    or Path(__file__).parents[3] / "shared/data/cifar-100-python-bicycle-motorcycle.tar.gz"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Place:
    """A project folder, a cache, and a web server that has the "official" archive."""

    def __init__(self, folder: Path, port: int) -> None:
        self.project = folder / "project"
        self.cache = folder / "cache"
        self.web = folder / "web"
        self.address = f"http://127.0.0.1:{port}"
        for path in (self.project, self.web):
            path.mkdir()
        (self.web / "official.tar.gz").write_bytes(CONTENT)
        self.official = KnownArchive(
            name="CIFAR-100",
            size=len(CONTENT),
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            md5=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
            url=f"{self.address}/official.tar.gz",
        )

    def resolve(self, data: str | None = None, **environ: str) -> Dataset:
        return resolve(
            data,
            environ=environ,
            project_root=self.project,
            cache=self.cache,
            official=self.official,
        )

    def beside(self, content: bytes) -> Path:
        path = (
            self.project.parent / "shared/data/cifar-100-python-bicycle-motorcycle.tar.gz"
        ).resolve()
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = partial(Quiet, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Place(tmp_path, server.server_port)
        server.shutdown()


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and text[0].isupper()


def test_an_unknown_archive_is_called_by_its_file_and_nothing_more(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "cifar-100-python.tar.gz"
    path.write_bytes(b"not it")
    dataset = place.resolve(str(path))
    assert dataset.name == "archive cifar-100-python.tar.gz"
    assert (dataset.path, dataset.size, dataset.rendered) == (path, 6, False)
    assert dataset.sha256 == checksum(path)
    assert dataset.description == f"Archive cifar-100-python.tar.gz, from {path}, as --data says."


def test_the_official_archive_is_known_by_its_bytes_under_any_name(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "whatever.bin"
    path.write_bytes(CONTENT)
    assert place.resolve(str(path)).name == "CIFAR-100"


@pytest.mark.skipif(not REAL.is_file(), reason="the real images are not on this machine")
def test_the_cut_of_the_real_images_is_known_by_its_bytes(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "renamed.tar.gz"
    path.write_bytes(REAL.read_bytes())
    if checksum(path) == CUT.sha256:
        assert place.resolve(str(path)).name == "CIFAR-100 cut (bicycle, motorcycle)"
    else:  # SCONES_DATA names another archive
        assert place.resolve(str(path)).name in ("CIFAR-100", "archive renamed.tar.gz")


def test_drawn_images_never_pass_for_cifar(place: Place, tmp_path: Path) -> None:
    path = render(tmp_path / "cifar-100-python.tar.gz", seed=3, train_per_class=2, test_per_class=1)
    dataset = place.resolve(str(path))
    assert dataset.name == "rendered images (not CIFAR-100)"
    assert dataset.rendered


def test_rendered_draws_a_set_in_the_cache(place: Place) -> None:
    dataset = place.resolve("rendered")
    assert dataset.rendered
    assert dataset.path == place.cache / "rendered-images.tar.gz"
    assert dataset.description == (
        "Rendered images (not CIFAR-100), drawn by this project, as --data says."
    )


def test_cifar100_is_downloaded_once_and_then_taken_from_the_cache(place: Place) -> None:
    first = place.resolve("cifar100")
    assert first.name == "CIFAR-100"
    assert first.path is not None
    assert first.path.read_bytes() == CONTENT
    assert f"downloaded from {place.address}/official.tar.gz" in first.description
    (place.web / "official.tar.gz").unlink()
    second = place.resolve("cifar100")
    assert "from the cache" in second.description
    assert replace(second, description=first.description) == first


def test_a_mirror_is_named_by_the_environment_and_checked_like_the_original(place: Place) -> None:
    mirror = f"{place.address}/mirror.tar.gz"
    (place.web / "mirror.tar.gz").write_bytes(CONTENT)
    assert place.resolve("cifar100", SCONES_CIFAR100_URL=mirror).origin == mirror
    (place.cache / "cifar-100-python.tar.gz").unlink()
    (place.web / "mirror.tar.gz").write_bytes(CONTENT[::-1])
    with pytest.raises(DatasetError, match="not the expected"):
        place.resolve("cifar100", SCONES_CIFAR100_URL=mirror)


def test_an_address_is_downloaded_into_a_place_of_its_own(place: Place) -> None:
    for folder, content in (("a", b"one"), ("b", b"two")):
        (place.web / folder).mkdir()
        (place.web / folder / "set.tar.gz").write_bytes(content)
    paths = [place.resolve(f"{place.address}/{folder}/set.tar.gz").path for folder in "ab"]
    assert [path.read_bytes() for path in paths if path] == [b"one", b"two"]
    assert place.resolve(f"{place.address}/a/set.tar.gz").name == "archive set.tar.gz"


def test_a_file_name_in_an_address_cannot_climb_out_of_the_cache(place: Place) -> None:
    (place.web / "official.tar.gz").rename(place.web / "..%2f..%2fevil")
    dataset = place.resolve(f"{place.address}/..%252f..%252fevil?x=1")
    assert dataset.path is not None
    assert dataset.path.is_relative_to(place.cache / "downloads")
    assert dataset.origin == f"{place.address}/..%252f..%252fevil"
    dots = place.resolve(f"{place.address}/%2e%2e")
    assert dots.path is not None
    assert dots.path.name == "archive.tar.gz"


def test_an_archive_in_s3_is_not_downloaded(place: Place) -> None:
    dataset = place.resolve("s3://bucket/raw/set.tar.gz")
    assert (dataset.uri, dataset.path, dataset.sha256) == (
        "s3://bucket/raw/set.tar.gz",
        None,
        None,
    )
    assert dataset.name == "archive set.tar.gz"
    assert is_one_sentence(dataset.description)


def test_without_data_the_environment_decides(place: Place, tmp_path: Path) -> None:
    place.beside(b"beside")
    path = tmp_path / "mine.tar.gz"
    path.write_bytes(b"mine")
    dataset = place.resolve(SCONES_DATA=str(path))
    assert dataset.path == path
    assert dataset.description.endswith("as SCONES_DATA says.")
    assert place.resolve("cifar100", SCONES_DATA=str(path)).name == "CIFAR-100"


def test_without_data_and_environment_the_archive_beside_the_project_is_taken(
    place: Place,
) -> None:
    path = place.beside(b"beside")
    dataset = place.resolve(SCONES_DATA="")
    assert dataset.path == path
    assert dataset.description.endswith("because it lies beside the project.")


def test_without_any_data_here_the_official_archive_is_downloaded(place: Place) -> None:
    dataset = place.resolve()
    assert dataset.name == "CIFAR-100"
    assert dataset.description.endswith("because no other data was named.")


def test_where_nothing_can_be_had_images_are_drawn_and_the_reason_is_said(place: Place) -> None:
    (place.web / "official.tar.gz").unlink()
    dataset = place.resolve()
    assert dataset.rendered
    assert dataset.name == "rendered images (not CIFAR-100)"
    assert "CIFAR-100 cannot be had here" in dataset.description
    assert "404 File not found" in dataset.description
    assert is_one_sentence(dataset.description)


def test_cifar100_that_was_asked_for_is_never_replaced_by_drawings(place: Place) -> None:
    (place.web / "official.tar.gz").unlink()
    with pytest.raises(DatasetError, match="404"):
        place.resolve("cifar100")
    assert not (place.cache / "rendered-images.tar.gz").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere.tar.gz", "--data nowhere.tar.gz is no file that is there: pass a path"),
        ("/", "--data / is a folder"),
        ("/dev/null", "is no file that is there"),
        ("a" * 300, "is no file that is there"),
        ("ftp://host/a.tar.gz", "unknown kind of address"),
        ("s3://bucket", "names no object"),
        ("s3://bucket/folder/", "names no object"),
        ("https://", "is no valid web address"),
        ("https://host:port/a.tar.gz", "is no valid web address"),
        ("https://[::1/a.tar.gz", "is no valid web address"),
    ],
)
def test_data_that_is_no_data_is_told_in_one_sentence(place: Place, data: str, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        place.resolve(data)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_told(place: Place, tmp_path: Path) -> None:
    (tmp_path / "empty.tar.gz").touch()
    with pytest.raises(DatasetError, match=r"empty.tar.gz is empty"):
        place.resolve(str(tmp_path / "empty.tar.gz"))


def test_the_official_archive_is_the_published_one() -> None:
    assert OFFICIAL.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert OFFICIAL.size == 169_001_437
    assert OFFICIAL.url.startswith("https://www.cs.toronto.edu/")

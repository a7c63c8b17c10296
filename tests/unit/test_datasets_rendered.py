"""The drawn set: CIFAR-100's layout to the byte, its own honest name, and a fair exercise."""

import itertools
import pickletools
import shutil
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from scones.datasets.dataset import DatasetError, checksum
from scones.datasets.rendered import is_rendered, render
from steps.cifar import Meta, Split, read

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole set in its default size."""
    return render(tmp_path_factory.mktemp("rendered") / "rendered.tar.gz")


@pytest.fixture(scope="module")
def parts(archive: Path) -> dict[str, Meta | Split]:
    """What the pipeline's own restricted reader makes of it."""
    return dict(read(archive))


def split(parts: dict[str, Meta | Split], name: str) -> Split:
    part = parts[name]
    assert isinstance(part, Split)
    return part


def pixels(part: Split) -> Pixels:
    """The images as rows of 3,072 bytes."""
    rows = [part.pixels(row) for row in range(len(part.labels))]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 3072)


def images(part: Split) -> Pixels:
    """The images as N × 32 × 32 × 3."""
    return pixels(part).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    sums = [
        checksum(render(tmp_path / f"{i}.tar.gz", seed=seed, train_per_class=3, test_per_class=1))
        for i, seed in enumerate([7, 7, 8])
    ]
    assert sums[0] == sums[1] != sums[2]
    gzip_header = (tmp_path / "0.tar.gz").read_bytes()[:10]
    assert gzip_header[3:8] == bytes(5)  # no file name, no time


def test_an_image_stays_the_same_when_others_are_added(tmp_path: Path) -> None:
    def drawn(count: int) -> set[bytes]:
        path = render(tmp_path / "r.tar.gz", train_per_class=count, test_per_class=1)
        return {row.tobytes() for row in pixels(split(dict(read(path)), "train"))}

    assert drawn(2) < drawn(3)


def test_the_pipeline_reads_it_as_it_reads_the_official_archive(
    parts: dict[str, Meta | Split],
) -> None:
    meta = parts["meta"]
    assert isinstance(meta, Meta)
    assert len(meta.class_names) == len(set(meta.class_names)) == 100
    assert (meta.class_names[8], meta.class_names[48]) == ("bicycle", "motorcycle")
    assert meta.class_names == sorted(meta.class_names)
    for name, per_class in (("train", 500), ("test", 100)):
        part = split(parts, name)
        assert pixels(part).shape == (2 * per_class, 3072)
        assert np.bincount(part.labels, minlength=100)[[8, 48]].tolist() == [per_class] * 2
        assert len(set(part.filenames)) == 2 * per_class


def test_it_says_itself_that_it_is_not_cifar(parts: dict[str, Meta | Split]) -> None:
    meta = parts["meta"]
    assert isinstance(meta, Meta)
    assert meta.dataset_name == "rendered images (not CIFAR-100)"


def test_its_pickles_hold_only_what_python_2_wrote_into_the_official_ones(archive: Path) -> None:
    strings = set()
    with tarfile.open(archive) as tar:
        assert [m.name for m in tar] == [f"cifar-100-python/{n}" for n in ("meta", "train", "test")]
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            opcodes = [(code.name, arg) for code, arg, _ in pickletools.genops(file.read())]
            assert opcodes[0] == ("PROTO", 2)
            named = {arg for name, arg in opcodes if name == "GLOBAL"}
            expected = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
            assert named == (set() if member.name.endswith("meta") else expected)
            strings |= {name for name, arg in opcodes if isinstance(arg, str)}
    assert strings == {"GLOBAL", "SHORT_BINSTRING", "BINSTRING"}


def test_no_image_occurs_twice_within_or_across_the_splits(parts: dict[str, Meta | Split]) -> None:
    rows = [row.tobytes() for name in ("train", "test") for row in pixels(split(parts, name))]
    assert len(set(rows)) == len(rows) == 1200


def test_every_image_shows_something(parts: dict[str, Meta | Split]) -> None:
    spread = pixels(split(parts, "train")).std(axis=1)
    assert spread.min() > 4  # levels; a blank image has 0
    assert np.median(spread) > 25


def test_shapes_tell_the_classes_apart_and_colours_do_not(
    parts: dict[str, Meta | Split],
) -> None:
    train, test = split(parts, "train"), split(parts, "test")

    def accuracy(train_features: npt.NDArray[np.float64], test_features: object) -> float:
        mean, deviation = train_features.mean(0), train_features.std(0) + 1e-6
        x = np.column_stack([(train_features - mean) / deviation, np.ones(len(train_features))])
        z = np.column_stack([(test_features - mean) / deviation, np.ones(len(test.labels))])
        target = np.where(np.array(train.labels) == 48, 1.0, -1.0)
        weights = np.linalg.solve(x.T @ x + 100 * np.eye(x.shape[1]), x.T @ target)
        return float(np.mean((z @ weights > 0) == (np.array(test.labels) == 48)))

    by_shape = accuracy(outlines(images(train)), outlines(images(test)))
    by_colour = accuracy(images(train).mean((1, 2)), images(test).mean((1, 2)))
    assert 0.68 < by_shape < 0.95  # 0.78 on the real images, with the same few lines
    assert by_colour < 0.62  # 0.50 on the real images


def outlines(images: Pixels) -> npt.NDArray[np.float64]:
    """Histograms of edge directions, 8 of them in each 8×8 field, as in HOG: (N, 128)."""
    grey = images.mean(axis=3)
    across, down = np.gradient(grey, axis=2), np.gradient(grey, axis=1)
    strength, direction = np.hypot(across, down), np.arctan2(down, across) % np.pi
    step = (direction / np.pi * 8).astype(int) % 8
    fields = [
        np.where(step == k, strength, 0).reshape(-1, 4, 8, 4, 8).sum((2, 4)).reshape(len(grey), -1)
        for k in range(8)
    ]
    features = np.concatenate(fields, axis=1)
    return np.asarray(np.sqrt(features / (features.sum(1, keepdims=True) + 1e-6)))


def test_it_is_recognised_under_any_name(archive: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "cifar-100-python.tar.gz"
    shutil.copy(archive, renamed)
    assert is_rendered(renamed)


def test_what_cannot_be_read_is_not_taken_for_rendered(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for number, content in enumerate([b"", b"no archive", whole[:20], whole[1:]]):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(content)
        assert not is_rendered(path)


def test_any_damage_to_the_first_bytes_is_survived(archive: Path, tmp_path: Path) -> None:
    head = archive.read_bytes()[:4096]
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.tar.gz"
    for position, value in itertools.product(rng.integers(0, 1000, 60).tolist(), (0, 255)):
        path.write_bytes(head[:position] + bytes([value]) + head[position + 1 :])
        is_rendered(path)  # must not raise


def test_a_place_that_cannot_be_written_is_told_and_keeps_what_it_had(tmp_path: Path) -> None:
    folder = tmp_path / "rendered.tar.gz"
    folder.mkdir()
    with pytest.raises(DatasetError, match=r"rendered.tar.gz cannot be written \(Is a directory\)"):
        render(folder, train_per_class=1, test_per_class=1)
    assert list(tmp_path.iterdir()) == [folder]

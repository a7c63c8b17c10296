"""Prepare: from an archive to judged files."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steps import cifar, prepare
from steps.job import StepError
from tests import archives

ROOT = Path(__file__).parents[2]
BICYCLE, MOTORCYCLE = archives.BICYCLE, archives.MOTORCYCLE


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return archives.good_archive(tmp_path / "small.tar.gz")


def _prepare(archive: Path, output: Path, *more: str) -> dict[str, Any]:
    prepare.main(["--input", str(archive), "--output", str(output), *more])
    record: dict[str, Any] = json.loads((output / "dataset/dataset.json").read_text())
    return record


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _rows(output: Path, split: str) -> list[list[str]]:
    lines = (output / f"dataset/{split}.lst").read_text().splitlines()
    return [line.split("\t") for line in lines]


def test_each_image_is_written_with_its_own_pixels_and_listed_with_its_label(
    archive: Path, tmp_path: Path
) -> None:
    _prepare(archive, tmp_path / "out")
    test = dict(cifar.read(archive))["test"]
    assert isinstance(test, cifar.Split)
    rows = _rows(tmp_path / "out", "test")
    assert len(rows) == 24
    assert [row[0] for row in rows] == [str(i) for i in range(24)]
    for _, label, name in rows:
        index = test.filenames.index(name)
        assert test.labels[index] == (BICYCLE, MOTORCYCLE)[int(label)]
        with Image.open(tmp_path / "out/test" / name) as image:
            assert image.mode == "RGB"
            planar = np.asarray(image).transpose(2, 0, 1)
            assert planar.tobytes() == test.pixels(index)
    assert {row[2] for row in rows} == set(os.listdir(tmp_path / "out/test"))


def test_the_record_says_what_was_read_and_how_it_was_divided(
    archive: Path, tmp_path: Path
) -> None:
    record = _prepare(archive, tmp_path / "out", "--dataset-name", "a cut of CIFAR-100")
    assert record == {
        "name": "a cut of CIFAR-100",
        "source": "small.tar.gz",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "bytes": archive.stat().st_size,
        "classes": ["bicycle", "motorcycle"],
        "counts": {
            "train": {"bicycle": 27, "motorcycle": 27},
            "validation": {"bicycle": 3, "motorcycle": 3},
            "test": {"bicycle": 12, "motorcycle": 12},
        },
        "images": {"train": 54, "validation": 6, "test": 24},
        "validation_share": 0.1,
        "seed": 0,
        "set_aside": [],
    }


def test_the_same_archive_gives_the_same_bytes_in_another_process(
    archive: Path, tmp_path: Path
) -> None:
    _prepare(archive, tmp_path / "one")
    command = [sys.executable, "-m", "steps.prepare", "--input", str(archive)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    subprocess.run(
        [*command, "--output", str(tmp_path / "two")], check=True, env=environment, cwd=tmp_path
    )
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")


def test_validation_is_chosen_by_content_and_not_by_the_archives_order(tmp_path: Path) -> None:
    train = archives.two_classes(30, 1)
    order = np.random.default_rng(5).permutation(len(train[b"fine_labels"]))
    shuffled = archives.split(
        train[b"data"][order],
        [train[b"fine_labels"][i] for i in order],
        [train[b"filenames"][i].decode() for i in order],
    )
    held_out = []
    for name, part in {"one": train, "two": shuffled}.items():
        path = archives.write_archive(
            tmp_path / f"{name}.tar.gz",
            train=part,
            test=archives.two_classes(12, 2),
            meta=archives.meta(),
        )
        _prepare(path, tmp_path / name)
        held_out.append({row[2] for row in _rows(tmp_path / name, "validation")})
    assert held_out[0] == held_out[1]
    assert len(held_out[0]) == 6


def test_another_seed_holds_out_other_images_and_leaves_test_alone(
    archive: Path, tmp_path: Path
) -> None:
    _prepare(archive, tmp_path / "one")
    _prepare(archive, tmp_path / "two", "--seed", "1", "--validation-share", "0.2")
    one, two = (_rows(tmp_path / name, "validation") for name in ("one", "two"))
    assert len(two) == 12
    assert {row[2] for row in one} - {row[2] for row in two}
    assert _contents(tmp_path / "one/test") == _contents(tmp_path / "two/test")


def test_a_set_that_names_itself_keeps_its_name_whatever_it_is_called(tmp_path: Path) -> None:
    archive = archives.good_archive(tmp_path / "a.tar.gz", dataset_name=b"rendered by scones")
    record = _prepare(archive, tmp_path / "out", "--dataset-name", "CIFAR-100")
    assert record["name"] == "rendered by scones"


def test_an_archive_that_nobody_named_is_called_unnamed(archive: Path, tmp_path: Path) -> None:
    assert _prepare(archive, tmp_path / "out")["name"] == "unnamed archive small.tar.gz"


def test_unusable_images_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    train, test = archives.two_classes(30, 1), archives.two_classes(12, 2)
    pixels = train[b"data"]
    pixels[0] = 200  # blank
    pixels[2, :] = pixels[4]  # repeated: row 4 goes
    pixels[1].reshape(3, 32, 32)[:, 14:] = 128  # cut off
    pixels[6] = pixels[7]  # a bicycle that is a motorcycle too
    pixels[8] = test[b"data"][0]  # in test as well
    pixels[9] = test[b"data"][2]  # a bicycle in test, a motorcycle here
    path = archives.write_archive(
        tmp_path / "a.tar.gz", train=train, test=test, meta=archives.meta()
    )
    record = _prepare(path, tmp_path / "out")
    two_labels = "the same image is labelled bicycle and motorcycle"
    assert [(c["split"], c["index"], c["class"], c["reason"]) for c in record["set_aside"]] == [
        ("train", 0, "bicycle", "blank: all its pixels are the same"),
        ("train", 1, "motorcycle", "corrupt: cut off, its lower half is empty"),
        ("train", 4, "bicycle", "the same image as row 2 (image_000002.png)"),
        ("train", 6, "bicycle", two_labels),
        ("train", 7, "motorcycle", two_labels),
        ("train", 8, "bicycle", "the same image is in test"),
        ("train", 9, "motorcycle", two_labels),
        ("test", 2, "bicycle", two_labels),
    ]
    counts = record["counts"]
    assert counts["train"]["bicycle"] + counts["validation"]["bicycle"] == 26
    assert counts["train"]["motorcycle"] + counts["validation"]["motorcycle"] == 27
    assert counts["test"] == {"bicycle": 11, "motorcycle": 12}
    names = {row[2] for split in ("train", "validation") for row in _rows(tmp_path / "out", split)}
    assert names == set(os.listdir(tmp_path / "out/train")) | set(
        os.listdir(tmp_path / "out/validation")
    )
    assert not names & {f"image_{i:06}.png" for i in (0, 1, 4, 6, 7, 8, 9)}


def test_file_names_that_climb_or_repeat_are_made_safe_and_unique(tmp_path: Path) -> None:
    train = archives.two_classes(30, 1, others=0)
    names = ["../../evil.png", "/etc/a b.png", "A.png", "a.png", "", "-rf.png"]
    train[b"filenames"] = [name.encode() for name in names] + train[b"filenames"][len(names) :]
    path = archives.write_archive(
        tmp_path / "a.tar.gz", train=train, test=archives.two_classes(12, 2), meta=archives.meta()
    )
    _prepare(path, tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").rglob("*.png")}
    expected = {"_.._evil.png", "_etc_a_b.png", "A.png", "a-3.png", "image.png", "rf.png"}
    assert expected <= written
    assert not (tmp_path / "evil.png").exists()


def test_a_wrong_checksum_is_refused_before_anything_is_written(
    archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=r"has the wrong checksum: its sha256 is .* and not 0000"):
        _prepare(archive, tmp_path / "out", "--sha256", "0" * 64)
    assert not (tmp_path / "out").exists()


def test_the_right_checksum_is_accepted_in_any_case(archive: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert _prepare(archive, tmp_path / "out", "--sha256", digest.upper())["sha256"] == digest


def test_a_truncated_archive_with_a_known_checksum_is_told_by_its_checksum(
    archive: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(StepError, match="wrong checksum"):
        _prepare(archive, tmp_path / "out", "--sha256", digest)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_class_is_named(tmp_path: Path, split: str) -> None:
    parts = {"train": archives.two_classes(12, 1), "test": archives.two_classes(12, 2)}
    labels = parts[split][b"fine_labels"]
    parts[split][b"fine_labels"] = [0 if label == MOTORCYCLE else label for label in labels]
    path = archives.write_archive(
        tmp_path / "a.tar.gz", train=parts["train"], test=parts["test"], meta=archives.meta()
    )
    with pytest.raises(StepError, match=f"{split} has no image of motorcycle"):
        _prepare(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_meta_that_names_the_classes_otherwise_is_refused(tmp_path: Path) -> None:
    names = archives.meta()[b"fine_label_names"]
    names[BICYCLE], names[MOTORCYCLE] = names[MOTORCYCLE], names[BICYCLE]
    archive = archives.good_archive(tmp_path / "a.tar.gz", fine_label_names=names)
    with pytest.raises(StepError, match="names the fine label 8 'motorcycle' and not 'bicycle'"):
        _prepare(archive, tmp_path / "out")


def test_too_few_images_of_a_class_are_refused(tmp_path: Path) -> None:
    archive = archives.good_archive(tmp_path / "a.tar.gz", test=9)
    with pytest.raises(StepError, match="test has 9 usable images of bicycle and needs"):
        _prepare(archive, tmp_path / "out")


def test_the_input_folder_must_hold_exactly_one_archive(archive: Path, tmp_path: Path) -> None:
    assert prepare.find_archive(archive.parent) == archive
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepError, match="holds 0 archives"):
        prepare.find_archive(tmp_path / "empty")
    archives.good_archive(tmp_path / "second.tar.gz")
    with pytest.raises(StepError, match=r"holds 2 archives .*second\.tar\.gz, small\.tar\.gz"):
        prepare.find_archive(tmp_path)
    with pytest.raises(StepError, match="does not exist"):
        prepare.find_archive(tmp_path / "nowhere")


def test_a_second_run_replaces_the_files_of_the_first(archive: Path, tmp_path: Path) -> None:
    _prepare(archive, tmp_path / "out")
    larger = archives.good_archive(tmp_path / "larger.tar.gz", train=20)
    _prepare(larger, tmp_path / "out")
    assert len(os.listdir(tmp_path / "out/train")) == 36
    assert sorted(os.listdir(tmp_path / "out")) == ["dataset", "test", "train", "validation"]


def test_files_that_are_not_ours_are_left_alone(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out/train").mkdir(parents=True)
    (tmp_path / "out/train/thesis.txt").write_text("mine")
    with pytest.raises(StepError, match="train is not empty; give another --output"):
        _prepare(archive, tmp_path / "out")
    assert _contents(tmp_path / "out") == {"train/thesis.txt": b"mine"}


def test_folders_that_the_job_made_beforehand_are_filled(archive: Path, tmp_path: Path) -> None:
    for folder in ("train", "validation", "test", "dataset"):
        (tmp_path / "out" / folder).mkdir(parents=True)
    _prepare(archive, tmp_path / "out")
    assert len(os.listdir(tmp_path / "out/train")) == 54


def test_a_disk_that_fills_up_leaves_nothing_half_done(tmp_path: Path) -> None:
    archive = archives.good_archive(tmp_path / "a.tar.gz")
    script = (
        "import resource, signal, sys\n"
        "from steps import job, prepare\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.exit(job.run('Prepare', prepare.main))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--input", archive, "--output", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Prepare failed: " in done.stderr
    assert list((tmp_path / "out").rglob("*")) == []


@pytest.mark.parametrize("share", ["0", "0.6", "nan", "some"])
def test_a_validation_share_out_of_range_is_refused(
    archive: Path, tmp_path: Path, share: str
) -> None:
    with pytest.raises(StepError, match=f"--validation-share {share} is"):
        _prepare(archive, tmp_path / "out", "--validation-share", share)

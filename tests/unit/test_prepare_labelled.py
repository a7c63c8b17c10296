"""Prepare and labelled images: what may be learned from joins train, and nothing else does."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from scones.datasets.rendered import render
from scones.datasets.scenes import draw
from steps import cifar, prepare
from steps.job import StepError

Json = dict[str, Any]
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "rendered.tar.gz"
    render(path, train_per_class=40, test_per_class=12)
    return path


def of_archive(archive: Path, split: str, index: int) -> Pixels:
    """An image of the archive's two classes as (32, 32, 3)."""
    part = dict(cifar.read(archive))[split]
    assert isinstance(part, cifar.Split)
    rows = [i for i, label in enumerate(part.labels) if label in (8, 48)]
    planes = np.frombuffer(part.pixels(rows[index]), np.uint8).reshape(3, 32, 32)
    return planes.transpose(1, 2, 0).copy()


def new(vehicle: str, seed: int) -> Pixels:
    """An image that is in no split."""
    return np.asarray(draw(vehicle, np.random.default_rng(900 + seed)), np.uint8)


def encoded(pixels: Pixels | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def row(inference_id: str, label: str, **more: Any) -> Json:
    return {
        "inference_id": inference_id,
        "label": label,
        "source": "capture",
        "by": "ann",
        "labelled_at": "2026-11-22T12:00:00+00:00",
        "label_url": "s3://b/ground-truth/2026/11/22/12/00-00-x.jsonl",
        "image_url": "s3://b/capture/a.jsonl",
        **more,
    }


def write(folder: Path, *given: tuple[Json, bytes | None]) -> Path:
    """A set of labelled images, as `scones pipeline start` writes it."""
    folder.mkdir()
    lines: list[Json] = [{"labelled_images": 1}]
    for line, body in given:
        if body is not None:
            sha256 = hashlib.sha256(body).hexdigest()
            (folder / f"{sha256}.img").write_bytes(body)
            line = {**line, "sha256": sha256, "file": f"{sha256}.img"}
        lines.append(line)
    (folder / "labelled.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def run(archive: Path, output: Path, labelled: Path | None = None) -> Json:
    more = ["--labelled", str(labelled)] if labelled else []
    prepare.main(["--input", str(archive), "--output", str(output), *more])
    record: Json = json.loads((output / "dataset/dataset.json").read_text())
    return record


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_new_images_join_train_with_their_provenance_and_nothing_else_changes(
    archive: Path, tmp_path: Path
) -> None:
    bicycle, motorcycle = new("bicycle", 1), new("motorcycle", 2)
    labelled = write(
        tmp_path / "labelled",
        (row("one", "bicycle"), encoded(bicycle)),
        (row("two", "motorcycle", source="review", by=""), encoded(motorcycle)),
    )
    before, after = run(archive, tmp_path / "a"), run(archive, tmp_path / "b", labelled)
    found = after.pop("labelled")
    assert found["joined"] == {"bicycle": 1, "motorcycle": 1}
    assert found["by_source"] == {"capture": 1, "review": 1}
    assert found["quarantined"] == []
    assert [image["inference_id"] for image in found["images"]] == ["one", "two"]
    assert found["images"][0]["label_url"].endswith("00-00-x.jsonl")
    for name in ("bicycle", "motorcycle"):
        before["counts"]["train"][name] += 1
    before["images"]["train"] += 2
    assert after == before
    old, added = contents(tmp_path / "a"), contents(tmp_path / "b")
    names = {image["filename"] for image in found["images"]}
    assert set(added) - set(old) == {f"train/{name}" for name in names}
    changed = {path for path in old if old[path] != added[path]}
    assert changed == {"dataset/dataset.json", "dataset/train.lst"}
    with Image.open(tmp_path / "b/train" / found["images"][0]["filename"]) as image:
        np.testing.assert_array_equal(np.asarray(image), bicycle)
    assert (
        added["dataset/train.lst"]
        .decode()
        .splitlines()[-1]
        .endswith(f"\t1\t{found['images'][1]['filename']}")
    )


def test_without_a_label_the_bytes_are_those_of_a_run_without_the_folder(
    archive: Path, tmp_path: Path
) -> None:
    run(archive, tmp_path / "a")
    run(archive, tmp_path / "b", write(tmp_path / "labelled"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_same_labels_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    labelled = write(tmp_path / "labelled", (row("a", "bicycle"), encoded(new("bicycle", 3))))
    run(archive, tmp_path / "a", labelled)
    run(archive, tmp_path / "b", labelled)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def darker(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.4)


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(1))


def enlarged(image: Image.Image) -> Image.Image:
    return image.resize((200, 200), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("change", [lambda i: i, darker, mirrored, blurred, enlarged])
def test_a_test_image_never_joins_train_whatever_was_done_to_it(
    archive: Path, tmp_path: Path, change: Any
) -> None:
    image = change(Image.fromarray(of_archive(archive, "test", 5)))
    labelled = write(tmp_path / "labelled", (row("leak", "bicycle"), encoded(image)))
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert found["joined"] == {"bicycle": 0, "motorcycle": 0}
    assert "the same image is in test (" in found["quarantined"][0]["reason"]


def test_an_image_of_validation_does_not_join_either(archive: Path, tmp_path: Path) -> None:
    run(archive, tmp_path / "before")
    (held_out, *_) = sorted((tmp_path / "before/validation").iterdir())
    labelled = write(tmp_path / "labelled", (row("v", "bicycle"), held_out.read_bytes()))
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert found["quarantined"][0]["reason"].startswith("the same image is in validation")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"%PDF-1.7 no image at all", "no image: the body is not a whole PNG or JPEG"),
        (encoded(new("bicycle", 4))[:200], "no image: the body is not a whole PNG or JPEG"),
        (encoded(np.full((32, 32, 3), 200, np.uint8)), "blank: all its pixels are the same"),
        (None, "No image of inference 'x' is known."),
    ],
)
def test_what_is_no_image_is_quarantined(
    archive: Path, tmp_path: Path, body: bytes | None, reason: str
) -> None:
    problem = {"problem": "No image of inference 'x' is known."} if body is None else {}
    labelled = write(tmp_path / "labelled", (row("x", "bicycle", **problem), body))
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert found["quarantined"][0]["reason"].startswith(reason)
    assert found["quarantined"][0]["inference_id"] == "x"


def test_an_image_labelled_two_ways_is_quarantined_both_times_and_names_both(
    archive: Path, tmp_path: Path
) -> None:
    image = new("motorcycle", 5)
    labelled = write(
        tmp_path / "labelled",
        (row("one", "bicycle"), encoded(image)),
        (row("one", "motorcycle", by="bob"), encoded(image)),
        (row("fine", "bicycle"), encoded(new("bicycle", 6))),
    )
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert [image["inference_id"] for image in found["images"]] == ["fine"]
    reasons = [case["reason"] for case in found["quarantined"]]
    assert len(reasons) == 2
    assert all("bicycle on" in r and "motorcycle on" in r and "by bob" in r for r in reasons)


def test_nearly_the_same_image_with_the_other_label_is_labelled_two_ways(
    archive: Path, tmp_path: Path
) -> None:
    image = new("bicycle", 7)
    labelled = write(
        tmp_path / "labelled",
        (row("one", "bicycle"), encoded(image)),
        (row("two", "motorcycle"), encoded(mirrored(Image.fromarray(image)), "JPEG", quality=60)),
    )
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert [case["reason"].partition(":")[0] for case in found["quarantined"]] == [
        "labelled two ways"
    ] * 2


def test_a_label_against_that_of_a_training_image_stays_out(archive: Path, tmp_path: Path) -> None:
    first = run(archive, tmp_path / "before")
    name = (tmp_path / "before/dataset/train.lst").read_text().splitlines()[0].split("\t")
    wrong = first["classes"][1 - int(name[1])]
    body = (tmp_path / "before/train" / name[2]).read_bytes()
    labelled = write(tmp_path / "labelled", (row("w", wrong), body))
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert f"train has it as {first['classes'][int(name[1])]}" in found["quarantined"][0]["reason"]


def test_the_same_image_joins_once(archive: Path, tmp_path: Path) -> None:
    image = encoded(new("bicycle", 8))
    run(archive, tmp_path / "before")
    name = (tmp_path / "before/dataset/train.lst").read_text().splitlines()[0].split("\t")
    known = (tmp_path / "before/train" / name[2]).read_bytes()
    labelled = write(
        tmp_path / "labelled",
        (row("a", "bicycle"), image),
        (row("b", "bicycle"), image),
        (row("c", ("bicycle", "motorcycle")[int(name[1])]), known),
    )
    found = run(archive, tmp_path / "out", labelled)["labelled"]
    assert [case["reason"] for case in found["quarantined"]] == [
        "the same image as that of a",
        f"the same image is in train ({name[2]})",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"labelled_images": 2}\n{}\n',
        '{"labelled_images": 1}\n{"label": "tandem"}\n',
        '{"labelled_images": 1}\n{"label": "bicycle", "file": "../../x", "sha256": ""}\n',
        "no json\nat all\n",
    ],
)
def test_a_list_that_is_none_is_refused(archive: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "labelled").mkdir()
    (tmp_path / "labelled/labelled.jsonl").write_text(text)
    with pytest.raises(StepError, match="is no list of labelled images"):
        run(archive, tmp_path / "out", tmp_path / "labelled")
    assert not (tmp_path / "out").exists()

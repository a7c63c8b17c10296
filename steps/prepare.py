"""Prepare: from the CIFAR-100 archive to judged PNGs of bicycles and motorcycles.

    archive ─► gunzip (a process) ─► read ─► two classes, PNGs ─► judge ─► hold out ─► write
        └────► sha256 (a thread)               (a thread)                            ▲
    labelled images ─► decode, judge against train, validation and test ─────────────┘ (to train)

What it writes below `--output`:

    train/*.png  validation/*.png  test/*.png
    dataset/{train,validation,test}.lst     index<TAB>label<TAB>path, as the built-in
                                            image-classification algorithm reads it
    dataset/dataset.json                    name, source, classes, counts, what was set aside, and
                                            of labelled images which joined and which did not

The same archive, labelled images and arguments give the same bytes. Everything is written beside
its place and moved there at the end, so a failure leaves nothing half-done.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steps import cifar, job, png
from steps.job import StepError
from steps.judge import CLASSES, Image, SetAside, hold_out, judge

FINE_LABELS = {"bicycle": 8, "motorcycle": 48}
SPLITS = ("train", "validation", "test")
FOLDERS = (*SPLITS, "dataset")
FEWEST = 10  # images a class in train and in test; below that no figure means anything


def main(argv: Sequence[str] | None = None) -> None:
    """Prepares the dataset; raises `StepError` when the archive is no good."""
    args = _parser().parse_args(argv)
    archive = find_archive(args.input)
    size = archive.stat().st_size
    print(f"reading {archive} ({size:,} bytes)", flush=True)
    meta, images, sha256 = read(archive, args.sha256.lower())
    kept, aside = judge(images)
    train = [image for image in kept if image.split == "train"]
    held_out = hold_out(train, args.validation_share, args.seed)
    splits = {
        "train": [image for image in train if image.pixels not in held_out],
        "validation": [image for image in train if image.pixels in held_out],
        "test": [image for image in kept if image.split == "test"],
    }
    _require_enough(splits)
    labelled = _join_labelled(args.labelled, splits)
    record = {
        "name": meta.dataset_name or args.dataset_name or f"unnamed archive {archive.name}",
        "source": archive.name,
        "sha256": sha256,
        "bytes": size,
        "classes": list(CLASSES),
        "counts": {split: _counts(images) for split, images in splits.items()},
        "images": {split: len(images) for split, images in splits.items()},
        "validation_share": args.validation_share,
        "seed": args.seed,
        "set_aside": [_described(case) for case in aside],
        **({"labelled": labelled} if labelled else {}),
    }
    write(args.output, splits, record)
    _summarise(record, aside, args.output)


def _parser() -> job.Parser:
    parser = job.parser("prepare", "Turns the CIFAR-100 archive into judged PNGs of two classes.")
    base = Path("/opt/ml/processing")
    parser.add_argument(
        "--input",
        type=Path,
        default=base / "input/raw",
        help="the archive (.tar.gz), or a folder that holds exactly one",
    )
    parser.add_argument(
        "--labelled",
        type=Path,
        default=base / "input/labelled",
        help="a folder of labelled images; may be missing or empty",
    )
    parser.add_argument("--output", type=Path, default=base / "output", help="where to write")
    parser.add_argument(
        "--dataset-name",
        type=job.optional,
        default="",
        help="what to call the data, unless the archive says itself",
    )
    parser.add_argument(
        "--sha256", type=job.optional, default="", help="checksum that the archive must have"
    )
    parser.add_argument(
        "--validation-share",
        type=job.real(0.01, 0.5),
        default=0.1,
        help="share of the training images of each class to hold out",
    )
    parser.add_argument(
        "--seed", type=job.whole(0, 2**31), default=0, help="which images are held out"
    )
    return parser


def find_archive(path: Path) -> Path:
    """The archive that `--input` means."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise StepError(f"--input {path} does not exist; name the archive or its folder")
    found = sorted(file for file in path.rglob("*") if file.name.endswith((".tar.gz", ".tgz")))
    if len(found) != 1:
        names = ": " + ", ".join(file.name for file in found[:3]) if found else ""
        raise StepError(
            f"--input {path} holds {len(found)} archives (.tar.gz){names}; it must hold exactly one"
        )
    return found[0]


def read(archive: Path, expected: str) -> tuple[cifar.Meta, list[Image], str]:
    """The names, the images of the two classes, and the sha256 of the archive.

    The sha256 must be `expected`, unless that is "".
    """
    digest = _Digest(archive)
    digest.start()
    try:
        meta, images = _read(archive)
    except StepError:
        digest.require(expected)  # the better explanation, if it is one
        raise
    return meta, images, digest.require(expected)


class _Digest(threading.Thread):
    """The sha256 of a file, on the other core: hashlib releases the GIL."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="sha256", daemon=True)
        self._path = path
        self._result: str | OSError = ""

    def run(self) -> None:
        try:
            with self._path.open("rb") as file:
                self._result = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            self._result = error

    def require(self, expected: str) -> str:
        """Waits for the digest, which must be `expected` unless that is ""."""
        self.join()
        if isinstance(self._result, OSError):
            raise self._result
        if expected and self._result != expected:
            raise StepError(
                f"the archive {self._path.name} has the wrong checksum: its sha256 is "
                f"{self._result} and not {expected}; fetch it again"
            )
        return self._result


def _read(archive: Path) -> tuple[cifar.Meta, list[Image]]:
    meta: cifar.Meta | None = None
    parts: list[Future[list[Image]]] = []
    with ThreadPoolExecutor(1) as encoder:  # at work on a part while the next one comes in
        for part, content in cifar.read(archive):
            if isinstance(content, cifar.Meta):
                meta = content
            else:
                parts.append(encoder.submit(_of_two_classes, part, content))
    images = [image for part in parts for image in part.result()]
    assert meta is not None  # cifar.read has seen to it
    for name, label in FINE_LABELS.items():
        actual = meta.class_names[label] if label < len(meta.class_names) else None
        if actual != name:
            raise StepError(
                f"the archive's meta names the fine label {label} {actual!r} and not {name!r}; "
                "it must be the official CIFAR-100 archive"
            )
    return meta, images


def _of_two_classes(part: str, split: cifar.Split) -> list[Image]:
    label_of = {fine: CLASSES.index(name) for name, fine in FINE_LABELS.items()}
    taken: set[str] = set()
    images: list[Image] = []
    for index, fine in enumerate(split.labels):
        if fine in label_of:
            name = safe_name(split.filenames[index], index, taken)
            pixels = split.pixels(index)
            images.append(Image(part, index, name, label_of[fine], pixels, png.encode(pixels)))
    for name, fine in FINE_LABELS.items():
        if fine not in split.labels:
            raise StepError(f"the archive's {part} has no image of {name} (fine label {fine})")
    print(f"{part}: {len(split.labels):,} images, {len(images):,} of two classes", flush=True)
    return images


def safe_name(filename: str, index: int, taken: set[str]) -> str:
    """A file name of plain characters that is not in `taken` (to which it is added)."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", filename).lstrip(".-")[:100].removesuffix(".png")
    name = f"{stem or 'image'}.png"
    if name.lower() in taken:  # lower: there are file systems that do not tell A from a
        name = f"{stem or 'image'}-{index}.png"
    taken.add(name.lower())
    return name


def _join_labelled(folder: Path, splits: dict[str, list[Image]]) -> dict[str, Any]:
    """Adds labelled images to `train`; what there is to say of them, nothing without a label."""
    found = folder / "labelled.jsonl"
    if not found.is_file() or found.read_bytes().count(b"\n") < 2:  # the first line is no label
        return {}
    from steps import labelled  # numpy and pillow take longer than all else that Prepare does

    held_out = {split: splits[split] for split in ("test", "validation")}
    joined, record = labelled.join(folder, splits["train"], held_out)
    splits["train"] += joined
    return record


def _require_enough(splits: dict[str, list[Image]]) -> None:
    for split, images in splits.items():
        for name, count in _counts(images).items():
            fewest = 1 if split == "validation" else FEWEST
            if count < fewest:
                raise StepError(
                    f"{split} has {count} usable images of {name} and needs at least {fewest}; "
                    "take an archive with more images"
                )


def _counts(images: Sequence[Image]) -> dict[str, int]:
    return {name: sum(image.label == i for image in images) for i, name in enumerate(CLASSES)}


def _described(case: SetAside) -> dict[str, object]:
    image = case.image
    return {
        "split": image.split,
        "index": image.row,
        "filename": image.filename,
        "class": CLASSES[image.label],
        "reason": case.reason,
    }


def write(output: Path, splits: dict[str, list[Image]], record: dict[str, Any]) -> None:
    """Writes all files beside `output`'s folders, then moves the folders into place."""
    _require_replaceable(output)
    with _stage(output) as stage:
        for split, images in splits.items():
            _write_split(stage, split, images)
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (stage / "dataset/dataset.json").write_text(text + "\n", "utf-8")
        for folder in FOLDERS:  # dataset.json comes last: it says that all is there
            _move(stage / folder, output / folder)


def _write_split(stage: Path, split: str, images: Sequence[Image]) -> None:
    lines = [f"{i}\t{image.label}\t{image.filename}\n" for i, image in enumerate(images)]
    (stage / "dataset" / f"{split}.lst").write_text("".join(lines))
    for image in images:
        with open(f"{stage}/{split}/{image.filename}", "xb", buffering=0) as file:
            file.write(image.png)


def _require_replaceable(output: Path) -> None:
    """A folder of files that are not ours is left alone."""
    ours = (output / "dataset/dataset.json").is_file()
    for folder in FOLDERS:
        if not ours and (output / folder).is_dir() and any((output / folder).iterdir()):
            raise StepError(f"{output / folder} is not empty; give another --output")


@contextmanager
def _stage(output: Path) -> Iterator[Path]:
    """A folder on the output's own volume that is gone afterwards, come what may."""
    stage = output / f".prepare-{os.getpid()}"
    try:
        for folder in FOLDERS:
            (stage / folder).mkdir(parents=True)
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    if target.is_dir():
        for old in target.iterdir():
            old.unlink()
    try:
        source.rename(target)
    except OSError:  # SageMaker may mount each output by itself, and a mount is not replaced
        shutil.copytree(source, target, dirs_exist_ok=True)


def _summarise(record: dict[str, Any], aside: Sequence[SetAside], output: Path) -> None:
    print(f"dataset: {record['name']}, sha256 {record['sha256']}")
    for split, counts in record["counts"].items():
        print(f"{split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for case in aside[:20]:
        print(f"set aside: {case.image.split} {case.image.filename}: {case.reason}")
    for case in record.get("labelled", {}).get("quarantined", [])[:20]:
        print(f"quarantined: {case['inference_id']}: {case['reason']}")
    if "labelled" in record:
        joined, count = sum(record["labelled"]["joined"].values()), record["labelled"]["labels"]
        print(f"labelled: {joined} of {count} joined train")
    print(f"{len(aside)} images set aside; written to {output}", flush=True)


if __name__ == "__main__":
    sys.exit(job.run("Prepare", main))

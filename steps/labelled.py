"""Images that people have labelled: those that can be learned from join train, the rest says why.

    labelled.jsonl, images ─► decode as the endpoint does ─► no image? ─► in test or validation?
        ─► labelled two ways? ─► in train already? ─► joined, or quarantined with the reason

`labelled.jsonl` has a line for its format, then one a label, as `scones/labelled.py` wrote it:

    {"inference_id", "label", "source": "capture" | "review", "by", "labelled_at", "label_url",
     "image_url", "sha256", "file"}      or "problem" for the last two, where no image was found

A test image that is learned from makes each later accuracy a lie, and one of validation the choice
of the epoch and the confidence threshold; so what is near to one of them stays out, altered or
mirrored as it may be (`similar`). Of two labels that differ one is wrong, and nobody knows which:
both stay out until somebody corrects one (`scones label --correct`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from steps import png, similar
from steps.job import StepError
from steps.judge import CLASSES, Image, unreadable
from steps.train import picture

FORMAT = {"labelled_images": 1}
LIST = "labelled.jsonl"
SOURCES = ("capture", "review")
Json = dict[str, Any]


class Row(NamedTuple):
    """A label with its image's 3,072 bytes of pixels; or with the reason why it has none."""

    content: Json
    pixels: bytes
    reason: str

    @property
    def label(self) -> int:
        return CLASSES.index(self.content["label"])


def join(
    folder: Path, train: Sequence[Image], held_out: Mapping[str, Sequence[Image]]
) -> tuple[list[Image], Json]:
    """The images that join `train`, and what `dataset.json` says of them all.

    `held_out`: the images of `test` and `validation` by these names. Raises StepError for a list
    that is none.
    """
    rows, sha256 = read(folder)
    reasons = _reasons(rows, train, held_out)
    joined = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    images = [_image(number, row) for number, row in enumerate(joined)]
    record = {
        "sha256": sha256,
        "labels": len(rows),
        "joined": {name: sum(CLASSES[i.label] == name for i in images) for name in CLASSES},
        "by_source": {s: sum(row.content["source"] == s for row in joined) for s in SOURCES},
        "near": similar.NEAR,
        "images": [
            {"filename": image.filename, **_provenance(row)}
            for image, row in zip(images, joined, strict=True)
        ],
        "quarantined": [
            {**_provenance(row), "reason": reason}
            for row, reason in zip(rows, reasons, strict=True)
            if reason
        ],
    }
    return images, record


def read(folder: Path) -> tuple[list[Row], str]:
    """The labels in their order, and the list's sha256. Raises StepError."""
    path = folder / LIST
    try:
        body = path.read_bytes()
        first, *lines = [json.loads(line) for line in body.splitlines()]
        if first != FORMAT or any(line["label"] not in CLASSES for line in lines):
            raise ValueError("its format or a label is unknown")
        rows = [_read(folder, line) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"{path} is no list of labelled images ({error}); start with `scones pipeline start`"
        ) from error
    return rows, hashlib.sha256(body).hexdigest()


def _read(folder: Path, line: Json) -> Row:
    if "problem" in line:
        return Row(line, b"", str(line["problem"]))
    name = Path(line["file"]).name  # never a path: the list is data
    body = (folder / name).read_bytes()
    if hashlib.sha256(body).hexdigest() != line["sha256"]:
        raise ValueError(f"{name} is not what its checksum says")
    try:
        pixels = picture.decoded(body).transpose(2, 0, 1).tobytes()
    except ValueError as error:
        return Row(line, b"", f"no image: {error}")
    blank = unreadable(pixels)
    return Row(line, b"" if blank else pixels, blank)


def _reasons(
    rows: Sequence[Row], train: Sequence[Image], held_out: Mapping[str, Sequence[Image]]
) -> list[str]:
    """Why each row is quarantined; empty for what may join. The first reason counts."""
    reasons = [row.reason for row in rows]
    sound = [i for i, row in enumerate(rows) if row.pixels]
    if not sound:
        return reasons
    seen = similar.planes([rows[i].pixels for i in sound])
    for split, images in held_out.items():
        for i, (image, distance) in zip(sound, _nearest(seen, images), strict=True):
            if distance <= similar.NEAR:
                reasons[i] = reasons[i] or _near(split, image, distance)
    for i, other in _two_ways(rows, sound, seen, train):
        reasons[i] = reasons[i] or other
    first = {image.pixels: f"the same image is in train ({image.filename})" for image in train}
    for i in sound:
        if not reasons[i]:
            same = f"the same image as that of {rows[i].content['inference_id']}"
            reasons[i] = first.get(rows[i].pixels, "")
            first.setdefault(rows[i].pixels, same)
    return reasons


def _nearest(seen: similar.Pixels, images: Sequence[Image]) -> list[tuple[Image, float]]:
    found = similar.distances(seen, similar.planes([image.pixels for image in images]))
    best = found.argmin(axis=1)
    return [(images[k], float(row[k])) for k, row in zip(best, found, strict=True)]


def _near(split: str, image: Image, distance: float) -> str:
    same = "the same image" if distance < 1e-6 else "nearly the same image"
    return f"{same} is in {split} ({image.filename}, distance {abs(distance):.3f})"


def _two_ways(
    rows: Sequence[Row], sound: Sequence[int], seen: similar.Pixels, train: Sequence[Image]
) -> list[tuple[int, str]]:
    """Rows whose image, or nearly the same, has the other label: of another row, or in train."""
    found: list[tuple[int, str]] = []
    labels = np.array([rows[i].label for i in sound])
    near = similar.distances(seen, seen) <= similar.NEAR
    other = (near | near.T) & (labels[:, None] != labels[None, :])
    for k in np.flatnonzero(other.any(axis=1)):
        i, j = sound[int(k)], sound[int(other[k].argmax())]
        said = f"{_said(rows[i].content)}, and {_said(rows[j].content)}"
        found.append((i, f"labelled two ways: {said}"))
    near = similar.distances(seen, similar.planes([i.pixels for i in train])) <= similar.NEAR
    other = near & (labels[:, None] != np.array([image.label for image in train])[None, :])
    for k in np.flatnonzero(other.any(axis=1)):
        i, image = sound[int(k)], train[int(other[k].argmax())]
        text = f"train has it as {CLASSES[image.label]} ({image.filename})"
        found.append((i, f"labelled two ways: {_said(rows[i].content)}, and {text}"))
    return found


def _said(row: Json) -> str:
    by = f" by {row['by']}" if row["by"] else ""
    return f"{row['label']} on {row['labelled_at']}{by} for {row['inference_id']}"


def _image(number: int, row: Row) -> Image:
    name = f"labelled_{hashlib.sha256(row.pixels).hexdigest()[:20]}.png"
    return Image("labelled", number, name, row.label, row.pixels, png.encode(row.pixels))


def _provenance(row: Row) -> Json:
    return {name: value for name, value in row.content.items() if name not in ("file", "problem")}

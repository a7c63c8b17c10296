"""The features of whole sets of images and records: `record_preprocessor`'s rows, only faster.

    rows = features(read(Path("capture"), window))                records -> rows, in their order
    baseline_table(zip(images, probabilities), Path("b.csv"))     the reference set -> a CSV file

Every definition, limit and decision stays with `record_preprocessor`; here images of one size are
worked on together, and Pillow takes off the filters of PNGs, which plain Python is slow at.
The sums are integers, and the one formula over them is the preprocessor's, so both give the same
rows to the last digit.
"""

from __future__ import annotations

import csv
import math
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from monitoring import record_preprocessor as one
from monitoring.record import Record
from monitoring.record_preprocessor import NAMES, Picture, Row, Sums

__all__ = ["NAMES", "Row", "baseline_table", "features", "features_of", "features_of_image"]

BATCH = 256  # records that are held at a time, fewer where they have
_HELD = 16 << 20  # bytes of pixels together
_PIXELS = 1 << 16  # that are added up at a time; one large image may have more
_FILTERS = 4  # the highest number of a filter
_MODES = {2: "RGB", 6: "RGBA"}  # the colour types of PNG that Pillow takes the filters off here

Pixels = npt.NDArray[np.uint8]
Shape = tuple[int, ...]
Example = tuple[bytes | None, Sequence[Any] | None]  # an image and its two probabilities


class Decoded(NamedTuple):
    """Pixels (height, width, 3). Or, where `mode` is set, a PNG's rows with their filters still on:
    (height, 1 + samples × width)."""

    pixels: Pixels
    mode: str = ""


def features_of(record: Record) -> Row:
    """The row of one captured record."""
    return next(features([record]))


def features_of_image(image: bytes, probabilities: Sequence[float] | None = None) -> Row:
    """The row of one image, and of `[p_bicycle, p_motorcycle]` where given."""
    return next(features_of_images([(image, probabilities)]))


def features(records: Iterable[Record]) -> Iterator[Row]:
    """A row for each record, in their order; what cannot be decoded is None in it."""
    return features_of_images(
        (one.image_of(record.endpoint_input), one.probabilities_of(record.endpoint_output))
        for record in records
    )


def features_of_images(examples: Iterable[Example]) -> Iterator[Row]:
    """A row for each (image, probabilities), in their order. Holds a batch of them at a time."""
    batch: list[tuple[Picture, Decoded | None, Sequence[Any] | None]] = []
    held = 0
    for image, probabilities in examples:
        seen, found = _picture(image)
        batch.append((seen, found, probabilities))
        held += 0 if found is None else found.pixels.size
        if len(batch) == BATCH or held > _HELD:
            yield from _rows(batch)
            batch, held = [], 0
    yield from _rows(batch)


def _rows(batch: Sequence[tuple[Picture, Decoded | None, Sequence[Any] | None]]) -> Iterator[Row]:
    sums = _sums_of_all([found for _, found, _ in batch])
    for (seen, _, probabilities), found in zip(batch, sums, strict=True):
        yield one.row(seen, found, None if probabilities is None else one.pair(probabilities))


def baseline_table(examples: Iterable[Example], path: Path) -> int:
    """Writes the rows as CSV, its header sorted, a missing value as nothing; returns their number.

    The file appears when it is whole. Numbers are written as they compare: rounded, no exponent.
    """
    part, count = path.with_name(path.name + ".part"), 0
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, NAMES, lineterminator="\n")
            table.writeheader()
            for row in features_of_images(examples):
                table.writerow(row)
                count += 1
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _picture(image: bytes | None) -> tuple[Picture, Decoded | None]:
    """Its size, and what could be decoded of it. Of an ordinary PNG that is its unpacked rows."""
    if image is None:
        return Picture(None, None, None), None
    if image.startswith(one.SIGNATURE):
        try:
            png = one.parsed(image)
        except one.Damaged:
            return Picture(*one.size_of(image), None), None
        if png.depth == 8 and png.colour in _MODES and not png.interlaced:
            rows = np.frombuffer(png.rows, np.uint8).reshape(png.height, -1)
            if rows[:, 0].max() <= _FILTERS:
                return Picture(png.width, png.height, None), Decoded(rows, _MODES[png.colour])
    seen = one.picture(image)
    if seen.planes is None or seen.width is None or seen.height is None:
        return seen, None
    planes = np.frombuffer(b"".join(seen.planes), np.uint8).reshape(3, seen.height, seen.width)
    return seen._replace(planes=None), Decoded(planes.transpose(1, 2, 0))


def _sums_of_all(images: Sequence[Decoded | None]) -> list[Sums | None]:
    """The sums of each image; those of one shape and mode are worked on together."""
    same: defaultdict[tuple[Shape, str], list[tuple[int, Pixels]]] = defaultdict(list)
    for place, image in enumerate(images):
        if image is not None:
            same[image.pixels.shape, image.mode].append((place, image.pixels))
    found: list[Sums | None] = [None] * len(images)
    for (shape, mode), members in same.items():
        step = max(1, 3 * _PIXELS // math.prod(shape))
        for start in range(0, len(members), step):
            some = members[start : start + step]
            stack = np.stack([pixels for _, pixels in some])
            for (place, _), sums in zip(some, _sums(_unfiltered(stack, mode)), strict=True):
                found[place] = sums
    return found


def _unfiltered(rows: Pixels, mode: str) -> Pixels:
    """Takes the filters off rows (count, height, 1 + samples × width): (count, height, width, 3).

    Pillow's decoder of PNG rows does it, for all images at once: one above the other they are one
    tall image, if a black row before each stands for the nothing that its first row refers to.
    What is transparent keeps its colour, as everywhere here.
    """
    if not mode:
        return rows
    samples = len(mode)
    if not rows[:, :, 0].any():
        return rows[:, :, 1:].reshape(*rows.shape[:2], -1, samples)[..., :3]
    count, height, stride = rows.shape
    tall = np.zeros((count, height + 1, stride), np.uint8)
    tall[:, 1:] = rows
    size = (stride // samples, count * (height + 1))
    image = Image.frombytes(mode, size, zlib.compress(tall.data, 0), "zip", (mode, False))
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(count, height + 1, -1, samples)
    return pixels[:, 1:, :, :3]


def _sums(images: Pixels) -> Iterator[Sums]:
    """Of images (count, height, width, 3). In 16 bits nothing overflows: see the preprocessor."""
    _, height, width, _ = images.shape
    red, green, blue = (np.ascontiguousarray(images[..., colour]) for colour in range(3))
    luma = red * np.uint16(77)
    luma += green * np.uint16(150)
    luma += blue * np.uint16(29)
    luma += np.uint16(128)
    luma >>= np.uint16(8)
    columns = [_total(plane) for plane in (red, green, blue)]
    columns.append(_total(np.maximum(np.maximum(red, green), blue)))
    columns.append(_total(np.minimum(np.minimum(red, green), blue)))
    columns += [_total(luma), _squares(luma)]
    inner = max(0, width - 2) * max(0, height - 2)
    if inner:
        edges = luma[:, 1:-1, 1:-1] * np.uint16(4) + np.uint16(1020)
        edges -= luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
        columns += [_total(edges), _squares(edges)]
    else:
        columns += [[0] * len(images)] * 2
    for *of_image, edge_sum, edge_squares in zip(*columns, strict=True):
        yield Sums._make((height * width, *of_image, inner, edge_sum, edge_squares))


def _total(values: npt.NDArray[Any]) -> list[int]:
    total: list[int] = values.sum(axis=(1, 2), dtype=np.int64).tolist()
    return total


def _squares(values: npt.NDArray[np.uint16]) -> list[int]:
    squares = values.astype(np.uint32)
    squares *= squares
    return _total(squares)

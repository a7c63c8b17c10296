"""Judges images before a model learns from them: what is unusable is set aside, with its reason.

    images ─► blank or cut off? ─► two labels? ─► in train and in test? ─► repeated? ─► kept
                                                                                  └──► set aside

An image that is in two splits makes an accuracy look better than it is, and an image with two
labels is wrong once at least. The test split is left as it is wherever train can give way.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

CLASSES = ("bicycle", "motorcycle")
PLANE = 32 * 32  # bytes of one colour
EMPTY = (bytes(PLANE // 2), bytes([128]) * (PLANE // 2))  # a lower half without a picture


class Image(NamedTuple):
    """One image of the archive: its row in the split, its 3,072 bytes of pixels, and its PNG."""

    split: str
    row: int
    filename: str
    label: int
    pixels: bytes
    png: bytes


class SetAside(NamedTuple):
    """An image that is not used, and why."""

    image: Image
    reason: str


def judge(images: Sequence[Image]) -> tuple[list[Image], list[SetAside]]:
    """Separates what can be used from what cannot; the order is kept."""
    labels: dict[bytes, set[int]] = {}
    for image in images:
        labels.setdefault(image.pixels, set()).add(image.label)
    tested = {image.pixels for image in images if image.split == "test"}
    first: dict[tuple[str, bytes], Image] = {}
    kept: list[Image] = []
    aside: list[SetAside] = []
    for image in images:
        reason = unreadable(image.pixels)
        if not reason and len(labels[image.pixels]) > 1:
            reason = "the same image is labelled bicycle and motorcycle"
        if not reason and image.split == "train" and image.pixels in tested:
            reason = "the same image is in test"
        if not reason:
            same = first.setdefault((image.split, image.pixels), image)
            if same is not image:
                reason = f"the same image as row {same.row} ({same.filename})"
        if reason:
            aside.append(SetAside(image, reason))
        else:
            kept.append(image)
    return kept, aside


def unreadable(pixels: bytes) -> str:
    """Why nothing can be seen in an image; empty for a sound one."""
    planes = [pixels[start : start + PLANE] for start in range(0, 3 * PLANE, PLANE)]
    if all(plane.count(plane[0]) == PLANE for plane in planes):
        return "blank: all its pixels are the same"
    # Decoders fill what is missing of a truncated file with black or with mid-grey.
    if all(plane.endswith(EMPTY) for plane in planes):
        return "corrupt: cut off, its lower half is empty"
    return ""


def hold_out(images: Sequence[Image], share: float, seed: int) -> set[bytes]:
    """Chooses `share` of each class for validation; returns their pixels.

    The choice goes by a hash of the content, so it does not depend on the archive's order.
    """
    chosen: set[bytes] = set()
    for label, count in sorted(Counter(image.label for image in images).items()):
        ranked = sorted(
            (image.pixels for image in images if image.label == label),
            key=lambda pixels: hashlib.sha256(b"%d " % seed + pixels).digest(),
        )
        chosen.update(ranked[: round(count * share)])
    return chosen

"""Pictures for a world that changes, drawn so that a few labels teach a small model much.

At first the model knows vehicles that are bright on noise. Then, at dusk, come vehicles that are
dark before a photo's background: mostly it is unsure of them, and often wrong. A quarter of the
test images are such, which is where a model that has learned from labels is better.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from scones.datasets.scenes import draw
from tests.archives import BICYCLE, MOTORCYCLE, meta, split, two_classes, write_archive


def at_dusk(count: int, seed: int) -> list[npt.NDArray[np.uint8]]:
    """Bicycles (dark above) and motorcycles (dark below) in turn: uint8, (32, 32, 3)."""
    found = []
    for number in range(count):
        scene = draw(("bicycle", "motorcycle")[number % 2], np.random.default_rng(seed + number))
        pixels = scene * 0.5 + 20
        top = 20 if number % 2 else 2
        pixels[top : top + 10, 8:24] -= 40
        found.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return found


def archive(path: Path) -> Path:
    """An archive as the model's makers had it: dusk is in the test, and not in the training."""
    test, dusk = two_classes(12, 2), at_dusk(12, 900)
    pixels = np.stack([image.transpose(2, 0, 1).reshape(-1) for image in dusk])
    labels = [*test[b"fine_labels"], *[BICYCLE, MOTORCYCLE] * 6]
    both = split(np.concatenate([test[b"data"], pixels]), labels)
    return write_archive(path, train=two_classes(60, 1), test=both, meta=meta())


def pictures(folder: Path, count: int, seed: int) -> Path:
    """Files of dusk, named by what they show."""
    folder.mkdir()
    for number, pixels in enumerate(at_dusk(count, seed)):
        vehicle = ("bicycle", "motorcycle")[number % 2]
        Image.fromarray(pixels).save(folder / f"{vehicle}-{number}.png")
    return folder


def shown(text: str) -> str:
    """The vehicle that a picture's name tells."""
    match = re.search(r"-(bicycle|motorcycle)-\d+\.png", text)
    assert match, text
    return match[1]

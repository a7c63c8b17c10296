"""Where a network looked: cover parts of an image, and see how much less sure the answer gets.

The network is a black box that is asked about each variant, so this holds for whatever serves. A
patch of a quarter of each side moves over the image; it is filled with the image's mean colour. The
measure is the loss of log-odds of the answer, since near 1 a probability hardly moves.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, part 4.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]
Ask = Callable[[Sequence[Image.Image]], Floats]  # RGB images → probabilities (N, 2)

PATCH = 0.25  # of each side
COARSE, FINE = 7, 13  # places of the patch along a side: steps of an eighth, and a sixteenth
_SUREST = 1 - 1e-6  # log-odds stay finite


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What covering did to an answer.

    `importance` (H, W) is the loss of log-odds of class `said` where it is covered, the mean over
    the patches there: positive where the network found its reasons, negative where it found reasons
    against. `least` is the lowest probability of `said` under any patch.
    """

    said: int
    confidence: float
    importance: Floats
    least: float


def occlusions(pictures: Sequence[Image.Image], ask: Ask, places: int = COARSE) -> list[Occlusion]:
    """One for each RGB picture; `ask` is called once, with all variants of all of them."""
    patches = [_patches(picture.size, places) for picture in pictures]
    variants = [
        variant
        for picture, boxes in zip(pictures, patches, strict=True)
        for variant in (picture, *(_covered(picture, box) for box in boxes))
    ]
    if not variants:
        return []
    answers = ask(variants)
    found, first = [], 0
    for picture, boxes in zip(pictures, patches, strict=True):
        own = answers[first : first + 1 + len(boxes)]
        found.append(_occlusion(picture.size, boxes, own))
        first += 1 + len(boxes)
    return found


Box = tuple[int, int, int, int]  # left, upper, right, lower; pixels


def _patches(size: tuple[int, int], places: int) -> list[Box]:
    starts = np.linspace(0, 1 - PATCH, places)
    edges = [
        [(round(start * side), max(round((start + PATCH) * side), 1)) for start in starts]
        for side in size
    ]
    return [(left, upper, right, lower) for upper, lower in edges[1] for left, right in edges[0]]


def _covered(picture: Image.Image, box: Box) -> Image.Image:
    pixels = np.asarray(picture)
    mean = tuple(round(value) for value in pixels.reshape(-1, 3).mean(axis=0))
    variant = picture.copy()
    variant.paste(mean, box)
    return variant


def _occlusion(size: tuple[int, int], boxes: Sequence[Box], answers: Floats) -> Occlusion:
    """`answers` (1 + patches, 2): the whole picture's first."""
    said = int(answers[0].argmax())
    sure = np.clip(answers[:, said], 1 - _SUREST, _SUREST)
    odds = np.log(sure / (1 - sure))
    total, count = np.zeros(size[::-1]), np.zeros(size[::-1])
    for (left, upper, right, lower), lost in zip(boxes, odds[0] - odds[1:], strict=True):
        total[upper:lower, left:right] += lost
        count[upper:lower, left:right] += 1
    importance = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return Occlusion(said, float(answers[0, said]), importance, float(answers[1:, said].min()))

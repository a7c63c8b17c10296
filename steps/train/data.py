"""The prepared images of one split as tensors, and the augmentation of a batch of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Generator, Tensor
from torch.nn import functional as F

from steps.job import StepError
from steps.listing import read_list

SIDE = 32


class Images(NamedTuple):
    """`pixels` float (N, 3, 32, 32) in [0, 1], `labels` int64 (N): 0 bicycle, 1 motorcycle."""

    pixels: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))


def load(folder: Path, listing: Path) -> Images:
    """Reads the images of `listing` (`index<TAB>label<TAB>path`), whose paths start in `folder`."""
    rows = read_list(listing)
    pixels = np.empty((len(rows), SIDE, SIDE, 3), np.uint8)
    for row, (_, path) in enumerate(rows):
        try:
            with Image.open(folder / path) as image:
                pixels[row] = np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, ValueError) as error:
            raise StepError(
                f"{folder / path} (named in {listing.name}) is no 32×32 image: {error}"
            ) from error
    labels = torch.tensor([label for label, _ in rows])
    return Images(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous() / 255, labels)


class Augmentation(NamedTuple):
    """How far a training image is changed. All values are shares of [0, 1], but `square`."""

    colour: float  # contrast, brightness and saturation are scaled by 1 ± this
    shift: float  # each channel moves by ± this
    grey: float  # share of the images that lose their colour
    square: int  # side of a square of mean colour, pixels

    def __call__(self, images: Tensor, mean: Tensor, random: Generator) -> Tensor:
        """Changes a batch (B, 3, 32, 32) in [0, 1]; `mean` is the mean colour (3, 1, 1)."""

        def uniform(low: float, high: float, channels: int = 1) -> Tensor:
            shape = (len(images), channels, 1, 1)
            return torch.rand(shape, generator=random, device=images.device) * (high - low) + low

        x = torch.where(uniform(0, 1) < 0.5, images.flip(3), images)
        x = _crop(x, padding=4, random=random)
        low, high = 1 - self.colour, 1 + self.colour
        average = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - average) * uniform(low, high) + average * uniform(low, high)
        grey = x.mean(dim=1, keepdim=True)
        saturation = torch.where(uniform(0, 1) < self.grey, 0.0, uniform(low, high))
        x = grey + (x - grey) * saturation
        x = x + uniform(-self.shift, self.shift, channels=3)
        return _cover(x, self.square, mean, random)


def _crop(images: Tensor, padding: int, random: Generator) -> Tensor:
    """A window of each image, moved by up to `padding` pixels; the border is reflected."""
    places = F.pad(images, [padding] * 4, mode="reflect").unfold(2, SIDE, 1).unfold(3, SIDE, 1)
    rows, columns = _corners(images, 2 * padding + 1, random)
    return places[torch.arange(len(images), device=images.device), :, rows, columns]


def _cover(images: Tensor, square: int, mean: Tensor, random: Generator) -> Tensor:
    """Covers one square of each image with the mean colour: with zeros, once normalised."""
    if not square:
        return images
    line = torch.arange(SIDE, device=images.device)
    rows, columns = _corners(images, SIDE - square + 1, random)
    in_rows = (line >= rows[:, None]) & (line < rows[:, None] + square)
    in_columns = (line >= columns[:, None]) & (line < columns[:, None] + square)
    covered = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(covered, mean, images)


def _corners(images: Tensor, places: int, random: Generator) -> Tensor:
    shape = (2, len(images))
    return torch.randint(places, shape, generator=random, device=images.device)

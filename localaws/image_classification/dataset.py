"""The algorithm's channels in image format: pictures, and one list for each split.

A line of a list is `index<TAB>label<TAB>path`; indices are unique, labels count from 0, paths are
relative to the channel. https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from localaws.image_classification.network import pixels
from service_model.image_classification import Shape

FORMATS = ("application/x-image", "image/png", "image/jpeg")
CHANNELS = ("train", "validation", "train_lst", "validation_lst")


class InputError(ValueError):
    """Channels, lists or images that the algorithm refuses."""


class NotHere(Exception):
    """What the algorithm has and this stand-in has not."""


def check_channels(channels: Mapping[str, Mapping[str, Any]]) -> None:
    """InputError for a channel that is missing or of a wrong type; NotHere for RecordIO."""
    for name in ("train", "validation"):
        if name not in channels:
            raise InputError(
                f"Failed to validate input data configuration: {name!r} is a required property"
            )
    if "model" in channels:
        raise NotHere("incremental training (channel model)")
    kinds = {name: str(channels[name].get("ContentType", "")) for name in channels}
    if any(kind.startswith("application/x-recordio") for kind in kinds.values()):
        raise NotHere("RecordIO (content type application/x-recordio)")
    for name in CHANNELS:
        if name not in channels:
            raise InputError(
                f"Failed to validate input data configuration: {name!r} is a required property "
                "with images (content type application/x-image)"
            )
        if kinds[name] not in FORMATS:
            raise InputError(
                f"Failed to validate input data configuration: {kinds[name]!r} of channel "
                f"{name} is not one of {list(FORMATS)}"
            )


def load(folder: Path, split: str, shape: Shape, classes: int) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) in [0, 1] and labels (N) of `train` or `validation`."""
    rows = _rows(folder / f"{split}_lst", classes)
    images = []
    for path, _ in rows:
        file = folder / split / path
        try:
            images.append(pixels(file.read_bytes(), shape))
        except FileNotFoundError:
            raise InputError(
                f"{path} of the list is not in the channel {split}; its paths are relative to "
                "the channel"
            ) from None
        except ValueError as error:
            raise InputError(f"{path} in channel {split}: {error}") from error
    return torch.stack(images), torch.tensor([label for _, label in rows])


def _rows(folder: Path, classes: int) -> list[tuple[str, int]]:
    lists = sorted(folder.glob("*.lst"))
    if len(lists) != 1:
        raise InputError(f"channel {folder.name} must hold one .lst file, not {len(lists)}")
    rows: list[tuple[str, int]] = []
    seen: set[str] = set()
    for number, line in enumerate(lists[0].read_text("utf-8").splitlines(), 1):
        where = f"{lists[0].name}, line {number}"
        index, label, path = (*line.split("\t"), "", "", "")[:3]
        if line.count("\t") != 2 or not index.isdecimal() or not label.isdecimal() or not path:
            raise InputError(f"{where}: {line!r} is not index<TAB>label<TAB>path")
        if index in seen:
            raise InputError(f"{where}: index {index} is not unique")
        if int(label) >= classes:
            raise InputError(f"{where}: label {label} is not below num_classes, {classes}")
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise InputError(f"{where}: {path!r} is not relative to the channel")
        seen.add(index)
        rows.append((path, int(label)))
    if not rows:
        raise InputError(f"{lists[0].name} of channel {folder.name} lists no image")
    return rows

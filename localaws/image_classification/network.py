"""A small convolutional network, images as it sees them, and its archive."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from service_model.image_classification import Shape

PREFIX = "image-classification"
FORMATS = ("PNG", "JPEG")
PIXEL_LIMIT = 50_000_000  # a file of some kilobytes can claim to unfold to gigabytes


class Network(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and pooling; a linear layer on their means."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, before in zip((24, 48, 96), (channels, 24, 48), strict=True):
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(96, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] → logits (B, classes)."""
        logits: Tensor = self.head(self.body(images - 0.5).mean((2, 3)))
        return logits


def pixels(body: bytes, shape: Shape) -> Tensor:
    """A PNG or JPEG scaled to `shape` (C, H, W), in [0, 1]. ValueError with a sentence."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"image_shape has {channels} channels; an image has 1 or 3")
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError(f"the image has more than {PIXEL_LIMIT:,} pixels")
            plain = image.convert("RGB" if channels == 3 else "L")
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"it is not a whole PNG or JPEG image ({error})") from error
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(plain, np.float32).reshape(height, width, channels) / 255
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def file_name(epoch: int) -> str:
    """The file of an epoch (from 0); its name counts from 1, as the algorithm's does."""
    return f"{PREFIX}-{epoch + 1:04d}.params"


def save(folder: Path, epoch: int, network: Network) -> None:
    """The weights: a state dict, which `torch.load(weights_only=True)` reads and does not run."""
    torch.save(network.state_dict(), folder / file_name(epoch))


def describe(folder: Path, shape: Shape, classes: int) -> None:
    """What goes beside the weights: how to build the network again."""
    symbol = {"stand_in": "localaws.image_classification", "classes": classes}
    (folder / f"{PREFIX}-symbol.json").write_text(json.dumps(symbol) + "\n")
    shapes = [{"name": "data", "shape": [1, *shape]}]
    (folder / "model-shapes.json").write_text(json.dumps(shapes) + "\n")


def restore(folder: Path) -> tuple[Network, Shape]:
    """The network of the last epoch that was kept, ready to answer. ValueError for no archive of
    ours, such as one that the algorithm itself wrote."""
    found = sorted(folder.glob(f"{PREFIX}-*.params"))
    try:
        symbol: dict[str, Any] = json.loads((folder / f"{PREFIX}-symbol.json").read_text())
        shape = json.loads((folder / "model-shapes.json").read_text())[0]["shape"][1:]
        network = Network(shape[0], int(symbol["classes"]))
        network.load_state_dict(torch.load(found[-1], weights_only=True))
    except (OSError, LookupError, ValueError, RuntimeError) as error:
        raise ValueError(f"this is no archive of localaws's stand-in ({error!r})") from error
    return network.eval(), (int(shape[0]), int(shape[1]), int(shape[2]))

"""Epochs over the images, with the hyperparameters that the algorithm has."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from localaws.image_classification import network as networks
from localaws.image_classification.network import Network

Values = Mapping[str, Any]
Say = Callable[[str], None]
Images = tuple[Tensor, Tensor]  # (N, C, H, W) and labels (N)
_BORDER = 4  # pixels around an image before it is cropped to its size again
_HUE_SATURATION_LIGHTNESS = 50 / 255  # the guide's widest range, for each channel here


def train(values: Values, data: Images, held_out: Images, folder: Path, say: Say) -> None:
    """Fills `folder`, where the model belongs; `say` writes a line of the log."""
    torch.manual_seed(0)
    images, labels = data
    network = Network(values["image_shape"][0], values["num_classes"])
    optimiser = _optimiser(values, network)
    best, every = _Best(values), values["checkpoint_frequency"]
    networks.describe(folder, values["image_shape"], values["num_classes"])
    for epoch in range(values["epochs"]):
        if epoch in values["lr_scheduler_step"]:
            for group in optimiser.param_groups:
                group["lr"] *= values["lr_scheduler_factor"]
            say(f"Update[{epoch}]: Change learning rate to {optimiser.param_groups[0]['lr']:.5e}")
        began = time.monotonic()
        network.train()
        right = 0
        for batch in torch.split(torch.randperm(len(labels)), values["mini_batch_size"]):
            logits = network(_augmented(images[batch], values["augmentation_type"]))
            optimiser.zero_grad()
            torch.autograd.backward(functional.cross_entropy(logits, labels[batch]))
            optimiser.step()
            right += int((logits.argmax(1) == labels[batch]).sum())
        say(f"Epoch[{epoch}] Train-accuracy={right / len(labels):.6f}")
        say(f"Epoch[{epoch}] Time cost={time.monotonic() - began:.3f}")
        found = logits_of(network, held_out[0])
        accuracy = _accuracy(found, held_out[1], 1)
        say(f"Epoch[{epoch}] Validation-accuracy={accuracy:.6f}")
        if values["top_k"]:
            rate = _accuracy(found, held_out[1], values["top_k"])
            say(f"Epoch[{epoch}] Validation-top_k_accuracy_{values['top_k']}={rate:.6f}")
        if best.is_best(epoch, accuracy) and every is None:
            say(f"Storing the best model with validation accuracy: {accuracy:.6f}")
            for older in folder.glob(f"{networks.PREFIX}-*.params"):
                older.unlink()
            _save(network, epoch, folder, say)
        elif every is not None and (epoch + 1) % every == 0:
            _save(network, epoch, folder, say)
        if best.has_stalled(epoch):
            say(f"Early stopping criterion is met after epoch {epoch}")
            return


def logits_of(network: Network, images: Tensor) -> Tensor:
    """Logits (N, classes), outside of training."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(part) for part in torch.split(images, 256)])


class _Best:
    """The best validation accuracy so far, and since when nothing was better."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._accuracy, self._mark, self._epoch = -1.0, -1.0, 0

    def is_best(self, epoch: int, accuracy: float) -> bool:
        if accuracy > self._mark + self._values["early_stopping_tolerance"]:
            self._mark, self._epoch = accuracy, epoch
        if accuracy <= self._accuracy:
            return False
        self._accuracy = accuracy
        return True

    def has_stalled(self, epoch: int) -> bool:
        return bool(
            self._values["early_stopping"]
            and epoch + 1 >= self._values["early_stopping_min_epochs"]
            and epoch - self._epoch >= self._values["early_stopping_patience"]
        )


def _save(network: Network, epoch: int, folder: Path, say: Say) -> None:
    networks.save(folder, epoch, network)
    say(f'Saved checkpoint to "{folder / networks.file_name(epoch)}"')


def _accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    likeliest = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return float((likeliest == labels[:, None]).any(1).double().mean())


def _optimiser(values: Values, network: nn.Module) -> torch.optim.Optimizer:
    rate, weights = values["learning_rate"], network.parameters()
    if values["optimizer"] == "adam":
        betas = (values["beta_1"], values["beta_2"])
        return torch.optim.Adam(weights, rate, betas, values["eps"])
    if values["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(weights, rate, values["gamma"], values["eps"])
    return torch.optim.SGD(
        weights,
        rate,
        values["momentum"],
        weight_decay=values["weight_decay"],
        nesterov=values["optimizer"] == "nag" and values["momentum"] > 0,
    )


def _augmented(images: Tensor, kind: str | None) -> Tensor:
    """A batch (B, C, H, W), each image changed by chance as the guide describes `kind`."""
    if kind is None:
        return images
    count, _, height, width = images.shape
    flipped = torch.where(torch.rand(count, 1, 1, 1) < 0.5, images.flip(3), images)
    padded = functional.pad(flipped, (_BORDER,) * 4)
    places = torch.randint(0, 2 * _BORDER + 1, (count, 2)).tolist()
    batch = torch.stack(
        [p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, places, strict=True)]
    )
    if kind != "crop":
        shift = torch.empty(count, images.shape[1], 1, 1)
        batch = (batch + shift.uniform_(*_around(_HUE_SATURATION_LIGHTNESS))).clamp(0, 1)
    return _transformed(batch) if kind == "crop_color_transform" else batch


def _transformed(images: Tensor) -> Tensor:
    """Rotated by up to 10°, sheared by up to 0.1, its aspect ratio changed by up to 0.25."""
    count = len(images)
    angle = torch.empty(count).uniform_(*_around(0.1745))
    shear = torch.empty(count).uniform_(*_around(0.1))
    aspect = 1 + torch.empty(count).uniform_(*_around(0.25))
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = angle.cos() * aspect, -angle.sin() + shear
    maps[:, 1, 0], maps[:, 1, 1] = angle.sin(), angle.cos()
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _around(most: float) -> tuple[float, float]:
    return -most, most

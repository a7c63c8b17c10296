"""The network: 294 thousand weights for 32×32 images of two classes.

    image in [0, 1] (B, 3, 32, 32)
      ─► normalise ─► whitening convolution 2×2, frozen: 24 channels of 31×31 ─► GELU
      ─► group of 32 channels, 15×15 ─► group of 64, 7×7 ─► group of 128, 3×3
      ─► greatest value of each channel ─► linear, times 1/9 ─► logits (B, 2)

A group is: convolution 3×3 ─► max-pool 2 ─► batch norm ─► GELU ─► convolution 3×3 ─► batch norm
─► GELU. After K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024.

This module travels in the model archive. It imports torch alone, and nothing newer than the torch
of the oldest inference image (2.6).
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (32, 64, 128)
WHITENED = 24  # 2×2 patches of 3 channels have 12 eigenvectors; each comes with its negative


class Network(nn.Module):
    """Bicycle (0) or motorcycle (1). All that inference needs is in the state dict."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("deviation", torch.full((3, 1, 1), 0.25))
        # Frozen, and without the bias that the paper trains for some epochs: with nothing to learn
        # here the backward pass ends at the first group, which saves a fifth of a step.
        self.whitening = nn.Conv2d(3, WHITENED, 2, bias=False).requires_grad_(False)
        inputs = (WHITENED, *WIDTHS)
        self.groups = nn.Sequential(*map(_group, inputs, WIDTHS))
        self.head = nn.Linear(WIDTHS[-1], 2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2) of images (B, 3, 32, 32) whose values lie in [0, 1]."""
        x = F.gelu(self.whitening((images - self.mean) / self.deviation))
        logits: Tensor = self.head(self.groups(x).amax(dim=(2, 3))) / 9
        return logits

    def mirrored(self, images: Tensor) -> Tensor:
        """The mean of the logits of each image and of its mirror image."""
        logits: Tensor = (self(images) + self(images.flip(3))) / 2
        return logits

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The same function in fewer operations, to serve: a sixth of the time less.

        What only scales and shifts goes into the convolution before or after it. Through the
        pooling too: the greatest value stays the greatest under a positive factor. Where training
        has left one that is not, that batch norm stays.
        """
        network = deepcopy(self).eval()
        layers: list[nn.Module] = [network._normalising_whitening(), nn.GELU()]
        for group in network.groups:
            parts: tuple[Any, ...] = tuple(group.children())
            first, pool, first_norm, gelu, second, second_norm, _ = parts
            if bool((first_norm.weight > 0).all()):
                layers += [fuse_conv_bn_eval(first, first_norm), pool, gelu]
            else:
                layers += [first, pool, first_norm, gelu]
            layers += [fuse_conv_bn_eval(second, second_norm), gelu]
        network.head.weight /= 9
        return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), network.head).eval()

    def _normalising_whitening(self) -> nn.Conv2d:
        weight = self.whitening.weight / self.deviation
        convolution = nn.Conv2d(3, WHITENED, 2)
        convolution.weight = nn.Parameter(weight)
        convolution.bias = nn.Parameter(-(weight * self.mean).sum((1, 2, 3)))
        return convolution

    @torch.no_grad()
    def fit_input(self, images: Tensor) -> None:
        """Sets what does not learn by gradient from training images (N, 3, 32, 32) in [0, 1]."""
        self.mean.copy_(images.mean(dim=(0, 2, 3))[:, None, None])
        self.deviation.copy_(images.std(dim=(0, 2, 3))[:, None, None])
        normal = (images - self.mean) / self.deviation
        patches = F.unfold(normal, 2).transpose(1, 2).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.whitening.weight.copy_(torch.cat([filters, -filters]))


def _group(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        _convolution(inputs, outputs),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
        _convolution(outputs, outputs),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight[:inputs])  # these outputs begin as copies of the inputs
    return convolution

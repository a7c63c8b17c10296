"""The handlers that the SageMaker PyTorch inference image calls; at the top of the archive's code.

    image/png, image/jpeg, application/x-image ─► input_fn ─► predict_fn ─► output_fn ─► JSON

The answer is `[p_bicycle, p_motorcycle]`. What cannot be decoded raises `ValueError` with one
sentence, which the server answers with a 4xx.

Source: "Deploy PyTorch Models", SageMaker Python SDK (model_fn, input_fn, predict_fn, output_fn).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from steps.train import picture
from steps.train.network import Network

CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")
_WARM_UP = 5  # passes after which torch has looked at the shapes and settled on a plan


class Model(NamedTuple):
    """Logits of images (B, 3, 32, 32), made ready for inference, and where they are computed."""

    logits: Callable[[Tensor], Tensor]
    device: torch.device


class _Calibrated(nn.Module):
    """The mean of the logits of image and mirror, over the temperature that makes them honest."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(torch.cat([images, images.flip(3)]))  # both in one pass
        mean: Tensor = logits.view(2, -1, 2).mean(0) / self.temperature
        return mean


def model_fn(model_dir: str) -> Model:
    """Loads `model.pt` and `metadata.json`; nothing in the weights is executed."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(model_dir)
    network = Network()
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    calibrated = _Calibrated(network, float(metadata["temperature"])).to(device).eval()
    example = torch.rand(1, 3, picture.SIDE, picture.SIDE, device=device)
    return Model(_for_inference(calibrated, example), device)


def _for_inference(network: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The same function in half the time: batch norms folded into the convolutions before them,
    weights laid out for the processor once and not at every call. Any batch size will do."""
    with torch.no_grad():
        traced = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]  # torch's own
        ready: Callable[[Tensor], Tensor] = torch.jit.optimize_for_inference(traced)
        for _ in range(_WARM_UP):
            ready(example)
    return ready


def input_fn(body: bytes, content_type: str) -> Tensor:
    """Decodes one image of any size and mode into (1, 3, 32, 32), values in [0, 1]."""
    kind = content_type.split(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise ValueError(f"{kind!r} is not supported; send one of {', '.join(CONTENT_TYPES)}")
    pixels = torch.from_numpy(picture.decoded(body).astype(np.float32) / 255)
    return pixels.permute(2, 0, 1)[None]


def predict_fn(images: Tensor, model: Model) -> Tensor:
    """Probabilities (B, 2) of the two classes."""
    with torch.inference_mode():
        return model.logits(images.to(model.device)).double().softmax(dim=1).cpu()


def output_fn(prediction: Tensor, accept: str) -> str:
    """The JSON array of the two probabilities, whatever `accept` asks for."""
    return json.dumps([float(p) for p in prediction[0]])

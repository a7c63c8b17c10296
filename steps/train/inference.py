"""The handlers that the SageMaker PyTorch inference image calls; at the top of the archive's code.

    image/png, image/jpeg, application/x-image ─┐
    application/jsonlines, an image a line ─────┴► input_fn ─► predict_fn ─► output_fn ─► JSON

One image is answered with `[p_bicycle, p_motorcycle]`. Several come as JSON Lines, as a batch
transform splits and joins them (SplitType and AssembleWith "Line"):

    {"image": "iVBORw0KGgo…"}        the PNG or JPEG in base64, on each line
    {"image": "iVBORw0KGgo…"}

and are answered with one such array a line. What cannot be decoded raises `ValueError` with one
sentence, which names the line and which the server answers with a 4xx.

Requests that wait at the same time share a forward pass (`steps.train.forward`); the answer to an
image is the same alone and in company, to five digits.

Sources: "Deploy PyTorch Models", SageMaker Python SDK (model_fn, input_fn, predict_fn, output_fn);
https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html (JSON Lines).
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from steps.train import forward, picture
from steps.train.network import Network

LINES = "application/jsonlines"
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image", LINES)


class Model(NamedTuple):
    """Logits of images (B, 3, 32, 32), B one of `forward.SIZES`, and where they are computed."""

    logits: Callable[[Tensor], Tensor]
    device: torch.device


class _Calibrated(nn.Module):
    """The mean of the logits of image and mirror, calibrated as `steps.train.calibration` says."""

    bias: Tensor

    def __init__(self, network: nn.Module, temperature: float, bias: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.register_buffer("bias", torch.tensor([0.0, bias]))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(torch.cat([images, images.flip(3)]))  # both in one pass
        calibrated: Tensor = logits.view(2, -1, 2).mean(0) / self.temperature + self.bias
        return calibrated


def model_fn(model_dir: str) -> Model:
    """Loads `model.pt` and `metadata.json`; nothing in the weights is executed."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(model_dir)
    network = Network()
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    numbers = float(metadata["temperature"]), float(metadata["bias"])
    calibrated = _Calibrated(network.folded(), *numbers).to(device).eval()
    example = torch.rand(1, 3, picture.SIDE, picture.SIDE, device=device)
    return Model(forward.Together(forward.compiled(calibrated, example)), device)


def input_fn(body: bytes | str, content_type: str) -> Tensor:
    """Decodes one image, or one a line, of any size and mode: (N, 3, 32, 32), values in [0, 1]."""
    kind = content_type.split(";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise ValueError(f"{kind!r} is not supported; send one of {', '.join(CONTENT_TYPES)}")
    data = body.encode() if isinstance(body, str) else bytes(body)
    images = _of_lines(data) if kind == LINES else [picture.decoded(data)]
    pixels = np.stack(images).astype(np.float32) / 255
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _of_lines(body: bytes) -> list[np.ndarray]:
    """The image of each line that is not blank."""
    images = []
    for number, line in enumerate(body.splitlines(), 1):
        if line.strip():
            try:
                images.append(picture.decoded(_in_base64(line)))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    if not images:
        raise ValueError("the body has no line with an image")
    return images


def _in_base64(line: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(line)["image"], validate=True)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError('a line must be {"image": "<base64 of a PNG or JPEG>"}') from error


def predict_fn(images: Tensor, model: Model) -> Tensor:
    """Probabilities (N, 2) of the two classes."""
    with torch.inference_mode():
        logits = [model.logits(part) for part in forward.parts(images.to(model.device))]
        return torch.cat(logits).softmax(dim=1, dtype=torch.float64).cpu()


def output_fn(prediction: Tensor, accept: str) -> str | tuple[str, str]:
    """The JSON array of an image's two probabilities, whatever `accept` asks for; one a line, with
    the content type of JSON Lines, for several images."""
    lines = [json.dumps(probabilities) for probabilities in prediction.tolist()]
    return lines[0] if len(lines) == 1 else ("\n".join(lines), LINES)

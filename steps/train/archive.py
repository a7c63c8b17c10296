"""Writes what SageMaker will pack into `model.tar.gz`.

    model.pt              the state dict; `torch.load(weights_only=True)` reads it and runs nothing
    metadata.json         classes, data, hyperparameters, validation, calibration, versions
    code/inference.py     the handlers that the PyTorch inference image calls
    code/steps/…          network, forward pass and decoding of images, below the same package path

Nothing in it depends on the time or the place, so the same training gives the same archive.
"""

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from steps.train.checkpoint import write_tensors
from steps.train.network import Network

HERE = Path(__file__).parent


def write(folder: Path, network: Network, metadata: dict[str, Any]) -> None:
    """Fills `folder` (made when missing); `model.pt` comes last."""
    code = folder / "code"
    package = code / "steps/train"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "inference.py", code / "inference.py")
    for name in ("../__init__.py", "__init__.py", "network.py", "picture.py", "forward.py"):
        shutil.copyfile(HERE / name, package / name)
    text = json.dumps({**metadata, "versions": versions()}, indent=2, ensure_ascii=False)
    (folder / "metadata.json").write_text(text + "\n", "utf-8")
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_tensors(folder / "model.pt", state)


def versions() -> dict[str, str]:
    """The versions that the weights depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }

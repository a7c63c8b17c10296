"""Checkpoints: what a training job that was interrupted (Spot, a stop) goes on from.

SageMaker copies `/opt/ml/checkpoints` to S3 while the job runs and back before it is started
again. A file that is being written could be copied half-done, so it is written beside and renamed.
"""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from steps.job import StepError

NAME = "checkpoint.pt"


def write_tensors(path: Path, state: dict[str, Any]) -> None:
    """Writes what `torch.load(weights_only=True)` reads, all or nothing.

    Through memory, because torch tells a full disk as a `RuntimeError` of its own and records the
    file's name, while this raises `OSError` and gives the same bytes wherever it is written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(buffer.getbuffer())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Stateful(Protocol):
    """A module, an optimiser, or what else can be put away and brought back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run in `folder`, one in `every` epochs.

    `data` says on which data (its hash): a run does not go on from a checkpoint of other data.
    """

    folder: Path
    every: int
    data: str

    def save(self, epochs: int, parts: Mapping[str, Stateful], parameters: dict[str, Any]) -> None:
        """Replaces the checkpoint by the state after `epochs` epochs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "epochs": epochs,
            "settings": self._settings(parameters),
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        write_tensors(self.folder / NAME, state)

    def restore(
        self, parts: Mapping[str, Stateful], parameters: dict[str, Any], device: torch.device
    ) -> int:
        """Brings back the saved state; the number of epochs that it has behind it, or 0."""
        path = self.folder / NAME
        if not path.exists():
            return 0
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            saved, epochs = state["settings"], int(state["epochs"])
            contents = [(part, state["parts"][name]) for name, part in parts.items()]
        except Exception as error:  # a damaged file can raise nearly anything
            raise StepError(
                f"the checkpoint {path} cannot be read ({type(error).__name__}); remove it"
            ) from error
        settings = self._settings(parameters)
        for key, value in settings.items():
            if saved.get(key) != value:
                raise StepError(
                    f"the checkpoint {path} was made with {key} {saved.get(key)} and not {value}; "
                    "remove it, or give another --checkpoint-dir"
                )
        for part, content in contents:
            part.load_state_dict(content)
        return epochs

    def _settings(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, "data": self.data}

"""The handler that TorchServe calls: the model archive's own four functions.

Goes into the `.mar` file together with `model.tar.gz`; runs in the peer's environment. A batch is
one call of `predict_fn`.
"""

import sys
import tarfile
from pathlib import Path
from typing import Any

import torch


class Handler:
    """`initialize` once a worker, `handle` once a request."""

    def initialize(self, context: Any) -> None:
        folder = Path(context.system_properties["model_dir"])
        unpacked = folder / "unpacked"
        with tarfile.open(folder / "model.tar.gz") as archive:
            archive.extractall(unpacked, filter="data")
        sys.path.insert(0, str(unpacked / "code"))
        import inference  # type: ignore[import-not-found]  # the archive's

        self._handlers: Any = inference
        self._model = inference.model_fn(str(unpacked))

    def handle(self, data: list[Any], context: Any) -> list[str]:
        bodies = [bytes(row.get("body") or row["data"]) for row in data]
        images = [self._handlers.input_fn(body, "image/png") for body in bodies]
        predictions = self._handlers.predict_fn(torch.cat(images), self._model)
        return [self._handlers.output_fn(p, "application/json") for p in predictions.split(1)]

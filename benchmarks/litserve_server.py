"""A model archive behind LitServe; runs in an environment of its own (`peers/litserve.txt`).

    python benchmarks/litserve_server.py MODEL_FOLDER PORT WORKERS API_SERVERS BATCH DELAY_MS

POST /predict takes the image's bytes as they are, as the endpoint does, not in JSON or a form,
which would cost LitServe time that the others do not spend.
"""

import sys
from typing import Annotated, Any

import litserve  # type: ignore[import-not-found]  # in the peer's environment only
import torch
from fastapi import Body, Response

FOLDER = sys.argv[1]
PORT, WORKERS, API_SERVERS, BATCH, DELAY_MS = map(int, sys.argv[2:7])
Image = Annotated[bytes, Body(media_type="image/png")]


class Api(litserve.LitAPI):  # type: ignore[misc]  # untyped here
    """The archive's four handlers, one worker process a core."""

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        sys.path.insert(0, f"{FOLDER}/code")
        import inference  # type: ignore[import-not-found]  # the archive's

        self._handlers: Any = inference
        self._model = inference.model_fn(FOLDER)

    def decode_request(self, request: Image) -> Any:
        return self._handlers.input_fn(request, "image/png")

    def batch(self, inputs: Any) -> Any:
        return torch.cat(list(inputs))

    def unbatch(self, output: Any) -> Any:
        return output.split(1)

    def predict(self, x: Any) -> Any:
        return self._handlers.predict_fn(x, self._model)

    def encode_response(self, output: Any) -> Response:
        answer = self._handlers.output_fn(output, "application/json")
        return Response(answer, media_type="application/json")


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=DELAY_MS / 1000 if BATCH > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS)
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=API_SERVERS,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )

"""What a batch transform's job runs: the model of a model server, asked about each object.

    /opt/ml/transform/model/…   the model's archive     ─► unpacked to /opt/ml/model
    /opt/ml/transform/input/…   the objects             ─► each the body of one request
    /opt/ml/transform/output/…  <object>.out, the answers
    /opt/ml/transform/request.json   content type, accept, the largest payload in bytes

On SageMaker an agent beside the container sends the requests, and the container sees the model
alone. Exit status 2: an object or an answer of the 4xx kind is at fault; 1: the model is.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

import json
import os
import sys
from pathlib import Path

from localaws.hosting.model_server.handlers import Model
from localaws.jobs import archive

ML = Path("/opt/ml")
CLIENT_ERROR, ALGORITHM_ERROR = 2, 1


class Failed(Exception):
    """The transform cannot go on; `status` is the program's exit status."""

    def __init__(self, sentence: str, status: int = ALGORITHM_ERROR) -> None:
        super().__init__(sentence)
        self.status = status


def main(ml: Path = ML) -> int:
    """Transforms everything; returns the exit status."""
    try:
        count = _transform(ml)
    except Failed as failure:
        print(failure, file=sys.stderr, flush=True)
        (ml / "output").mkdir(exist_ok=True)
        (ml / "output/failure").write_text(str(failure), "utf-8")
        return failure.status
    print(f"{count} objects transformed", flush=True)
    return 0


def _transform(ml: Path) -> int:
    work = ml / "transform"
    request = json.loads((work / "request.json").read_text("utf-8"))
    model = _load(work / "model", ml / "model")
    paths = sorted(path for path in (work / "input").rglob("*") if path.is_file())
    for path in paths:
        name = path.relative_to(work / "input")
        if path.stat().st_size > request["largest_payload"]:
            raise Failed(
                f"{name} has more than {request['largest_payload'] >> 20} MB: raise "
                "MaxPayloadInMB, or split the object",
                CLIENT_ERROR,
            )
        answer = model.invoke(path.read_bytes(), request["content_type"], request["accept"])
        if answer.status >= 400:
            said = answer.body.decode("utf-8", "replace").partition("\n")[0]
            status = CLIENT_ERROR if answer.status < 500 else ALGORITHM_ERROR
            raise Failed(
                f"{name}: Bad HTTP status received from algorithm: {answer.status} ({said})", status
            )
        target = work / "output" / name.parent / f"{name.name}.out"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(answer.body)
    return len(paths)


def _load(packed: Path, folder: Path) -> Model:
    for file in packed.iterdir() if packed.is_dir() else ():
        archive.unpack(file, folder)
    # Requests come one by one and small networks gain nothing from more threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        return Model.load(folder)
    except Exception as error:  # a model's own code may raise anything
        raise Failed(f"The model cannot be loaded: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())

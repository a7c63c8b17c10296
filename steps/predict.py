"""Runs images through the handlers of one model archive, as its endpoint would; for `evaluate`.

    python predict.py MODEL_DIR IMAGES.json ANSWERS.json

`IMAGES.json` is a list of paths of PNGs; `ANSWERS.json` becomes the list of the handlers' answers.
This is a program of its own because the archive brings its own `inference` and `steps.train`
modules: in one process, those of two versions would mix. So it imports nothing of ours.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(model: Path, images: Path, answers: Path) -> None:
    """Writes the answers; exits with one sentence when a handler raises."""
    # The `steps` that this program came from must not stand in for the archive's.
    own = Path(__file__).resolve().parent
    folders = [Path(entry or ".").resolve() for entry in sys.path]
    others = [str(f) for f in folders if f != own and not (f / "steps").is_dir()]
    sys.path[:] = [str(model / "code"), *others]
    try:
        handlers = importlib.import_module("inference")
        loaded = handlers.model_fn(str(model))
    except Exception as error:  # the archive's code may raise anything
        sys.exit(f"model_fn failed: {type(error).__name__}: {error}")
    found = []
    for path in json.loads(images.read_text("utf-8")):
        try:
            body = handlers.input_fn(Path(path).read_bytes(), "image/png")
            found.append(_decoded(handlers.output_fn(handlers.predict_fn(body, loaded), _JSON)))
        except Exception as error:  # the archive's code may raise anything
            sys.exit(f"the handlers failed on {path}: {type(error).__name__}: {error}")
    answers.write_text(json.dumps(found), "utf-8")


_JSON = "application/json"


def _decoded(answer: Any) -> Any:
    body = answer[0] if isinstance(answer, tuple) else answer  # (body, content type) is allowed
    return json.loads(body)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

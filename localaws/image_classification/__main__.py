"""The training job of the stand-in: `python3 -m localaws.image_classification`.

Exit status 2 says that the request is at fault (SageMaker shows a ClientError), 1 that the
algorithm is (an AlgorithmError); the sentence is in /opt/ml/output/failure.
"""

import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from localaws.image_classification import dataset
from localaws.image_classification.dataset import InputError, NotHere
from service_model.image_classification import TRAINS_ON, HyperparameterError, read

ML = Path("/opt/ml")
CLIENT_ERROR, ALGORITHM_ERROR = 2, 1


def main(ml: Path = ML) -> int:
    """Trains what the configuration below `ml` asks for; returns the exit status."""
    try:
        _run(ml)
    except (HyperparameterError, InputError) as error:
        say(f"Customer Error: {error}", "ERROR")
        return _failed(ml, str(error), CLIENT_ERROR)
    except NotHere as error:
        sentence = f"localaws's stand-in for image-classification has no {error}"
        say(f"Algorithm Error: {sentence}", "ERROR")
        return _failed(ml, sentence, ALGORITHM_ERROR)
    return 0


def say(text: str, level: str = "INFO") -> None:
    """A line as the algorithm logs it."""
    now = datetime.datetime.now(datetime.UTC)
    print(f"[{now:%m/%d/%Y %H:%M:%S} {level} {os.getpid()}] {text}", flush=True)


def _run(ml: Path) -> None:
    given = _document(ml, "hyperparameters")
    say(f"Reading provided configuration from {ml}/input/config/hyperparameters.json: {given}")
    values = read(given)
    _refuse_what_is_not_here(values)
    instance = str(_document(ml, "resourceconfig").get("current_instance_type", ""))
    if not TRAINS_ON.fullmatch(instance):
        raise InputError(f"the algorithm trains on GPU instances only, and {instance} is none")
    dataset.check_channels(_document(ml, "inputdataconfig"))
    say(f"Final configuration: {values}")
    say("localaws stands in for image-classification: a small network of its own, on a CPU")
    folder, shape, classes = ml / "input/data", values["image_shape"], values["num_classes"]
    splits = [dataset.load(folder, split, shape, classes) for split in ("train", "validation")]
    if len(splits[0][1]) != values["num_training_samples"]:
        say(f"num_training_samples is not the {len(splits[0][1])} images of the list", "WARNING")
    from localaws.image_classification.training import train  # torch.optim takes its time to import

    train(values, splits[0], splits[1], ml / "model", say)


def _refuse_what_is_not_here(values: dict[str, Any]) -> None:
    for name, what in (
        ("use_pretrained_model", "pretrained weights (use_pretrained_model)"),
        ("multi_label", "multi-label training (multi_label)"),
    ):
        if values[name]:
            raise NotHere(what)


def _document(ml: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ml / f"input/config/{name}.json").read_text("utf-8"))
    return content


def _failed(ml: Path, sentence: str, status: int) -> int:
    (ml / "output").mkdir(exist_ok=True)
    (ml / "output/failure").write_text(sentence, "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())

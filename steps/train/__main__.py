"""The command line of the training program; see the package for what it does."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

# cuBLAS is deterministic only with this, set before torch starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch

from steps import job
from steps.job import StepError
from steps.train import archive, calibration, data
from steps.train.checkpoint import Checkpoints
from steps.train.loop import Hyperparameters, train
from steps.train.machines import Machines, arithmetic, joined


def main(argv: Sequence[str] | None = None) -> None:
    """Trains and writes the model; raises `StepError` or `Stopped`."""
    args = parser().parse_args(argv)
    parameters = Hyperparameters(
        **{field.name: getattr(args, field.name) for field in fields(Hyperparameters)}
    )
    torch.set_num_threads(args.threads)
    torch.set_deterministic_debug_mode("error")  # what `use_deterministic_algorithms` does, without
    # importing torch's compiler, which takes two to three seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # not in the stub; nothing reads it
    with joined(args.device) as machines, _stop_on_sigterm() as stop_asked:
        write_model(args, parameters, machines, stop_asked)


def write_model(
    args: argparse.Namespace,
    parameters: Hyperparameters,
    machines: Machines,
    stop_asked: Callable[[], bool],
) -> None:
    """Trains as one of the `machines`; the first of them writes the model, for all hold the same.

    `args` are those of the command line: folders, threads, checkpoints.
    """
    dataset = _dataset(args.dataset / "dataset.json")
    training = data.load(args.train, args.dataset / "train.lst").to(machines.device)
    validation = data.load(args.validation, args.dataset / "validation.lst").to(machines.device)
    if machines.rank == 0:
        print(
            f"training on {len(training.labels)} images of {dataset['name']}, "
            f"{len(validation.labels)} for validation, on {machines.count} × "
            f"{machines.device.type} with {args.threads} threads, torch {torch.__version__}, "
            f"seed {parameters.seed}",
            flush=True,
        )
    checkpoints = _checkpoints(args, dataset["sha256"])
    network, result = train(parameters, training, validation, machines, checkpoints, stop_asked)
    if machines.rank > 0:
        return
    fitted = calibration.fit(result.logits, validation.labels)
    measured = {
        "validation": {
            "images": len(validation.labels),
            "accuracy": round(result.accuracy, 6),
            "loss": round(result.loss, 6),
        },
        **fitted._asdict(),
    }
    metadata = _origin(dataset, parameters, machines) | measured
    archive.write(args.model_dir, network.cpu(), metadata)
    print(
        f"validation_accuracy={result.accuracy:.4f} at the end, temperature {fitted.temperature}, "
        f"bias {fitted.bias}; written to {args.model_dir}",
        flush=True,
    )


def _checkpoints(args: argparse.Namespace, dataset: str) -> Checkpoints | None:
    """Where the job keeps them; none by itself where SageMaker has made no folder for them."""
    folder = args.checkpoint_dir
    is_wanted = args.checkpoint_every and (folder != _CHECKPOINTS or folder.is_dir())
    return Checkpoints(folder, args.checkpoint_every, dataset) if is_wanted else None


def _origin(
    dataset: dict[str, Any], parameters: Hyperparameters, machines: Machines
) -> dict[str, Any]:
    """From what the weights come."""
    return {
        "classes": dataset["classes"],
        "dataset": {"name": dataset["name"], "sha256": dataset["sha256"]},
        "hyperparameters": asdict(parameters),
        "trained_on": {
            "processes": machines.count,
            "device": machines.device.type,
            "arithmetic": str(arithmetic(parameters.precision, machines.device)),
        },
    }


_CHECKPOINTS = Path("/opt/ml/checkpoints")
_RECIPE = Hyperparameters()
_NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "epochs": (job.whole(1, 1000), "passes over the training images"),
    "batch-size": (job.whole(2, 4096), "images a step, of all processes together"),
    "seed": (job.whole(0, 2**31), "the same seed gives the same model"),
    "muon-learning-rate": (job.real(1e-6, 10), "greatest, for the convolutions"),
    "muon-momentum": (job.real(0, 0.999), "Nesterov momentum of the convolutions"),
    "learning-rate": (job.real(1e-6, 10), "greatest, for all other weights (SGD)"),
    "momentum": (job.real(0, 0.999), "Nesterov momentum of all other weights"),
    "weight-decay": (job.real(0, 1), "of all other weights"),
    "warm-up": (job.real(0, 0.9), "share of the steps until the greatest rate"),
    "label-smoothing": (job.real(0, 0.5), "share of a label spread over both classes"),
    "colour": (job.real(0, 1), "contrast, brightness and saturation change by ± this"),
    "shift": (job.real(0, 0.5), "each colour channel moves by ± this"),
    "grey": (job.real(0, 1), "share of the images that lose their colour"),
    "square": (job.whole(0, 32), "side of the square that is covered, pixels"),
    "patience": (
        job.whole(0, 1000),
        "epochs without a smaller validation loss after which training stops and keeps the best; "
        "0: never",
    ),
}


def parser() -> job.Parser:
    """The options; their defaults are the recipe and the folders of a training job."""
    options = job.parser("train", "Trains the network on prepared images of two classes.")
    for name, (kind, text) in _NUMBERS.items():
        default = getattr(_RECIPE, name.replace("-", "_"))
        options.add_argument(f"--{name}", type=kind, default=default, help=text)
    options.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default=_RECIPE.precision,
        help="of convolutions in training; auto: bfloat16 where the processor multiplies it",
    )
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where")
    cores = max(1, min(2, os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    options.add_argument(
        "--threads", type=job.whole(1, 256), default=cores, help="CPU threads of this process"
    )
    options.add_argument(
        "--checkpoint-every",
        type=job.whole(0, 1000),
        default=5,
        help="epochs between checkpoints; 0: none",
    )
    folders: dict[str, tuple[str | Path, str]] = {
        "train": (_channel("train"), "the training images"),
        "validation": (_channel("validation"), "the validation images"),
        "dataset": (_channel("dataset"), "the lists and dataset.json"),
        "model-dir": (os.environ.get("SM_MODEL_DIR", "/opt/ml/model"), "where to write the model"),
        "checkpoint-dir": (_CHECKPOINTS, "checkpoints; the default is used if it exists"),
    }
    for name, (folder, text) in folders.items():
        options.add_argument(f"--{name}", type=Path, default=Path(folder), help=text)
    return options


def _channel(name: str) -> str:
    return os.environ.get(f"SM_CHANNEL_{name.upper()}", f"/opt/ml/input/data/{name}")


def _dataset(path: Path) -> dict[str, Any]:
    try:
        dataset = json.loads(path.read_text("utf-8"))
        return {key: dataset[key] for key in ("name", "sha256", "classes")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"{path} cannot be read ({type(error).__name__}: {error}); give the output of Prepare"
        ) from error


@contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """SageMaker sends SIGTERM two minutes before it kills a job that is stopped or interrupted."""
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(job.run("Train", main))

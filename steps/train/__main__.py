"""The command line of the training program; see the package for what it does."""

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
from steps.train import archive, data
from steps.train.calibration import fit_temperature
from steps.train.checkpoint import Checkpoints
from steps.train.loop import Hyperparameters, train


def main(argv: Sequence[str] | None = None) -> None:
    """Trains and writes the model; raises `StepError` or `Stopped`."""
    args = _parser().parse_args(argv)
    parameters = Hyperparameters(
        **{field.name: getattr(args, field.name) for field in fields(Hyperparameters)}
    )
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # not in the stub; nothing reads it
    device = _device(args.device)
    dataset = _dataset(args.dataset / "dataset.json")
    training = data.load(args.train, args.dataset / "train.lst").to(device)
    validation = data.load(args.validation, args.dataset / "validation.lst").to(device)
    print(
        f"training on {len(training.labels)} images of {dataset['name']}, "
        f"{len(validation.labels)} for validation, on {device.type} with {args.threads} threads, "
        f"torch {torch.__version__}, seed {parameters.seed}",
        flush=True,
    )
    folder = args.checkpoint_dir
    checkpoints = (
        Checkpoints(folder, args.checkpoint_every, dataset["sha256"])
        if args.checkpoint_every and (folder != _CHECKPOINTS or folder.is_dir())
        else None
    )
    with _stop_on_sigterm() as stop_asked:
        network, result = train(parameters, training, validation, checkpoints, stop_asked)
    temperature = fit_temperature(result.logits, validation.labels)
    metadata = {
        "classes": dataset["classes"],
        "dataset": {"name": dataset["name"], "sha256": dataset["sha256"]},
        "hyperparameters": asdict(parameters),
        "validation": {
            "images": len(validation.labels),
            "accuracy": round(result.accuracy, 6),
            "loss": round(result.loss, 6),
        },
        "temperature": temperature,
    }
    archive.write(args.model_dir, network.cpu(), metadata)
    print(
        f"validation_accuracy={result.accuracy:.4f} at the end, temperature {temperature}; "
        f"written to {args.model_dir}",
        flush=True,
    )


_CHECKPOINTS = Path("/opt/ml/checkpoints")


def _parser() -> job.Parser:
    parser = job.parser("train", "Trains the network on prepared images of two classes.")
    number: dict[str, tuple[Callable[[str], Any], Any, str]] = {
        "epochs": (job.whole(1, 1000), 40, "passes over the training images"),
        "batch-size": (job.whole(2, 4096), 50, "images a step"),
        "seed": (job.whole(0, 2**31), 0, "the same seed gives the same model"),
        "muon-learning-rate": (job.real(1e-6, 10), 0.2, "greatest, for the convolutions"),
        "muon-momentum": (job.real(0, 0.999), 0.6, "Nesterov momentum of the convolutions"),
        "learning-rate": (job.real(1e-6, 10), 0.1, "greatest, for all other weights (SGD)"),
        "momentum": (job.real(0, 0.999), 0.9, "Nesterov momentum of all other weights"),
        "weight-decay": (job.real(0, 1), 5e-4, "of all other weights"),
        "warm-up": (job.real(0, 0.9), 0.15, "share of the steps until the greatest rate"),
        "label-smoothing": (job.real(0, 0.5), 0.1, "share of a label spread over both classes"),
        "colour": (job.real(0, 1), 0.4, "contrast, brightness and saturation change by ± this"),
        "shift": (job.real(0, 0.5), 0.08, "each colour channel moves by ± this"),
        "grey": (job.real(0, 1), 0.1, "share of the images that lose their colour"),
        "square": (job.whole(0, 32), 8, "side of the square that is covered, pixels"),
        "threads": (job.whole(1, 256), min(2, os.cpu_count() or 1), "CPU threads"),
        "checkpoint-every": (job.whole(0, 1000), 5, "epochs between checkpoints; 0: none"),
    }
    for name, (kind, default, text) in number.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where")
    folders: dict[str, tuple[str | Path, str]] = {
        "train": (_channel("train"), "the training images"),
        "validation": (_channel("validation"), "the validation images"),
        "dataset": (_channel("dataset"), "the lists and dataset.json"),
        "model-dir": (os.environ.get("SM_MODEL_DIR", "/opt/ml/model"), "where to write the model"),
        "checkpoint-dir": (_CHECKPOINTS, "checkpoints; the default is used if it exists"),
    }
    for name, (folder, text) in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(folder), help=text)
    return parser


def _channel(name: str) -> str:
    return os.environ.get(f"SM_CHANNEL_{name.upper()}", f"/opt/ml/input/data/{name}")


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise StepError("--device cuda: there is no GPU here; use --device auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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

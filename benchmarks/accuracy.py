"""How good the model is: train and evaluate with several seeds, by the programs of the jobs.

Prints the test accuracy of each seed, their mean and their spread, and how long the training
program took, from its start to the written model. About a minute a seed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.prepare import ROOT, shared_archive


def measure(data: Path, seeds: range, options: Sequence[str] = ()) -> dict[str, Any]:
    """The test accuracy and the training seconds of each seed; `options` go to Train."""
    accuracies, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="scones-accuracy-") as temporary:
        folder = Path(temporary)
        _run("steps.prepare", "--input", str(data), "--output", str(folder / "data"))
        for seed in seeds:
            started = time.perf_counter()
            _train(folder, seed, options)
            seconds.append(round(time.perf_counter() - started, 1))
            accuracies.append(_evaluate(folder, seed))
            print(f"seed {seed}: accuracy {accuracies[-1]:.3f}, {seconds[-1]} s", flush=True)
    return {
        "seeds": list(seeds),
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "training_seconds": seconds,
        "training_seconds_median": statistics.median(seconds),
    }


def _train(folder: Path, seed: int, options: Sequence[str]) -> None:
    model = folder / f"model-{seed}"
    channels = [f"--{name}={folder / 'data' / name}" for name in ("train", "validation", "dataset")]
    _run("steps.train", *channels, f"--model-dir={model}", f"--seed={seed}", *options)
    (folder / f"archive-{seed}").mkdir()
    with tarfile.open(folder / f"archive-{seed}" / "model.tar.gz", "w:gz") as archive:
        archive.add(model, arcname=".")


def _evaluate(folder: Path, seed: int) -> float:
    output = folder / f"evaluation-{seed}"
    inputs = [f"--{name}={folder / 'data' / name}" for name in ("test", "validation", "dataset")]
    archives = [f"--model={folder / f'archive-{seed}'}", f"--production={folder / 'none'}"]
    (folder / "none").mkdir(exist_ok=True)
    _run("steps.evaluate", *archives, *inputs, f"--output={output}")
    report = json.loads((output / "evaluation" / "evaluation.json").read_text())
    return float(report["binary_classification_metrics"]["accuracy"]["value"])


def _run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Prints the figures and returns them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_archive(), help="the archive")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 on")
    parser.add_argument("--epochs", type=int, help="fewer of them, for a try")
    args = parser.parse_args(argv)
    if args.data is None:
        raise SystemExit("no archive here: give --data, or set SCONES_DATA")
    options = [f"--epochs={args.epochs}"] if args.epochs else []
    figures = measure(args.data, range(args.seeds), options)
    print(
        f"mean {figures['mean']:.3f}, deviation {figures['deviation']:.3f}, "
        f"training {figures['training_seconds_median']} s at the median"
    )
    return figures


if __name__ == "__main__":
    main()

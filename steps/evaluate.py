"""Evaluate: how good the model is, measured through the code that will serve it.

    model.tar.gz ─► unpacked, its own code/inference.py in a process ─┬─► validation: the threshold
    or: what a batch transform of the model answered ─────────────────┤
    production's model.tar.gz, if there is one ─► the same ──────┐    └─► test: every figure
    or: the predictions.csv of its own evaluation ───────────────┴──────► test: its accuracy

Writes below `--output`:

    evaluation/evaluation.json    SageMaker's model-quality format, with calibration (before and
                                  after the model's own), threshold, production and the
                                  images that the model is least sure of
    evaluation/constraints.json   what labelled traffic is held to, as a MODEL_QUALITY baseline
    evaluation/predictions.csv    path,label,p_bicycle,p_motorcycle of the test images
    reference/features.csv        what the monitoring sees in an image and its answer, for every
                                  image that the model did not learn from: the drift baseline

The confidence threshold is chosen on the validation images; the test images only report. The test
images are the same for the candidate and for production, so their accuracies can be compared.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from monitoring import features
from steps import answers, job, metrics, model_archive
from steps.job import StepError
from steps.listing import read_list

LEAST_SURE = 10
Rows = Sequence[tuple[int, str]]  # label and path


class Asked(NamedTuple):
    """Images of a split with their labels (N) and a model's `probabilities` (N, 2) for them."""

    paths: list[str]
    labels: metrics.Labels
    probabilities: npt.NDArray[np.float64]

    @property
    def scores(self) -> metrics.Floats:
        """The probabilities of class 1 (N)."""
        return self.probabilities[:, 1]


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluates the candidate; raises `StepError` when it cannot be asked."""
    args = _parser().parse_args(argv)
    dataset = _dataset(args.dataset / "dataset.json")
    test_rows = read_list(args.dataset / "test.lst")
    validation_rows = read_list(args.dataset / "validation.lst")
    tested = [args.test / path for _, path in test_rows]
    everything = [*(args.validation / path for _, path in validation_rows), *tested]
    found = _candidate(args, validation_rows, test_rows, everything)
    validation = _asked(validation_rows, found[: len(validation_rows)])
    test = _asked(test_rows, found[len(validation_rows) :])
    report = _report(test, validation, dataset, args.wanted_precision, args.minimum_threshold)
    archive = model_archive.find(args.model)
    fitted = model_archive.calibration(archive) if archive else None
    report["calibration"] = _calibration(test, fitted)
    in_production = None
    old = _production(args, test_rows, tested)
    if old is not None:
        compared = _compared(_asked(test_rows, old), test)
        in_production = {"model_package_arn": args.production_arn, **compared}
    report["production"] = in_production
    report["accuracy_drop"] = in_production["accuracy"] - _accuracy(test) if in_production else 0.0
    _write(args.output, report, test)
    _write_reference(args.output / "reference", everything, found)
    _summarise(report, args.output)


def _candidate(
    args: Any, validation: Rows, test: Rows, images: Sequence[Path]
) -> npt.NDArray[np.float64]:
    """The candidate's answers to the validation images and then to the test images (N, 2)."""
    if args.test_answers.is_dir():
        print(f"reading the transform's answers below {args.test_answers}", flush=True)
        splits = ((args.validation_answers, validation), (args.test_answers, test))
        return np.concatenate(
            [answers.transformed(folder, [path for _, path in rows]) for folder, rows in splits]
        )
    archive = model_archive.find(args.model)
    if archive is None:
        raise StepError(f"--model {args.model} holds no {model_archive.NAME}")
    print(f"asking {archive} about {len(images)} images", flush=True)
    return model_archive.probabilities(archive, images)


def _production(args: Any, test: Rows, images: Sequence[Path]) -> npt.NDArray[np.float64] | None:
    """The answers of the version in production to the test images; None without one."""
    known = answers.recorded(args.production, test) if args.production_arn else None
    if known is not None:
        return known
    archive = model_archive.find(args.production)
    if archive is not None:
        print(f"asking {archive} about {len(images)} images", flush=True)
        return model_archive.probabilities(archive, images)
    if args.production_arn:
        raise StepError(
            f"--production {args.production} holds no {model_archive.NAME} of the version in "
            f"production, {args.production_arn}"
        )
    return None


def _parser() -> job.Parser:
    parser = job.parser("evaluate", "Measures a model by the answers that it gives.")
    base = Path("/opt/ml/processing/input")
    folders = {
        "model": (base / "model", "folder of the candidate's model.tar.gz"),
        "test-answers": (base / "test_answers", "or a transform's answers to the test images"),
        "validation-answers": (base / "validation_answers", "and to the validation images"),
        "test": (base / "test", "the test images"),
        "validation": (base / "validation", "the validation images"),
        "dataset": (base / "dataset", "the lists and dataset.json"),
        "production": (base / "production", "folder of production's model.tar.gz or table"),
        "output": (Path("/opt/ml/processing/output"), "where to write evaluation/ and reference/"),
    }
    for name, (folder, text) in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=folder, help=text)
    parser.add_argument(
        "--production-arn", type=job.optional, default="", help="model package in production"
    )
    parser.add_argument(
        "--wanted-precision",
        type=job.real(0.5, 1),
        default=0.95,
        help="share of right answers wanted among those above the confidence threshold",
    )
    parser.add_argument(
        "--minimum-threshold",
        type=job.real(0.5, 1),
        default=0.8,
        help="the confidence threshold is never below this",
    )
    return parser


def _dataset(path: Path) -> dict[str, Any]:
    try:
        dataset = json.loads(path.read_text("utf-8"))
        return {key: dataset[key] for key in ("name", "sha256", "counts", "classes")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"{path} cannot be read ({type(error).__name__}: {error}); give the output of Prepare"
        ) from error


def _asked(rows: Rows, found: npt.NDArray[np.float64]) -> Asked:
    return Asked([path for _, path in rows], np.array([label for label, _ in rows]), found)


def _accuracy(asked: Asked) -> float:
    return float(((asked.scores > 0.5) == (asked.labels == 1)).mean())


def _report(
    test: Asked, validation: Asked, dataset: dict[str, Any], wanted: float, minimum: float
) -> dict[str, Any]:
    value, met = metrics.choose_threshold(validation.labels, validation.scores, wanted, minimum)
    return {
        "version": 0.0,
        "dataset": {
            "item_count": len(test.labels),
            "name": dataset["name"],
            "sha256": dataset["sha256"],
            "counts": dataset["counts"],
        },
        "binary_classification_metrics": metrics.binary_classification_metrics(
            test.labels, test.scores
        ),
        "standard_deviations": f"of {metrics.RESAMPLES} bootstrap resamples of the test images",
        "positive_class": dataset["classes"][1],
        "per_class": metrics.per_class(test.labels, test.scores, dataset["classes"]),
        "threshold": {
            "value": value,
            "met": met,
            "wanted_precision": wanted,
            "minimum": minimum,
            "validation": metrics.at_threshold(validation.labels, validation.scores, value),
            "test": metrics.at_threshold(test.labels, test.scores, value),
        },
        "least_sure": _least_sure(test),
    }


def _calibration(test: Asked, fitted: tuple[float, float] | None) -> dict[str, Any]:
    """How honest the confidence on the test images is, and how it was before it was calibrated.

    `fitted` is the model's temperature and bias. These and `before` are None where it has none.
    """
    after = metrics.calibration(test.labels, test.scores)
    if fitted is None:
        return {**after, "temperature": None, "bias": None, "before": None}
    temperature, bias = fitted
    scores = metrics.uncalibrated(test.scores, temperature, bias)
    before = metrics.calibration(test.labels, scores)
    return {**after, "temperature": temperature, "bias": bias, "before": before}


def _least_sure(asked: Asked) -> list[dict[str, Any]]:
    order = np.argsort(asked.probabilities.max(axis=1), kind="stable")[:LEAST_SURE]
    return [
        {
            "path": asked.paths[row],
            "label": int(asked.labels[row]),
            "probabilities": asked.probabilities[row].tolist(),
        }
        for row in order
    ]


def _compared(production: Asked, candidate: Asked) -> dict[str, Any]:
    """How production does on the same images, and on how many only one of the two is right."""
    old = (production.scores > 0.5) == (production.labels == 1)
    new = (candidate.scores > 0.5) == (candidate.labels == 1)
    return {
        "accuracy": float(old.mean()),
        "only_production_right": int((old & ~new).sum()),
        "only_candidate_right": int((new & ~old).sum()),
    }


def _write(output: Path, report: dict[str, Any], test: Asked) -> None:
    output.mkdir(parents=True, exist_ok=True)
    rows = sorted(zip(test.paths, test.labels, test.probabilities.tolist(), strict=True))
    lines = [f"{path},{label},{p[0]:.6f},{p[1]:.6f}\n" for path, label, p in rows]
    with tempfile.TemporaryDirectory(prefix=".evaluate-", dir=output) as temporary:
        stage = Path(temporary)
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        (stage / "evaluation.json").write_text(text + "\n", "utf-8")
        header = "path,label,p_bicycle,p_motorcycle\n"
        (stage / "predictions.csv").write_text(header + "".join(lines), "utf-8")
        folder = output / "evaluation"
        folder.mkdir(exist_ok=True)
        held_to = metrics.constraints(report["binary_classification_metrics"])
        (stage / "constraints.json").write_text(json.dumps(held_to, indent=2) + "\n", "utf-8")
        for file in ("predictions.csv", "constraints.json", "evaluation.json"):
            shutil.move(stage / file, folder / file)  # a mount of its own, perhaps


def _write_reference(
    folder: Path, images: Sequence[Path], probabilities: npt.NDArray[np.float64]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    examples = zip((path.read_bytes() for path in images), probabilities.tolist(), strict=True)
    features.baseline_table(examples, folder / "features.csv")


def _summarise(report: dict[str, Any], output: Path) -> None:
    figures = report["binary_classification_metrics"]
    matrix = figures["confusion_matrix"]
    accuracy, auc = figures["accuracy"], figures["auc"]
    print(f"dataset: {report['dataset']['name']}")
    print(f"accuracy={accuracy['value']:.4f} ± {accuracy['standard_deviation']:.4f}")
    print(f"auc={auc['value']:.4f} ± {auc['standard_deviation']:.4f}")
    for actual, name in enumerate(report["per_class"]):
        row = matrix[str(actual)]
        print(f"{name}: {row['0']} taken for bicycle, {row['1']} for motorcycle")
    calibration = report["calibration"]
    before = calibration["before"]
    numbers = f"temperature {calibration['temperature']} and bias {calibration['bias']}"
    was = f", {before['ece']:.4f} before {numbers}" if before else ""
    print(f"ece={calibration['ece']:.4f}{was}")
    threshold = report["threshold"]
    met = "" if threshold["met"] else " (no threshold reaches the wanted precision)"
    print(f"confidence threshold={threshold['value']:.4f}{met}, on test {threshold['test']}")
    if report["production"]:
        print(f"accuracy_drop={report['accuracy_drop']:.4f} against production")
    print(f"written to {output / 'evaluation'}", flush=True)


if __name__ == "__main__":
    sys.exit(job.run("Evaluate", main))

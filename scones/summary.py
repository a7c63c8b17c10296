"""What a run came to, as data and as a picture: `summary.json` and `confusion_matrix.png`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.execution import Execution
from pipelines.registry import ModelPackage

Json = dict[str, Any]


def evaluation_of(execution: Execution, sagemaker: Any, s3: Any) -> Json | None:
    """The `evaluation.json` that the execution's Evaluate step wrote, or found in its cache."""
    for step in execution.steps:
        if step.name == "Evaluate" and step.status == "Succeeded":
            name = step.job_arn.rsplit("/", 1)[-1]
            job = sagemaker.describe_processing_job(ProcessingJobName=name)
            outputs = job["ProcessingOutputConfig"]["Outputs"]
            uris = {item["OutputName"]: item["S3Output"]["S3Uri"] for item in outputs}
            bucket, _, prefix = uris["evaluation"].removeprefix("s3://").partition("/")
            answer = s3.get_object(Bucket=bucket, Key=f"{prefix.rstrip('/')}/evaluation.json")
            content: Json = json.load(answer["Body"])
            return content
    return None


def summary(
    dataset: Json, execution: Execution, evaluation: Json | None, package: ModelPackage | None
) -> Json:
    """The outcome of a run. What did not happen is null, never left out or guessed."""
    now = datetime.now(UTC)
    return {
        "dataset": {**dataset, **(_dataset(evaluation) if evaluation else {})},
        "pipeline": {
            "execution_arn": execution.arn,
            "status": execution.status,
            "failure_reason": execution.failure_reason or None,
            "seconds": round(execution.seconds(now), 3),
            "steps": [
                {
                    "name": step.name,
                    "status": step.status,
                    "seconds": round(step.seconds(now), 3),
                    "cached": step.cached,
                }
                for step in execution.steps
            ],
        },
        "evaluation": _evaluation(evaluation) if evaluation else None,
        "model_package": {
            "arn": package.arn,
            "version": package.version,
            "approval_status": package.approval_status,
        }
        if package
        else None,
        # What follows the registration fills these in.
        "deployment": None,
        "endpoint": None,
        "workflow": None,
        "monitoring": None,
        "report": None,
    }


def _dataset(evaluation: Json) -> Json:
    """The archive's own account of itself goes before what it was called on the way in."""
    measured = evaluation["dataset"]
    return {key: measured[key] for key in ("name", "sha256", "counts") if key in measured}


def _evaluation(evaluation: Json) -> Json:
    metrics = evaluation["binary_classification_metrics"]
    return {
        "dataset": evaluation["dataset"]["name"],
        "accuracy": metrics["accuracy"]["value"],
        "accuracy_standard_deviation": metrics["accuracy"]["standard_deviation"],
        "auc": metrics["auc"]["value"],
        "recall": {name: figures["recall"] for name, figures in evaluation["per_class"].items()},
        "threshold": evaluation["threshold"]["value"],
        "confusion_matrix": metrics["confusion_matrix"],
        "production": evaluation["production"],
    }


def write(folder: Path, outcome: Json) -> Path:
    """Writes `summary.json`, and the matrix as a picture when there is an evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "summary.json"
    path.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    if outcome["evaluation"]:
        draw_confusion_matrix(outcome["evaluation"], folder / "confusion_matrix.png")
    return path


def draw_confusion_matrix(evaluation: Json, path: Path) -> None:
    """A picture of the matrix, with the data set's name in its title."""
    from matplotlib.figure import Figure  # takes half a second to import

    classes = list(evaluation["recall"])
    matrix = evaluation["confusion_matrix"]
    counts = [[matrix[str(r)][str(c)] for c in range(len(classes))] for r in range(len(classes))]
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    largest = max(max(row) for row in counts)
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            colour = "white" if count > largest / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=16)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("the model says")
    axes.set_ylabel("the image shows")
    axes.set_title(f"accuracy {evaluation['accuracy']:.3f}\n{evaluation['dataset']}", fontsize=10)
    figure.savefig(path, dpi=120)

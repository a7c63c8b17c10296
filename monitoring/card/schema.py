"""The card in the schema of SageMaker Model Cards.

Its limits: a text has at most 1,024 or 2,048 characters, a graph 20 points, a list 15 entries.
"""

from typing import Any

from monitoring.card.facts import Facts
from monitoring.report.observations import plain

Json = dict[str, Any]

PURPOSE = (
    "Tells pictures of bicycles from pictures of motorcycles, so that deliveries can be planned "
    "for the vehicle that a driver has. Answers below the confidence threshold go to a person."
)
USES = (
    "For pictures that show one bicycle or one motorcycle, alone or with a rider, as PNG or JPEG. "
    "The network sees 32 by 32 pixels: what cannot be told at that size cannot be told by it. Not "
    "for pictures of anything else: it knows two classes and will name one of them. Not for "
    "decisions about persons, and not where a wrong answer can hurt somebody."
)
FACTORS = (
    "Small, dark, blurred or oddly cropped vehicles; riders that hide the frame; folding bicycles, "
    "recumbents and mopeds, which look like the other class. The monitoring compares brightness, "
    "sharpness and confidence of traffic with those of the reference images."
)
RISK = "A wrong answer assigns the wrong vehicle, which a person notices and corrects."
ETHICS = (
    "The photographs of CIFAR-100 were collected from the web without consent of who is in them. "
    "The model answers about vehicles only and keeps no picture; the endpoint's data capture does, "
    "for as long as the environment's settings say."
)
DEVIATION = "standard deviation"
SHOWN = (
    ("accuracy", "share of right answers"),
    ("auc", "area under the ROC curve"),
    ("f1", "of {positive}"),
    ("precision", "of {positive}"),
    ("recall", "of {positive}"),
)


def content(facts: Facts) -> Json:
    """What CreateModelCard takes, as JSON, for its Content."""
    return {
        "model_overview": _overview(facts),
        "intended_uses": {
            "purpose_of_model": PURPOSE,
            "intended_uses": USES,
            "factors_affecting_model_efficiency": FACTORS,
            "risk_rating": "Low",
            "explanations_for_risk_rating": RISK,
        },
        "training_details": _training(facts),
        "evaluation_details": [_evaluation(facts)],
        "additional_information": {
            "ethical_considerations": ETHICS,
            "caveats_and_recommendations": caveats(facts)[:2048],
            "custom_details": {
                name: plain(value, 1024) for name, value in sorted(facts.metadata.items())
            },
        },
    }


def caveats(facts: Facts) -> str:
    """How sure the figures are, and what to do with answers that are not."""
    images, wrong = len(facts.predictions), len(facts.failures)
    threshold = facts.evaluation["threshold"]
    found = threshold["test"]
    answered = (
        f"there, {100 * found['coverage']:.0f} % of the test images are answered, "
        f"{100 * found['precision']:.1f} % of them rightly"
        if found["precision"] is not None
        else "there, no test image is answered"
    )
    return (
        f"Every figure is of {images} test images of {plain(facts.dataset)}, which had no part in "
        f"training or in any choice; {wrong} of them were answered wrongly. Differences smaller "
        f"than the {DEVIATION} are chance. Use the confidence threshold {threshold['value']:.2f}: "
        f"{answered}."
    )


def _overview(facts: Facts) -> Json:
    return {
        "model_description": (
            f"Version {facts.version} of {facts.name}: {facts.classes[0]} or {facts.classes[1]}, "
            f"trained and evaluated on {plain(facts.dataset)}."
        )[:1024],
        "model_id": facts.arn,
        "model_name": facts.name,
        "model_version": facts.version,
        "problem_type": "Binary Classification",
        "algorithm_type": "Convolutional network",
        "model_creator": f"Scones, commit {facts.metadata.get('git_commit', 'unknown')}",
        "model_artifact": [facts.model_data_url],
        "inference_environment": {"container_image": [facts.image]},
    }


def _training(facts: Facts) -> Json:
    job = facts.training_job or {}
    channels = [
        source["S3Uri"]
        for channel in job.get("InputDataConfig") or []
        if (source := channel["DataSource"].get("S3DataSource"))
    ]
    details: Json = {
        "training_datasets": channels[:15],
        "training_metrics": [
            {"name": metric["MetricName"], "value": float(metric["Value"])}
            for metric in (job.get("FinalMetricDataList") or [])[:50]
        ],
    }
    if job:
        details["training_arn"] = job["TrainingJobArn"]
        image = job["AlgorithmSpecification"]["TrainingImage"]
        details["training_environment"] = {"container_image": [image]}
    chosen = ", ".join(f"{k} {v}" for k, v in sorted(hyperparameters(facts).items()))
    return {
        "training_observations": (
            f"Hyperparameters: {plain(chosen, 900)}." if chosen else "The training job is gone."
        ),
        "training_job_details": details,
    }


def hyperparameters(facts: Facts) -> dict[str, str]:
    """Those of the program, without what the SDK and SageMaker add."""
    given = (facts.training_job or {}).get("HyperParameters") or {}
    return {
        name: text for name, text in given.items() if not name.startswith(("sagemaker_", "_tuning"))
    }


def _evaluation(facts: Facts) -> Json:
    counts = (facts.evaluation.get("dataset") or {}).get("counts") or {}
    return {
        "name": "Test images",
        "evaluation_observation": caveats(facts)[:2096],
        "datasets": [plain(facts.dataset, 1024)],
        "metadata": {
            "dataset_sha256": str((facts.evaluation.get("dataset") or {}).get("sha256", "")),
            "counts": plain(counts, 1024),
            "wrong": plain(", ".join(one.path for one in facts.failures), 1024),
        },
        "metric_groups": [
            {"name": "Figures", "metric_data": _figures(facts)},
            {"name": "By class", "metric_data": _by_class(facts)},
            {"name": "Calibration", "metric_data": _calibration(facts)},
        ],
    }


def figures(facts: Facts) -> list[tuple[str, str, float, float]]:
    """Name, meaning, value and standard deviation of what a card shows first."""
    return [
        (
            name,
            meaning.format(positive=facts.classes[1]),
            float(facts.metrics[name]["value"]),
            float(facts.metrics[name]["standard_deviation"]),
        )
        for name, meaning in SHOWN
    ]


def _figures(facts: Facts) -> list[Json]:
    return [
        {
            "name": name,
            "type": "number",
            "value": value,
            "notes": f"{meaning}; {DEVIATION} {spread:.4f}, {plain(facts.dataset)}",
        }
        for name, meaning, value, spread in figures(facts)
    ]


def _by_class(facts: Facts) -> list[Json]:
    matrix, rows = facts.metrics["confusion_matrix"], facts.evaluation["per_class"]
    columns = ("recall", "precision", "mean_confidence")
    return [
        {
            "name": "confusion matrix",
            "type": "matrix",
            "value": [[matrix[a][p] for p in ("0", "1")] for a in ("0", "1")],
            "x_axis_name": [f"said {name}" for name in facts.classes],
            "y_axis_name": [f"shows {name}" for name in facts.classes],
        },
        {
            "name": "results by class",
            "type": "matrix",
            "value": [[float(rows[name][column]) for column in columns] for name in facts.classes],
            "x_axis_name": [column.replace("_", " ") for column in columns],
            "y_axis_name": list(facts.classes),
        },
    ]


def _calibration(facts: Facts) -> list[Json]:
    found = facts.evaluation["calibration"]
    points = [[row["confidence"], row["accuracy"]] for row in found["bins"]]
    return [
        {"name": "expected calibration error", "type": "number", "value": found["ece"]},
        {"name": "negative log-likelihood", "type": "number", "value": found["nll"]},
        {
            "name": "share right by confidence",
            "type": "linear_graph",
            "value": points[:20],
            "x_axis_name": "confidence",
            "y_axis_name": "share right",
        },
    ]

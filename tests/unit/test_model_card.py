"""The model card: SageMaker's schema, every figure from the evaluation, and what went wrong."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from monitoring.card import Facts, Failure, content, write
from monitoring.card.facts import Prediction
from steps import metrics
from tests.unit.model_card_schema import SCHEMA
from tests.unit.report_kit import CLASSES, DATASET, png

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


JOB = {
    "TrainingJobName": "pipelines-abc-Train-def",
    "TrainingJobArn": f"{ARN}:training-job/pipelines-abc-Train-def",
    "AlgorithmSpecification": {"TrainingImage": "pytorch-training"},
    "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}}],
    "HyperParameters": {"epochs": "40", "sagemaker_program": "train.py"},
    "FinalMetricDataList": [{"MetricName": "validation:loss", "Value": 0.25}],
}


def evaluation(labels: Any, scores: Any) -> dict[str, Any]:
    """By Evaluate's own functions."""
    value, met = metrics.choose_threshold(labels, scores, 0.95, 0.8)
    found = {
        "dataset": {"name": DATASET, "sha256": "ab" * 32, "counts": {"test": len(labels)}},
        "binary_classification_metrics": metrics.binary_classification_metrics(labels, scores),
        "per_class": metrics.per_class(labels, scores, list(CLASSES)),
        "calibration": metrics.calibration(labels, scores),
        "threshold": {
            "value": value,
            "met": met,
            "test": metrics.at_threshold(labels, scores, value),
        },
    }
    written: dict[str, Any] = json.loads(json.dumps(found))
    return written


def facts(count: int = 60, **changes: Any) -> Facts:
    """A version with an evaluation of its own making, computed by Evaluate's functions."""
    random = np.random.default_rng(3)
    labels = np.arange(count) % 2
    scores = np.clip(labels + random.normal(0, 0.35, count), 0.001, 0.999)
    predictions = [
        Prediction(f"test/{n:03}.png", int(label), (1 - score, score))
        for n, (label, score) in enumerate(zip(labels, scores.tolist(), strict=True))
    ]
    return replace(
        Facts(
            name="scones-local",
            version=3,
            arn=f"{ARN}:model-package/scones-local/3",
            status="Approved",
            created=datetime(2026, 11, 22, 14, tzinfo=UTC),
            model_data_url="s3://b/executions/abc/model/job/output/model.tar.gz",
            image="pytorch-inference",
            classes=CLASSES,
            metadata={"git_commit": "0123abc", "dataset_name": DATASET},
            evaluation=evaluation(labels, scores),
            predictions=predictions,
            failures=[
                Failure(one.path, CLASSES[one.label], CLASSES[one.said], one.confidence, png())
                for one in predictions
                if one.said != one.label
            ],
            training_job=JOB,
        ),
        **changes,
    )


def figures(card: dict[str, Any]) -> dict[str, Any]:
    groups = card["evaluation_details"][0]["metric_groups"]
    return {one["name"]: one for group in groups for one in group["metric_data"]}


def test_the_card_is_what_sagemakers_schema_asks_for() -> None:
    from sagemaker.core.model_card import ModelCardContent

    card = json.loads(json.dumps(content(facts())))
    jsonschema.validate(card, SCHEMA)
    ModelCardContent.model_validate(card)


@pytest.mark.parametrize("long", [{"dataset_name": "x" * 5000}, {}])
def test_a_card_of_much_or_little_stays_within_the_schema(long: dict[str, str]) -> None:
    many = facts(4000, metadata=long, training_job=None)
    jsonschema.validate(content(many), SCHEMA)


def test_the_figures_are_those_of_the_evaluation_with_their_deviation_and_data() -> None:
    given = facts()
    found = figures(content(given))
    accuracy = given.metrics["accuracy"]
    assert found["accuracy"]["value"] == accuracy["value"]
    assert f"{accuracy['standard_deviation']:.4f}" in found["accuracy"]["notes"]
    assert DATASET in found["accuracy"]["notes"]
    right = sum(one.said == one.label for one in given.predictions) / 60
    assert found["accuracy"]["value"] == pytest.approx(right)
    matrix = found["confusion matrix"]["value"]
    assert matrix[0][1] + matrix[1][0] == len(given.failures) > 0


def test_the_page_shows_every_failure_with_its_picture_and_the_plots(tmp_path: Path) -> None:
    given = facts()
    page = write(given, tmp_path).read_text("utf-8")
    for one in given.failures:
        assert one.path in page
    # A light and a dark picture of each of two plots, and a thumbnail a failure.
    assert page.count("data:image/png;base64,") == 4 + len(given.failures)
    assert f"{len(given.failures)} of 60 test images of {DATASET} were answered wrongly" in page
    assert json.loads((tmp_path / "card.json").read_text("utf-8")) == content(given)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["card.html", "card.json"]


def test_a_strangers_name_is_text_in_the_page_and_a_missing_image_is_said(tmp_path: Path) -> None:
    bad = Failure("<script>x</script>.png", "bicycle", "motorcycle", 0.9, None)
    page = write(facts(failures=[bad]), tmp_path).read_text("utf-8")
    assert "<script>" not in page
    assert "image not" in page

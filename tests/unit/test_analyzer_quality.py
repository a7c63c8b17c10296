"""Model quality: figures against scikit-learn's definitions written out, and whole runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.analyzer import scores
from monitoring.analyzer.__main__ import run

Json = dict[str, Any]

CSV = {"csv": {"header": True}}
MERGED = {"sagemakerMergeJson": {"captureIndexNames": ["endpointOutput"]}}


class Model:
    """A folder that stands for /opt/ml, and model-quality runs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.data.mkdir(parents=True)
        self.output = root / "output-of-the-run"

    def run(self, kind: Json, problem: str, **variables: str) -> int:
        base = {
            "dataset_source": str(self.data),
            "dataset_format": json.dumps(kind),
            "output_path": str(self.output),
            "analysis_type": "MODEL_QUALITY",
            "problem_type": problem,
            "publish_cloudwatch_metrics": "Disabled",
        }
        return run(base | variables, self.root)

    def json(self, name: str) -> Json:
        found: Json = json.loads((self.output / name).read_text())
        return found

    @property
    def message(self) -> str:
        return (self.root / "output" / "message").read_text()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(tmp_path)


ATTRIBUTES = {"ground_truth_attribute": "label", "inference_attribute": "said"}


def answers(model: Model, rows: Sequence[tuple[object, ...]], header: str = "label,said") -> None:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (model.data / "a.csv").write_text("\n".join(lines) + "\n")


def test_binary_figures_in_the_documented_form(model: Model) -> None:
    answers(model, [(1, 1)] * 6 + [(1, 0)] * 2 + [(0, 1)] * 3 + [(0, 0)] * 9)
    assert model.run(CSV, "BinaryClassification", **ATTRIBUTES) == 0, model.message
    found = model.json("statistics.json")
    assert found["dataset"]["item_count"] == 20
    figures = found["binary_classification_metrics"]
    assert figures["confusion_matrix"] == {"0": {"0": 9, "1": 3}, "1": {"0": 2, "1": 6}}
    assert figures["accuracy"] == {"value": 0.75, "standard_deviation": "NaN"}
    assert figures["recall"]["value"] == 0.75
    assert figures["precision"]["value"] == pytest.approx(6 / 9)
    assert figures["false_positive_rate"]["value"] == 0.25
    assert figures["f1"]["value"] == pytest.approx(12 / 17)
    assert figures["auc"]["value"] == 0.75
    assert figures["accuracy_best_constant_classifier"]["value"] == 0.6
    assert figures["receiver_operating_characteristic_curve"] == {
        "false_positive_rates": [0.0, 0.25, 1.0],
        "true_positive_rates": [0.0, 0.75, 1.0],
    }
    rules = model.json("constraints.json")["binary_classification_constraints"]
    assert rules["accuracy"] == {"threshold": 0.75, "comparison_operator": "LessThanThreshold"}
    operator = rules["false_positive_rate"]["comparison_operator"]
    assert operator == "GreaterThanThreshold"
    assert "accuracy_best_constant_classifier" not in rules


def test_a_worse_window_violates_and_an_equal_one_does_not(model: Model) -> None:
    answers(model, [(1, 1)] * 150 + [(0, 0)] * 140 + [(0, 1)] * 10)
    assert model.run(CSV, "BinaryClassification", **ATTRIBUTES) == 0
    baseline = model.root / "constraints.json"
    (model.output / "constraints.json").rename(baseline)
    rules = {"baseline_constraints": str(baseline)}
    assert model.run(CSV, "BinaryClassification", **ATTRIBUTES, **rules) == 0
    assert model.json("constraint_violations.json") == {"violations": []}
    answers(model, [(1, 1)] * 150 + [(0, 0)] * 120 + [(0, 1)] * 30)
    assert model.run(CSV, "BinaryClassification", **ATTRIBUTES, **rules) == 0
    found = model.json("constraint_violations.json")["violations"]
    kinds = {one["metric_name"]: one["constraint_check_type"] for one in found}
    assert kinds["accuracy"] == "LessThanThreshold"
    assert kinds["false_positive_rate"] == "GreaterThanThreshold"
    assert "recall" not in kinds
    assert model.message.startswith("CompletedWithViolations: ")


def test_deviations_come_from_two_hundred_rows_on_and_are_the_same_each_time(
    model: Model,
) -> None:
    answers(model, [("cat", "cat"), ("dog", "dog"), ("cow", "dog"), ("cow", "cow")] * 50)
    found = []
    for _ in range(2):
        assert model.run(CSV, "MulticlassClassification", **ATTRIBUTES) == 0
        found.append(model.json("statistics.json")["multiclass_classification_metrics"])
    assert found[0] == found[1]
    assert 0 < found[0]["accuracy"]["standard_deviation"] < 0.05
    assert found[0]["confusion_matrix"]["cow"] == {"cat": 0, "cow": 50, "dog": 50}
    assert found[0]["weighted_recall"]["value"] == 0.75


def test_a_probability_is_judged_by_the_threshold(model: Model) -> None:
    answers(model, [("moto", 0.9), ("moto", 0.6), ("bike", 0.65), ("bike", 0.1)], "label,p")
    variables = {
        "ground_truth_attribute": "label",
        "probability_attribute": "p",
        "probability_threshold_attribute": "0.62",
        "positive_label": "moto",
    }
    assert model.run(CSV, "BinaryClassification", **variables) == 0, model.message
    figures = model.json("statistics.json")["binary_classification_metrics"]
    assert figures["confusion_matrix"] == {"0": {"0": 1, "1": 1}, "1": {"0": 1, "1": 1}}
    assert figures["auc"]["value"] == 0.75


def test_regression_figures(model: Model) -> None:
    answers(model, [(1.0, 1.5), (2.0, 2.0), (3.0, 2.0)])
    assert model.run(CSV, "Regression", **ATTRIBUTES) == 0
    figures = model.json("statistics.json")["regression_metrics"]
    values = {name: one["value"] for name, one in figures.items()}
    expected = {"mae": 0.5, "mse": 1.25 / 3, "rmse": (1.25 / 3) ** 0.5, "r2": 1 - 1.25 / 2}
    assert values == pytest.approx(expected)


def merged(number: int, label: str | None) -> str:
    answer = {"mode": "OUTPUT", "data": "1", "encoding": "CSV"}
    event: Json = {
        "captureData": {"endpointOutput": answer},
        "eventMetadata": {"eventId": f"id-{number}", "inferenceTime": "2026-01-02T10:05:00Z"},
        "eventVersion": "0",
    }
    if label is not None:
        event["groundTruthData"] = {"data": label, "encoding": "CSV"}
    return json.dumps(event) + "\n"


def test_merged_records_need_no_preprocessor(model: Model) -> None:
    lines = [merged(0, "1"), merged(1, "0"), merged(2, None)]
    (model.data / "a.jsonl").write_text("".join(lines))
    assert model.run(MERGED, "BinaryClassification", inference_attribute="0") == 0, model.message
    assert model.json("statistics.json")["dataset"]["item_count"] == 2


@pytest.mark.parametrize("records", [0, 3])
def test_a_window_without_labels_is_said_and_is_no_failure(model: Model, records: int) -> None:
    lines = [merged(number, None) for number in range(records)]
    (model.data / "a.jsonl").write_text("".join(lines))
    assert model.run(MERGED, "BinaryClassification", inference_attribute="0") == 0
    assert model.message.startswith(f"Completed: No labels: none of the {records} records")
    assert model.json("statistics.json")["dataset"]["item_count"] == 0


def test_an_attribute_that_is_no_column_is_named(model: Model) -> None:
    answers(model, [(1, 1)])
    wrong = {"ground_truth_attribute": "label", "inference_attribute": "guess"}
    assert model.run(CSV, "BinaryClassification", **wrong) == 255
    assert model.message == "inference_attribute is 'guess'; the columns are label, said."


pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_binary_figures_agree_with_their_definitions(rows: list[tuple[int, float]]) -> None:
    labels, ranks = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    said = (ranks >= 0.5).astype(int)
    found = scores.binary(labels, said, ranks)
    hits = [(y, p) for y, p in zip(labels.tolist(), said.tolist(), strict=True)]
    tp, fn = hits.count((1, 1)), hits.count((1, 0))
    fp, tn = hits.count((0, 1)), hits.count((0, 0))
    assert found["accuracy"] == pytest.approx((tp + tn) / len(hits))
    assert found["precision"] == pytest.approx(tp / (tp + fp) if tp + fp else 0)
    assert found["false_negative_rate"] == pytest.approx(fn / (tp + fn) if tp + fn else 0)
    if (tp + fn) and (fp + tn):
        wins = [(p > n) + 0.5 * (p == n) for p in ranks[labels == 1] for n in ranks[labels == 0]]
        assert found["auc"] == pytest.approx(np.mean(wins))
    else:
        assert "auc" not in found

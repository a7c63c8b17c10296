"""MODEL_QUALITY: labels against predictions; statistics, constraints and violations of a model.

Source: "Model quality", SageMaker AI guide, and real files. The labels come as a column of a table,
or merged into the captured records (`groundTruthData`). A window without labels is no failure: it
says so, and has no violations.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitoring.analyzer import outputs, readers, scores, settings
from monitoring.analyzer.chunk import Chunk
from monitoring.analyzer.scores import Ints
from monitoring.analyzer.settings import AnalyzerError, Settings
from monitoring.capture import EmptyWindow

Json = dict[str, Any]

_LOG = logging.getLogger(__name__)

SECTIONS = {
    "BinaryClassification": "binary_classification",
    "MulticlassClassification": "multiclass_classification",
    "Regression": "regression",
}
LESS, GREATER = "LessThanThreshold", "GreaterThanThreshold"
_ERRORS = {"false_positive_rate", "false_negative_rate", "mae", "mse", "rmse"}  # less is better


@dataclass
class Answers:
    """What the rows with a label and a prediction say, as texts; and how many rows had none."""

    labels: list[str] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    rows: int = 0

    @property
    def count(self) -> int:
        """Rows with a label and a prediction."""
        return len(self.labels)


def analyze(chosen: Settings) -> str:
    """One run; returns the exit message. Raises AnalyzerError and CaptureError."""
    section = SECTIONS[chosen.values["problem_type"]]
    path = chosen.file("baseline_constraints")
    rules = settings.read_json(path, "baseline_constraints") if path else None
    answers = collect(chosen)
    if not answers.count:
        return _without_labels(chosen, answers, rules is not None)
    figures = measure(chosen.values["problem_type"], answers, chosen)
    documents = {
        outputs.STATISTICS: _statistics(chosen, answers.count, {f"{section}_metrics": figures}),
        outputs.CONSTRAINTS: suggest(section, figures),
    }
    violations: list[Json] = []
    if rules is not None:
        violations = compare(figures, rules.get(f"{section}_constraints"), section)
        documents[outputs.VIOLATIONS] = {"violations": violations}
        for one in violations:
            _LOG.warning("%(metric_name)s: %(description)s", one)
    if chosen.publishes:
        scalars = {name: one["value"] for name, one in figures.items() if "value" in one}
        metrics = [{"MetricName": name, "Value": value} for name, value in scalars.items()]
        outputs.write_metrics(chosen, metrics)
    outputs.write_results(chosen.output_path, documents)
    return outputs.success(len(violations))


def collect(chosen: Settings) -> Answers:
    """The labels and predictions of the dataset. Raises AnalyzerError."""
    found = Answers()
    merged = chosen.format_name == "sagemakerMergeJson"
    try:
        for chunk in readers.read(chosen):
            found.rows += chunk.rows
            _add(chunk, chosen, merged, found)
    except EmptyWindow as error:
        if not merged:
            raise
        _LOG.warning("%s", error)  # merged records are those with labels: there are none yet
    return found


def _add(chunk: Chunk, chosen: Settings, merged: bool, found: Answers) -> None:
    names = [*chunk.columns]
    attribute = chosen.get("ground_truth_attribute") or ("0" if merged else None)
    truth = _column(names, attribute, "ground_truth_attribute", "groundTruthData")
    if truth is None and merged:
        return  # no record of this chunk has a label
    inference, probability = (
        _column(names, chosen.get(name), name, "endpointOutput")
        for name in ("inference_attribute", "probability_attribute")
    )
    if truth is None or (inference is None and probability is None):
        raise AnalyzerError(
            "Model quality needs ground_truth_attribute, and inference_attribute or "
            f"probability_attribute; the columns are {', '.join(names)}."
        )
    labels = chunk.texts(truth)
    chances: list[str | None] = [None] * chunk.rows
    if probability:
        chances = chunk.texts(probability)
    said = chunk.texts(inference) if inference else _judged(chances, chosen)
    for label, prediction, chance in zip(labels, said, chances, strict=True):
        if label is not None and prediction is not None:
            found.labels.append(_label(label))
            found.predictions.append(_label(prediction))
            if probability:
                found.scores.append(_number(chance or "", probability))


def _column(names: list[str], attribute: str | None, variable: str, half: str) -> str | None:
    """The column that an attribute (a name, an index, or a JSONPath) stands for."""
    if attribute is None:
        return None
    path = re.sub(r"[^\w]+", "_", attribute).strip("_")
    for name in (attribute, f"{half}_{attribute}", f"_c{attribute}", path, f"{half}_{path}"):
        if name in names:
            return name
    if half == "groundTruthData":
        return None
    raise AnalyzerError(f"{variable} is {attribute!r}; the columns are {', '.join(names)}.")


def _judged(chances: list[str | None], chosen: Settings) -> list[str | None]:
    """Predictions from probabilities: positive from the threshold on. [I]"""
    threshold = _number(chosen.get("probability_threshold_attribute") or "0.5", "the threshold")
    positive = chosen.get("positive_label") or "1"
    negative = "0" if _label(positive) != "0" else "1"
    return [
        None
        if text is None
        else positive
        if _number(text, "probability") >= threshold
        else negative
        for text in chances
    ]


def _label(text: str) -> str:
    """A label's text, without what only its encoding adds: 1 and 1.0 are one label."""
    text = text.strip().strip('"')
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise AnalyzerError(f"{what}: {text!r} is no number.") from None


def measure(problem: str, answers: Answers, chosen: Settings) -> Json:
    """The figures by name, each with its value and standard deviation."""
    if problem == "Regression":
        truth, guess = (
            np.array([_number(text, "a value") for text in texts])
            for texts in (answers.labels, answers.predictions)
        )
        return _figures(lambda rows: scores.regression(truth[rows], guess[rows]), truth.size)
    if problem == "MulticlassClassification":
        return _multiclass(answers)
    return _binary(answers, _label(chosen.get("positive_label") or "1"))


def _binary(answers: Answers, positive: str) -> Json:
    labels, said = (
        np.array([text == positive for text in texts], dtype=np.int64)
        for texts in (answers.labels, answers.predictions)
    )
    # [I] The probability is the positive class's.
    ranks = np.array(answers.scores or said, dtype=np.float64)
    figures = _figures(lambda rows: scores.binary(labels[rows], said[rows], ranks[rows]), said.size)
    both = scores.curves(labels, ranks) if "auc" in figures else {}
    names = [*figures]
    at = names.index("false_negative_rate") + 1
    ordered = {name: figures[name] for name in names[:at]} | both
    return {"confusion_matrix": _matrix(labels, said, ["0", "1"])} | ordered | figures


def _multiclass(answers: Answers) -> Json:
    classes = sorted({*answers.labels, *answers.predictions})
    index = {name: number for number, name in enumerate(classes)}
    labels, said = (
        np.array([index[text] for text in texts], dtype=np.int64)
        for texts in (answers.labels, answers.predictions)
    )
    size = len(classes)
    figures = _figures(lambda rows: scores.multiclass(labels[rows], said[rows], size), said.size)
    return {"confusion_matrix": _matrix(labels, said, classes)} | figures


def _matrix(labels: Ints, said: Ints, classes: list[str]) -> Json:
    counts = scores.confusion(labels, said, len(classes)).tolist()
    return {
        label: dict(zip(classes, row, strict=True))
        for label, row in zip(classes, counts, strict=True)
    }


def _figures(score: Callable[[Ints], dict[str, float]], rows: int) -> Json:
    spread = scores.deviations(score, rows)
    values = score(np.arange(rows))
    return {
        name: {"value": value, "standard_deviation": spread.get(name, "NaN")}
        for name, value in values.items()
    }


def suggest(section: str, figures: Json) -> Json:
    """Constraints with the measured values as thresholds."""
    found = {}
    for name, one in figures.items():
        if "value" not in one or name.endswith("_best_constant_classifier"):
            continue
        operator = GREATER if name in _ERRORS else LESS
        value = one["value"]
        if 0 < abs(value) < 1e-4:  # the guide asks for thresholds without an exponent
            value = 1e-4 if operator == GREATER else 0.0
        found[name] = {"threshold": value, "comparison_operator": operator}
    return {"version": 0.0, f"{section}_constraints": found}


def compare(figures: Json, rules: Json | None, section: str) -> list[Json]:
    """The violations. Raises AnalyzerError when the constraints are of another kind of problem."""
    if not isinstance(rules, dict):
        raise AnalyzerError(f"baseline_constraints has no {section}_constraints.")
    found = []
    for name, rule in rules.items():
        value, operator = figures.get(name, {}).get("value"), rule.get("comparison_operator")
        if value is None:
            _LOG.warning("The window has no %s, which the constraints name.", name)
            continue
        if operator not in (LESS, GREATER):
            raise AnalyzerError(f"comparison_operator of {name} is {operator!r}.")
        threshold = float(rule["threshold"])
        if value < threshold if operator == LESS else value > threshold:
            spread = figures[name]["standard_deviation"]
            found.append(
                {
                    "metric_name": name,
                    "constraint_check_type": operator,
                    # [?] The text is not documented.
                    "description": f"Metric {name} with {value} +/- {spread} was {operator} "
                    f"'{threshold}'",
                }
            )
    return found


def _statistics(chosen: Settings, count: int, section: Json) -> Json:
    times = {name: value for name in ("start_time", "end_time") if (value := chosen.get(name))}
    dataset = {"item_count": count} | times | {"evaluation_time": outputs.now()}
    return {"version": 0.0, "dataset": dataset} | section


def _without_labels(chosen: Settings, answers: Answers, compared: bool) -> str:
    """Says that there is nothing to compare yet, in the message and in the statistics."""
    where = str(chosen.window) if chosen.window else str(chosen.dataset_source)
    documents: dict[str, Json] = {outputs.STATISTICS: _statistics(chosen, 0, {})}
    if compared:
        documents[outputs.VIOLATIONS] = {"violations": []}
    outputs.write_results(chosen.output_path, documents)
    message = (
        f"Completed: No labels: none of the {answers.rows} records of {where} has one yet, so that "
        "nothing was compared."
    )
    _LOG.warning("%s", message)
    return message

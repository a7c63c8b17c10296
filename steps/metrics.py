"""Metrics of a classifier of two classes, by numpy alone, in SageMaker's model-quality format.

Throughout, `labels` is (N) of 0 or 1, `scores` is (N), the probability of class 1 (the positive
class: motorcycle), and an image counts as class 1 when its score is above one half.

Source of the format: "Model quality metrics and Amazon CloudWatch monitoring", SageMaker AI guide.
A confusion matrix is read `matrix[actual][predicted]`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
RESAMPLES = 1000
CONSTRAINED = (
    *("recall", "precision", "accuracy", "auc", "f0_5", "f1", "f2"),
    *("true_positive_rate", "true_negative_rate", "false_positive_rate", "false_negative_rate"),
)
ERRORS = ("false_positive_rate", "false_negative_rate")  # the less the better


def binary_classification_metrics(labels: Labels, scores: Floats) -> dict[str, object]:
    """The block of that name: every metric with its value and standard deviation.

    The deviation is that of 1,000 bootstrap resamples of the images, drawn with a fixed seed.
    """
    draws = np.random.default_rng(0).multinomial(
        len(labels), np.full(len(labels), 1 / len(labels)), RESAMPLES
    )
    weights = np.vstack([np.ones(len(labels), np.int64), draws])  # row 0: the images themselves
    columns = {**rates(labels, scores > 0.5, weights), "auc": auc(labels, scores, weights)}
    constant = np.full(len(labels), labels.mean() > 0.5)
    for name, column in rates(labels, constant, weights).items():
        if name in ("recall", "precision", "accuracy", "f0_5", "f1", "f2"):
            columns[f"{name}_best_constant_classifier"] = column
    return {
        "confusion_matrix": confusion_matrix(labels, scores),
        **{
            name: {
                "value": float(column[0]),
                "standard_deviation": float(np.std(column[1:], ddof=1)),
            }
            for name, column in columns.items()
        },
        "receiver_operating_characteristic_curve": roc_curve(labels, scores),
        "precision_recall_curve": precision_recall_curve(labels, scores),
    }


def constraints(metrics: dict[str, Any]) -> dict[str, object]:
    """What the monitoring of the model's quality holds labelled traffic to: no worse than here.

    Format: `constraints.json` of a MODEL_QUALITY baseline.
    """
    return {
        "version": 0.0,
        "binary_classification_constraints": {
            name: {
                "threshold": metrics[name]["value"],
                "comparison_operator": (
                    "GreaterThanThreshold" if name in ERRORS else "LessThanThreshold"
                ),
            }
            for name in CONSTRAINED
        },
    }


def confusion_matrix(labels: Labels, scores: Floats) -> dict[str, dict[str, int]]:
    """How many images of each class (first key) were taken for each class (second key)."""
    predicted = scores > 0.5
    return {
        str(actual): {
            str(taken): int(np.sum((labels == actual) & (predicted == taken))) for taken in (0, 1)
        }
        for actual in (0, 1)
    }


def rates(
    labels: Labels, predicted: npt.NDArray[np.bool_], weights: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    """Each rate under each row of `weights` (R, N), which says how often an image counts: (R).

    A rate without a denominator is 0, as nothing was got right.
    """
    positive = labels == 1
    tp = weights @ (positive & predicted).astype(np.int64)
    fn = weights @ (positive & ~predicted).astype(np.int64)
    fp = weights @ (~positive & predicted).astype(np.int64)
    tn = weights @ (~positive & ~predicted).astype(np.int64)
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)

    def f(beta: float) -> Floats:
        return _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)

    return {
        "recall": recall,
        "precision": precision,
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "true_positive_rate": recall,
        "true_negative_rate": _ratio(tn, tn + fp),
        "false_positive_rate": _ratio(fp, tn + fp),
        "false_negative_rate": _ratio(fn, tp + fn),
        "f0_5": f(0.5),
        "f1": f(1),
        "f2": f(2),
    }


def _ratio(part: Floats | Labels, whole: Floats | Labels) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return ratio


def auc(labels: Labels, scores: Floats, weights: npt.NDArray[np.int64]) -> Floats:
    """Area under the ROC curve under each row of `weights` (R, N): the share of pairs of a positive
    and a negative image in which the positive one has the higher score, ties counting one half."""
    higher = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    won = (higher > 0) + 0.5 * (higher == 0)
    positive, negative = weights[:, labels == 1], weights[:, labels == 0]
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio(((positive @ won) * negative).sum(axis=1), pairs)


def roc_curve(labels: Labels, scores: Floats) -> dict[str, list[float]]:
    """One point a distinct score, from (0, 0) to (1, 1)."""
    tp, fp = _cumulated(labels, scores)
    return {
        "false_positive_rates": [0.0, *(fp / max(fp[-1], 1)).tolist()],
        "true_positive_rates": [0.0, *(tp / max(tp[-1], 1)).tolist()],
    }


def precision_recall_curve(labels: Labels, scores: Floats) -> dict[str, list[float]]:
    """One point a distinct score, after (recall 0, precision 1)."""
    tp, fp = _cumulated(labels, scores)
    return {
        "precisions": [1.0, *(tp / (tp + fp)).tolist()],
        "recalls": [0.0, *(tp / max(tp[-1], 1)).tolist()],
    }


def _cumulated(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """True and false positives when everything from each distinct score upwards is positive."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    tp = np.cumsum(labels[order] == 1)[last]
    fp = np.cumsum(labels[order] == 0)[last]
    return tp.astype(np.float64), fp.astype(np.float64)


def per_class(labels: Labels, scores: Floats, names: list[str]) -> dict[str, dict[str, float]]:
    """Recall, precision and mean confidence (of what was taken for the class) of each class."""
    predicted = (scores > 0.5).astype(np.int64)
    confidence = np.maximum(scores, 1 - scores)

    def share(wanted: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float:
        return float(wanted[among].mean()) if among.any() else 0.0

    return {
        name: {
            "images": int(np.sum(labels == label)),
            "recall": share(predicted == label, labels == label),
            "precision": share(labels == label, predicted == label),
            "mean_confidence": float(confidence[predicted == label].mean())
            if (predicted == label).any()
            else 0.0,
        }
        for label, name in enumerate(names)
    }


def calibration(labels: Labels, scores: Floats, bins: int = 10) -> dict[str, object]:
    """Whether the confidence can be believed.

    `ece`: expected calibration error, the mean distance of accuracy and confidence over `bins`
    equal bins of confidence from .5 to 1; `nll`: mean negative log-likelihood, nats.
    """
    confidence = np.maximum(scores, 1 - scores)
    right = (scores > 0.5) == (labels == 1)
    edges = np.linspace(0.5, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    rows = []
    for i in np.unique(place):
        here = place == i
        rows.append(
            {
                "from": round(float(edges[i]), 6),
                "to": round(float(edges[i + 1]), 6),
                "images": int(here.sum()),
                "confidence": float(confidence[here].mean()),
                "accuracy": float(right[here].mean()),
            }
        )
    ece = sum(row["images"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    of_label = np.where(labels == 1, scores, 1 - scores)
    nll = -np.log(np.clip(of_label, 1e-12, 1)).mean()
    return {"ece": ece / len(labels), "nll": float(nll), "bins": rows}


def uncalibrated(scores: Floats, temperature: float, bias: float) -> Floats:
    """The scores (N) that the model had before a temperature divided its logits and a bias was
    added to those of class 1."""
    with np.errstate(divide="ignore", over="ignore"):  # a score of exactly 0 or 1 stays
        logits = np.log(scores) - np.log1p(-scores)
        before: Floats = 1 / (1 + np.exp(-(logits - bias) * temperature))
    return before


def at_threshold(labels: Labels, scores: Floats, threshold: float) -> dict[str, float | int | None]:
    """Precision (share right) and coverage (share answered) of confidences >= `threshold`.

    The precision is None when nothing is answered.
    """
    answered = np.maximum(scores, 1 - scores) >= threshold
    right = ((scores > 0.5) == (labels == 1)) & answered
    count = int(answered.sum())
    return {
        "precision": float(right.sum() / count) if count else None,
        "coverage": float(answered.mean()),
        "images": count,
    }


def choose_threshold(
    labels: Labels, scores: Floats, wanted: float, minimum: float
) -> tuple[float, bool]:
    """The smallest confidence >= `minimum` at which the precision is at least `wanted`.

    Returns it and True; when no confidence reaches it, that of the highest precision and False.
    """
    confidence = np.maximum(scores, 1 - scores)
    candidates = [minimum, *np.unique(confidence[confidence > minimum]).tolist()]

    def precision(threshold: float) -> float:
        return at_threshold(labels, scores, threshold)["precision"] or 0.0

    for candidate in candidates:
        if precision(candidate) >= wanted:
            return candidate, True
    return max(candidates, key=precision), False

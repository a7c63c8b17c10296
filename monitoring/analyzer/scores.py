"""The figures of model quality, from labels and predictions.

Source: "Model quality metrics and CloudWatch monitoring", SageMaker AI guide. A ratio of nothing
(no positive predictions, say) is 0, as in Spark's own metrics. [I]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}
CURVE_POINTS = 101
_CONSTANT = "_best_constant_classifier"


def confusion(labels: Ints, predictions: Ints, classes: int) -> Ints:
    """Counts: outer index the label, inner index the prediction."""
    flat = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return flat.reshape(classes, classes)


def binary(labels: Ints, predictions: Ints, ranks: Floats | None = None) -> dict[str, float]:
    """Of labels and predictions that are 1 (positive) or 0, and `ranks`, the scores.

    The best constant classifier says the same of every row, whatever serves that figure best. [I]
    """
    (tn, fp), (fn, tp) = confusion(labels, predictions, 2).tolist()
    positives, negatives, total = tp + fn, tn + fp, tp + fn + tn + fp
    recall, precision = ratio(tp, positives), ratio(tp, tp + fp)
    share = ratio(positives, total)
    found = {
        "recall": recall,
        "precision": precision,
        "accuracy": ratio(tp + tn, total),
        f"recall{_CONSTANT}": 1.0 if positives else 0.0,
        f"precision{_CONSTANT}": share,
        f"accuracy{_CONSTANT}": max(share, 1 - share),
        "true_positive_rate": recall,
        "true_negative_rate": ratio(tn, negatives),
        "false_positive_rate": ratio(fp, negatives),
        "false_negative_rate": ratio(fn, positives),
    }
    if positives and negatives:
        found["auc"] = auc(labels, predictions.astype(float) if ranks is None else ranks)
    for name, beta in BETAS.items():
        found[name] = f_score(precision, recall, beta)
    for name, beta in BETAS.items():
        found[name + _CONSTANT] = f_score(share, 1.0 if positives else 0.0, beta)
    return found


def multiclass(labels: Ints, predictions: Ints, classes: int) -> dict[str, float]:
    """Accuracy, and each class's figures weighted by its share of the labels."""
    found = _weighted(confusion(labels, predictions, classes))
    frequent = int(np.bincount(labels, minlength=classes).argmax())
    constant = _weighted(confusion(labels, np.full_like(labels, frequent), classes))
    return found | {name + _CONSTANT: value for name, value in constant.items()}


def regression(labels: Floats, predictions: Floats) -> dict[str, float]:
    """The usual errors, and the share of the variance that the predictions explain."""
    off = predictions - labels
    squares = float(off @ off)
    spread = labels - labels.mean()
    mse = squares / labels.size
    return {
        "mae": float(np.abs(off).mean()),
        "mse": mse,
        "rmse": mse**0.5,
        "r2": 1 - ratio(squares, float(spread @ spread)),
    }


def auc(labels: Ints, ranks: Floats) -> float:
    """The area under the ROC curve: how often a positive outranks a negative (Mann-Whitney)."""
    positives = int(labels.sum())
    negatives = labels.size - positives
    _, place, count = np.unique(ranks, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # the rank that equal scores share
    ordered = middle[place][labels == 1].sum()
    return float((ordered - positives * (positives + 1) / 2) / (positives * negatives))


def curves(labels: Ints, ranks: Floats) -> dict[str, Json]:
    """The ROC and precision-recall curves, at 101 thresholds at most, from the strictest on."""
    order = np.argsort(-ranks, kind="stable")
    last = np.flatnonzero(np.append(np.diff(ranks[order]) != 0, True))
    if last.size > CURVE_POINTS:
        last = last[np.linspace(0, last.size - 1, CURVE_POINTS).astype(int)]
    true = np.cumsum(labels[order])[last]
    false = last + 1 - true
    rates = [(false / false[-1]).tolist(), (true / true[-1]).tolist()]
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": [0.0, *rates[0]],
            "true_positive_rates": [0.0, *rates[1]],
        },
        "precision_recall_curve": {
            "precisions": [1.0, *(true / (last + 1)).tolist()],
            "recalls": [0.0, *rates[1]],
        },
    }


def deviations(
    score: Callable[[Ints], dict[str, float]], rows: int, seed: int = 0
) -> dict[str, float]:
    """The standard deviation of each figure over five random subsamples of 80 % of the rows.

    Args: score: the figures of the rows with these indices. Fewer than 200 rows give none.
    """
    if rows < 200:
        return {}
    random = np.random.default_rng(seed)
    runs = [score(random.choice(rows, rows * 4 // 5, replace=False)) for _ in range(5)]
    common = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: float(np.std([run[name] for run in runs])) for name in common}


def ratio(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


def f_score(precision: float, recall: float, beta: float) -> float:
    """The weighted harmonic mean of precision and recall."""
    square = beta * beta
    return ratio((1 + square) * precision * recall, square * precision + recall)


def _weighted(matrix: Ints) -> dict[str, float]:
    hits, total = np.diag(matrix), int(matrix.sum())
    actual, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    rows = [
        (ratio(h, a), ratio(h, p), a / total)
        for h, a, p in zip(hits.tolist(), actual.tolist(), predicted.tolist(), strict=True)
    ]
    found = {
        "accuracy": ratio(int(hits.sum()), total),
        "weighted_recall": sum(recall * share for recall, _, share in rows),
        "weighted_precision": sum(precision * share for _, precision, share in rows),
    }
    for name, beta in BETAS.items():
        parts = (f_score(precision, recall, beta) * share for recall, precision, share in rows)
        found[f"weighted_{name}"] = sum(parts)
    return found

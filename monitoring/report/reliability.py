"""How often the labelled answers were right, and whether their confidence can be believed."""

import math
from dataclasses import dataclass
from typing import Any

from scipy import stats

from monitoring.report.observations import Answers
from steps import metrics

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """`matrix[actual][predicted]`; `interval` is Wilson's 95 % of the accuracy; `ece` the expected
    calibration error; `bins` as in evaluation.json: from, to, images, confidence, accuracy."""

    labelled: int
    right: int
    interval: tuple[float, float]
    matrix: tuple[tuple[int, int], tuple[int, int]]
    ece: float
    bins: tuple[dict[str, Any], ...]

    @property
    def accuracy(self) -> float:
        return self.right / self.labelled


def reliability(seen: Answers) -> Reliability | None:
    """None when no answer has a label."""
    labels, scores = seen.labels[seen.labelled], seen.scores[seen.labelled]
    if not len(labels):
        return None
    counts = metrics.confusion_matrix(labels, scores)
    calibration: Any = metrics.calibration(labels, scores, BINS)
    right = counts["0"]["0"] + counts["1"]["1"]
    return Reliability(
        len(labels),
        right,
        wilson(right, len(labels)),
        ((counts["0"]["0"], counts["0"]["1"]), (counts["1"]["0"], counts["1"]["1"])),
        float(calibration["ece"]),
        tuple(calibration["bins"]),
    )


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share; it stays within 0 and 1 in small samples too."""
    z = float(stats.norm.ppf(0.975))
    share, scale = right / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / scale
    return max(0.0, middle - half), min(1.0, middle + half)

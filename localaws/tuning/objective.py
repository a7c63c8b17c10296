"""The objective of a search: read from finished trials, compared, and when enough is known.

A trial is a training job's description. The value is the last one that the metric's regular
expression caught in its log, as FinalMetricDataList shows it.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-metrics-variables.html,
…-stop-criteria: automatic-model-tuning-progress.html.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localaws.errors import NotImplementedHere

Json = dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """The metric `name`, to be made as great (`maximise`) or as small as can be."""

    name: str
    maximise: bool

    @classmethod
    def read(cls, config: Json) -> "Objective":
        wanted = config["HyperParameterTuningJobObjective"]
        return cls(wanted["MetricName"], wanted["Type"] == "Maximize")

    def value(self, job: Json) -> float | None:
        """The final value of a job that completed; None where there is none, or it is no number."""
        if job["TrainingJobStatus"] != "Completed":
            return None
        for metric in job.get("FinalMetricDataList") or []:
            if metric["MetricName"] == self.name and math.isfinite(metric["Value"]):
                return float(metric["Value"])
        return None

    def worth(self, value: float) -> float:
        """A number that is greater the better the value is."""
        return value if self.maximise else -value

    def is_better(self, value: float, other: float | None) -> bool:
        return other is None or self.worth(value) > self.worth(other)


@dataclass(frozen=True)
class Criteria:
    """When to end a search before its last trial: `target` reached, or `patience` trials in a row
    that were no better than the best before them."""

    target: float | None = None
    patience: int | None = None

    @classmethod
    def read(cls, config: Json) -> "Criteria":
        """Raises NotImplementedHere for AWS's own test of convergence."""
        given = config.get("TuningJobCompletionCriteria") or {}
        convergence = (given.get("ConvergenceDetected") or {}).get("CompleteOnConvergence")
        if convergence == "Enabled":
            raise NotImplementedHere(
                "localaws does not detect convergence (CompleteOnConvergence); it runs on AWS only."
            )
        patience = given.get("BestObjectiveNotImproving") or {}
        return cls(
            given.get("TargetObjectiveMetricValue"),
            patience.get("MaxNumberOfTrainingJobsNotImproving"),
        )

    def met(self, objective: Objective, values: Sequence[float]) -> bool:
        """Whether the values, in the order in which their trials ended, are enough."""
        if self.target is not None:
            enough = objective.worth(self.target)
            if any(objective.worth(value) >= enough for value in values):
                return True
        return self.patience is not None and since_best(objective, values) >= self.patience


def since_best(objective: Objective, values: Sequence[float]) -> int:
    """How many values came after the best one."""
    best: float | None = None
    since = 0
    for value in values:
        since += 1
        if objective.is_better(value, best):
            best, since = value, 0
    return since

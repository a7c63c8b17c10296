"""What a card is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A test image that was answered wrongly. `image` is None where it could not be had."""

    path: str
    shows: str
    said: str
    confidence: float
    image: bytes | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One test image: the class that it shows, by number, and the `probabilities` of both."""

    path: str
    label: int
    probabilities: tuple[float, float]

    @property
    def said(self) -> int:
        return int(self.probabilities[1] > 0.5)

    @property
    def confidence(self) -> float:
        return max(self.probabilities)


@dataclass(frozen=True, slots=True)
class Facts:
    """One registered version. `evaluation` is its evaluation.json, `training_job` what
    DescribeTrainingJob says, or None where the job is gone; `metadata` the package's own."""

    name: str
    version: int
    arn: str
    status: str
    created: datetime
    model_data_url: str
    image: str
    classes: tuple[str, str]
    metadata: Mapping[str, str]
    evaluation: Json
    predictions: Sequence[Prediction]
    failures: Sequence[Failure]
    training_job: Json | None = None

    @property
    def dataset(self) -> str:
        return str((self.evaluation.get("dataset") or {}).get("name") or "unnamed data")

    @property
    def metrics(self) -> Json:
        found: Json = self.evaluation["binary_classification_metrics"]
        return found

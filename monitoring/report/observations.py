"""What the report is made of: plain data, and the arrays that everything else computes with."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.occlusion import Occlusion

Json = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of the endpoint.

    `probabilities` stand in the order of `ReportInput.classes`; `confidence` is the larger one.
    `label` is the class that the image shows, where a person said it. `image` holds the bytes as
    they were sent; only those of the least sure answers are looked at (`least_sure` names them).
    A time without a zone is taken as UTC.
    """

    inference_id: str
    inference_time: datetime
    probabilities: tuple[float, float]
    predicted_class: str
    confidence: float
    label: str | None = None
    features: Mapping[str, float | str | None] = field(default_factory=dict)
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The time that was looked at, from `start` up to but without `end`, and where: `source` is the
    prefix of the capture files."""

    start: datetime
    end: datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything that a report says.

    `dataset_name` is what the images and their labels are of, and stands beside every accuracy.
    The files are parsed JSON in Model Monitor's formats, or None where there is none: of the
    baseline and of the traffic `statistics.json`, of their comparison
    `constraint_violations.json` (None: nothing was compared; an empty list: nothing was found).
    `evaluation` is the `evaluation.json` of the model that answered. `occlusions` say where the
    network looked, by the inference ids of the least sure answers, as far as it was asked.
    """

    observations: Sequence[Observation]
    window: Window
    threshold: float
    classes: tuple[str, str]
    endpoint_name: str
    model_version: str
    dataset_name: str
    baseline_statistics: Json | None = None
    traffic_statistics: Json | None = None
    violations: Json | None = None
    evaluation: Json | None = None
    occlusions: Mapping[str, Occlusion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """The usable observations as columns, in the order of their time.

    `times` (N) are seconds since 1970, `said` (N) the class's number, `confidences` (N) and
    `scores` (N), the probability of class 1. `labels` (N) is -1 where nobody said what the image
    shows. `left_out` says in sentences what was not usable.
    """

    times: Floats
    said: Integers
    confidences: Floats
    scores: Floats
    labels: Integers
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.times)

    def of(self, number: int) -> Floats:
        """The confidences of the answers that name this class."""
        confidences: Floats = self.confidences[self.said == number]
        return confidences

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        return self.labels >= 0


def seconds(moment: datetime) -> float:
    """Since 1970; a time without a zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def usable(observation: Observation, classes: Sequence[str]) -> bool:
    """Whether it names one of the classes with a confidence between 0 and 1 (NaN is not)."""
    return observation.predicted_class in classes and _is_probability(observation.confidence)


def answers(observations: Sequence[Observation], classes: Sequence[str]) -> Answers:
    """The columns of what can be used; what cannot is counted, never dropped in silence."""
    kept = [one for one in observations if usable(one, classes)]
    kept.sort(key=lambda one: (seconds(one.inference_time), one.inference_id))
    number = {name: place for place, name in enumerate(classes)}
    strange = sum(one.predicted_class not in number for one in observations)
    unsure = len(observations) - len(kept) - strange
    unknown = sum(one.label is not None and one.label not in number for one in kept)
    return Answers(
        np.array([seconds(one.inference_time) for one in kept], np.float64),
        np.array([number[one.predicted_class] for one in kept], np.int64),
        np.array([one.confidence for one in kept], np.float64),
        np.array([_score(one, number) for one in kept], np.float64),
        np.array([number.get(one.label or "", -1) for one in kept], np.int64),
        tuple(
            f"{counted(count, 'answer')} {reason}"
            for count, reason in (
                (strange, "named a class that the model does not have"),
                (unsure, "had no confidence between 0 and 1"),
                (unknown, "had a label that is none of the classes, and counts as unlabelled"),
            )
            if count
        ),
    )


def _score(one: Observation, number: Mapping[str, int]) -> float:
    """The probability of class 1; from the answer itself where the pair is not usable."""
    score = one.probabilities[1] if len(one.probabilities) == 2 else math.nan
    if _is_probability(score):
        return float(score)
    return one.confidence if number[one.predicted_class] == 1 else 1 - one.confidence


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def counted(count: int, noun: str) -> str:
    """`1 answer`, `2,300 answers`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float, digits: int = 1) -> str:
    """`92.5 %` of 0.925."""
    return f"{100 * share:.{digits}f} %"


def plain(text: object, limit: int = 120) -> str:
    """A stranger's text made fit to print: without control, formatting and surrogate characters,
    on one line and of at most `limit` characters. It is not escaped."""
    kept = "".join(
        " " if character.isspace() else character
        for character in str(text)[: limit * 10]
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    short = " ".join(kept.split())
    return short if len(short) <= limit else short[: limit - 1] + "…"

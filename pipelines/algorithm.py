"""What may differ from one way of training to the other; all else of the pipeline is the same.

own        steps/train in the PyTorch image; Evaluate opens the archive, as the endpoint does;
           the tuned variant trains once a trial, and goes on with the best one
built-in   SageMaker's image-classification image; a batch transform asks the model, and
           Evaluate reads its answers, since only that image can open the archive
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep, TuningStep

from pipelines.build import Build
from pipelines.settings import Settings

IMAGES = ("image/png", "image/jpeg", "application/x-image")
TrainStep: TypeAlias = TrainingStep | TuningStep


@dataclass(frozen=True)
class Answers:
    """How Evaluate comes to the model's answers: the steps before it, and its inputs by name."""

    steps: list[Any]
    inputs: dict[str, Any]


def trained(train: TrainStep) -> Any:
    """Where the archive of a training job lies."""
    return train.properties.ModelArtifacts.S3ModelArtifacts


@dataclass(frozen=True)
class Algorithm:
    """One way of training.

    `name` goes into the package's metadata; `container` gives `image_uri` and `env_vars` of what
    serves the model; `content_types` is what that can read; `model` is where the archive lies
    that is evaluated and registered; `parameters` are those of the pipeline that only it has.
    """

    name: str
    train: Callable[[Build, ProcessingStep], TrainStep]
    answers: Callable[[Build, ProcessingStep, TrainStep], Answers]
    container: Callable[[Build], dict[str, Any]]
    content_types: tuple[str, ...] = IMAGES
    model: Callable[[TrainStep], Any] = trained
    parameters: Callable[[Settings], list[Any]] = lambda settings: []

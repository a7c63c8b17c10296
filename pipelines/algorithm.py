"""What may differ from one way of training to the other; all else of the pipeline is the same.

own        steps/train in the PyTorch image; Evaluate opens the archive, as the endpoint does
built-in   SageMaker's image-classification image; a batch transform asks the model, and
           Evaluate reads its answers, since only that image can open the archive
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep

from pipelines.build import Build


@dataclass(frozen=True)
class Answers:
    """How Evaluate comes to the model's answers: the steps before it, and its inputs by name."""

    steps: list[Any]
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Algorithm:
    """One way of training.

    `name` goes into the package's metadata; `container` gives `image_uri` and `env_vars` of what
    serves the model; `response_types` is what that can answer.
    """

    name: str
    train: Callable[[Build, ProcessingStep], TrainingStep]
    answers: Callable[[Build, ProcessingStep, TrainingStep], Answers]
    container: Callable[[Build], dict[str, Any]]
    response_types: tuple[str, ...] = ("application/json",)

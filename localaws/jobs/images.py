"""Which program stands for a container image.

An image of a Python framework runs with the project's own Python and packages: the same command,
the same channels, other versions. Images whose content is not Python, or that carry an algorithm of
their own, stand in this table only if something here really does their work; every other address is
refused when the job is created, with the names that are known.

An image that serves is stood for by `hosting.model_server`, in endpoints and batch transforms.

A program of this project is named, not imported: `localaws` knows nothing of the product.
"""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from localaws.errors import ValidationError

_ADDRESS = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.]+/"
    r"(?P<repository>[^:@]+)(?:[:@](?P<tag>.+))?"
)

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """What runs in an image's place: a name for the log, and its entrypoint if it has one.

    `module` is one of this project's, which is then the entrypoint. An image that `serves` does so
    with the `handlers` (a script of this project), or else with those of the model's archive.
    `metrics` are what SageMaker takes from the log of an algorithm of its own: name and pattern.
    """

    name: str
    module: str = ""
    serves: bool = False
    handlers: str = ""
    metrics: tuple[tuple[str, str], ...] = ()

    @property
    def entrypoint(self) -> list[str]:
        return ["python3", "-m", self.module] if self.module else []

    @property
    def variables(self) -> dict[str, str]:
        """What the program needs in its environment: where the project's own modules are."""
        return {"PYTHONPATH": str(PROJECT)} if self.module else {}

    @property
    def serving(self) -> dict[str, str]:
        """What the model server needs in its environment, over what the model says."""
        if not self.handlers:
            return {}
        script = PROJECT / self.handlers
        return {
            **self.variables,
            "SAGEMAKER_SUBMIT_DIRECTORY": str(script.parent),
            "SAGEMAKER_PROGRAM": script.name,
        }


PYTHON = Program("the project's Python")

# By the repository's name. Frameworks that the project does not install are not here: a job that
# imports them would fail later and less clearly.
KNOWN: dict[str, Program] = {
    "pytorch-training": PYTHON,
    "pytorch-inference": dataclasses.replace(PYTHON, serves=True),
    "sagemaker-scikit-learn": PYTHON,
    "sagemaker-base-python": PYTHON,
    "sagemaker-model-monitor-analyzer": Program("the project's analyzer", "monitoring.analyzer"),
    "image-classification": Program(
        "localaws's stand-in",
        "localaws.image_classification",
        serves=True,
        handlers="localaws/image_classification/serve.py",
        metrics=(
            ("train:accuracy", r"Epoch\S* Train-accuracy=(\S*)"),
            ("validation:accuracy", r"Epoch\S* Validation-accuracy=(\S*)"),
        ),
    ),
}


class Images:
    """Looks image addresses up in a table; `account` is the one whose own images are welcome."""

    def __init__(self, account: str, known: dict[str, Program] | None = None) -> None:
        self._account = account
        self._known = KNOWN if known is None else known

    def command(self, image: str, entrypoint: list[str], arguments: list[str]) -> list[str]:
        """The command that the image would run, as `docker run` composes it.

        Raises ValidationError for an image without a stand-in, and for a framework image or an
        image of the user's own when the request gives no entrypoint: theirs is inside the image.
        """
        program = self.program(image)
        start = entrypoint or program.entrypoint
        if not start:
            raise ValidationError(
                f"localaws runs {image} with {program.name}, which does not know the image's own "
                "entrypoint: give one in the request (ContainerEntrypoint), or to train in script "
                "mode the hyperparameters sagemaker_program and sagemaker_submit_directory."
            )
        return [*start, *arguments]

    def remark(self, image: str) -> str:
        """A line for the job's log where the stand-in is a guess; "" for a framework image."""
        address = _ADDRESS.fullmatch(image)
        if address and address["repository"] in self._known:
            return ""
        return f"localaws cannot pull {image}: {self.program(image).name} runs the entrypoint."

    def serving(self, image: str) -> dict[str, str]:
        """The variables of the model server in the image's place. ValidationError without one."""
        program = self.program(image)
        if not program.serves:
            servers = sorted(name for name, known in self._known.items() if known.serves)
            raise ValidationError(
                f"localaws has no model server for image {image}; it hosts {', '.join(servers)}."
            )
        return program.serving

    def program(self, image: str) -> Program:
        """The program that stands for an image. Raises ValidationError if there is none."""
        address = _ADDRESS.fullmatch(image)
        repository = address["repository"] if address else ""
        if repository in self._known:
            return self._known[repository]
        if address and address["account"] == self._account:
            # Nothing can be pulled here; the command is the user's own, so it may well run.
            return PYTHON
        raise ValidationError(
            f"localaws has no program for image {image}; known are "
            f"{', '.join(sorted(self._known))}, and images of account {self._account} "
            "whose entrypoint the request gives."
        )

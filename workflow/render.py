"""From an ASL file with `${Placeholders}` to a definition, with the mistakes found first."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# What the inference workflow takes from the stack: the placeholder, and the variable in which the
# publishing function finds it.
FROM_STACK = {
    "SerializeImageDataArn": "SERIALIZE_IMAGE_DATA_ARN",
    "ImageClassificationArn": "IMAGE_CLASSIFICATION_ARN",
    "FilterLowInferenceConfidenceArn": "FILTER_LOW_INFERENCE_CONFIDENCE_ARN",
    "QueueForReviewArn": "QUEUE_FOR_REVIEW_ARN",
}


class DefinitionError(Exception):
    """A definition that Step Functions would refuse, with the state or the placeholder."""


def source(name: str) -> str:
    """The text of `inference`, `batch` or `deployment`."""
    return (FOLDER / f"{name}.asl.json").read_text(encoding="utf-8")


def placeholders(name: str) -> set[str]:
    """The placeholders of a file."""
    return set(_PLACEHOLDER.findall(source(name)))


def inference(
    *,
    endpoint_name: str,
    model_package_arn: str,
    confidence_threshold: float,
    stack: Mapping[str, str],
) -> str:
    """The inference workflow for one deployed version; `stack` has the names of FROM_STACK."""
    own = {
        "EndpointName": endpoint_name,
        "ModelPackageArn": model_package_arn,
        "ConfidenceThreshold": repr(confidence_threshold),
    }
    return render("inference", {**stack, **own})


def package_of(definition: str) -> str:
    """The model package that a rendered inference workflow names."""
    parameters = json.loads(definition)["States"]["ImageClassification"]["Parameters"]
    return str(parameters["model_package_arn"])


def render(name: str, values: Mapping[str, str]) -> str:
    """The definition with its placeholders filled. Raises DefinitionError."""
    missing = sorted(placeholders(name) - values.keys())
    if missing:
        raise DefinitionError(f"{name}.asl.json: nothing is given for ${{{missing[0]}}}.")
    text = _PLACEHOLDER.sub(lambda found: _escaped(values[found[1]]), source(name))
    check(json.loads(text), name)
    return text


def check(definition: dict[str, Any], where: str) -> None:
    """Every state that is named is there, is reached, and every resource is an ARN."""
    states = definition["States"]
    reached, waiting = set(), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in states:
            raise DefinitionError(f"{where}: there is no state {name!r}.")
        if name not in reached:
            reached.add(name)
            waiting += _successors(states[name])
    lost = sorted(states.keys() - reached)
    if lost:
        raise DefinitionError(f"{where}: nothing leads to the state {lost[0]!r}.")
    for name, state in states.items():
        if state["Type"] == "Task" and not str(state.get("Resource", "")).startswith("arn:"):
            raise DefinitionError(f"{where}: {name!r} has the resource {state.get('Resource')!r}.")
        if state["Type"] == "Map":
            check(state["ItemProcessor"], f"{where}/{name}")


def _successors(state: dict[str, Any]) -> Iterator[str]:
    for holder in (state, *state.get("Catch", []), *state.get("Choices", [])):
        if "Next" in holder:
            yield holder["Next"]
    if "Default" in state:
        yield state["Default"]


def _escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]

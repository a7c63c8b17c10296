"""A pipeline definition, read from its JSON."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline_definition import references
from pipeline_definition.parameters import Parameter

Json = dict[str, Any]

VERSION = "2020-12-01"
COMPLETED, FAILED, STOPPED, ANY = "Completed", "Failed", "Stopped", "Any"


class DefinitionError(ValueError):
    """The definition cannot be accepted; the sentences say why."""


@dataclass(frozen=True)
class Branch:
    """Where a step lies when it belongs to a condition: the condition's name and outcome."""

    condition: str
    outcome: bool


@dataclass(frozen=True)
class Step:
    """One step. `after` maps each step that it waits for to the outcome that lets it run."""

    name: str
    type: str
    arguments: Json
    after: dict[str, str]
    branch: Branch | None = None
    display_name: str | None = None
    description: str | None = None
    cache: Json | None = None
    retry_policies: tuple[Json, ...] = ()
    property_files: tuple[Json, ...] = ()

    @property
    def own_arguments(self) -> Json:
        """The arguments without the steps that a condition carries in its branches."""
        return {
            key: value
            for key, value in self.arguments.items()
            if key not in ("IfSteps", "ElseSteps")
        }

    def property_file(self, name: str) -> Json | None:
        """The property file of that name: PropertyFileName, OutputName and FilePath."""
        return next((f for f in self.property_files if f.get("PropertyFileName") == name), None)


@dataclass(frozen=True)
class Definition:
    """A whole pipeline: its parameters, and its steps by name, branches included."""

    parameters: dict[str, Parameter]
    steps: dict[str, Step]
    experiment: Json | None = None


def parse(text: str) -> Definition:
    """Reads a definition. Raises `DefinitionError` when it has not the shape of one.

    What the members mean together (references, cycles, job requests) is `check`'s business.
    """
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise DefinitionError(f"It is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise DefinitionError("Expecting start of Json Object.")
    if body.get("Version") != VERSION:
        raise DefinitionError(
            f"Invalid Version {body.get('Version')!r}: the version must be {VERSION}."
        )
    for name in ("Parameters", "Steps"):
        if not isinstance(body.get(name, []), list):
            raise DefinitionError(f"{name}: Expecting start of Json Array.")
    try:
        parameters = [Parameter.read(item) for item in body.get("Parameters") or []]
    except ValueError as error:
        raise DefinitionError(f"{error}.") from None
    steps: dict[str, Step] = {}
    for step in _steps(body.get("Steps") or [], None):
        if step.name in steps:
            raise DefinitionError(f"Step names must be unique; {step.name!r} appears twice.")
        steps[step.name] = step
    if not steps:
        raise DefinitionError("A pipeline must have at least one step.")
    if len({parameter.name for parameter in parameters}) < len(parameters):
        raise DefinitionError("Parameter names must be unique.")
    if body.get("MlflowConfig"):
        raise DefinitionError("localaws has no MLflow; remove MlflowConfig.")
    return Definition(
        {parameter.name: parameter for parameter in parameters},
        steps,
        body.get("PipelineExperimentConfig") or None,
    )


def _steps(items: Any, branch: Branch | None) -> list[Step]:
    """The steps of a list, each condition followed by the steps of its two branches."""
    if not isinstance(items, list):
        raise DefinitionError("Steps: Expecting start of Json Array.")
    steps = []
    for item in items:
        step = _step(item, branch)
        steps.append(step)
        if step.type == "Condition":
            for member, outcome in (("IfSteps", True), ("ElseSteps", False)):
                steps += _steps(step.arguments.get(member) or [], Branch(step.name, outcome))
    return steps


def _step(item: Any, branch: Branch | None) -> Step:
    if not isinstance(item, dict) or not isinstance(item.get("Name"), str):
        raise DefinitionError("Each step needs a Name, a Type and Arguments.")
    name = item["Name"]
    arguments = item.get("Arguments")
    if not isinstance(arguments, dict):
        raise DefinitionError(f"Step '{name}' has no Arguments; Expecting start of Json Object.")
    step = Step(
        name,
        str(item.get("Type")),
        arguments,
        {},
        branch,
        item.get("DisplayName"),
        item.get("Description"),
        item.get("CacheConfig"),
        tuple(item.get("RetryPolicies") or ()),
        tuple(item.get("PropertyFiles") or ()),
    )
    step.after.update(dict.fromkeys(references.step_names(step.own_arguments), COMPLETED))
    if branch:
        step.after[branch.condition] = COMPLETED
    for dependency in item.get("DependsOn") or []:
        upstream, trigger = _dependency(name, dependency)
        step.after[upstream] = trigger
    return step


def _dependency(name: str, entry: Any) -> tuple[str, str]:
    """A `DependsOn` entry: a step's name, or `{"Step": …, "Trigger": …}` for another outcome."""
    if isinstance(entry, str):
        return entry, COMPLETED
    if isinstance(entry, dict) and isinstance(entry.get("Step"), str):
        trigger = entry.get("Trigger", COMPLETED)
        if trigger in (COMPLETED, FAILED, STOPPED, ANY):
            return entry["Step"], trigger
    raise DefinitionError(
        f"Step '{name}': a DependsOn entry is a step's name or an object with Step and Trigger "
        f"({COMPLETED}, {FAILED}, {STOPPED} or {ANY}), not {json.dumps(entry)}."
    )

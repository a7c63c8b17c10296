"""Everything about a definition that can be known before anything runs.

Each rule yields sentences. Requests of steps are held against the service's own model; types of
steps that `step_types` does not describe are checked for their references only.
"""

import re
from collections.abc import Iterator
from typing import Any

import service_model
from pipeline_definition import caching, conditions, references
from pipeline_definition.definition import Definition, Step
from pipeline_definition.references import GET, JOIN, JSON_GET, UnresolvedReference
from pipeline_definition.retries import RetryPolicy
from pipeline_definition.step_types import OTHER_TYPES, STEP_TYPES, require_property

MAX_STEPS = 50  # https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_PARAMETERS = 200
_STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9\-_]{1,256}")


def problems(definition: Definition) -> list[str]:
    """Every problem, each a sentence that names the step; empty for a sound definition."""
    found = list(_limits(definition))
    for step in definition.steps.values():
        found += (f"Step '{step.name}': {problem}" for problem in _step(definition, step))
    found += _cycles(definition)
    return list(dict.fromkeys(found))


def _limits(definition: Definition) -> Iterator[str]:
    if len(definition.steps) > MAX_STEPS:
        yield f"a pipeline can have at most {MAX_STEPS} steps, not {len(definition.steps)}"
    if len(definition.parameters) > MAX_PARAMETERS:
        yield f"a pipeline can have at most {MAX_PARAMETERS} parameters"
    for name in definition.parameters:
        if not _PARAMETER_NAME.fullmatch(name):
            yield f"the parameter name {name!r} does not match {_PARAMETER_NAME.pattern}"
    for name in definition.steps:
        if not _STEP_NAME.fullmatch(name):
            yield f"the step name {name!r} does not match {_STEP_NAME.pattern}"


def _step(definition: Definition, step: Step) -> Iterator[str]:
    if step.type not in STEP_TYPES and step.type not in OTHER_TYPES:
        known = ", ".join([*STEP_TYPES, *sorted(OTHER_TYPES)])
        yield f"unknown step type {step.type!r}; it must be one of {known}"
        return
    for upstream in step.after:
        if upstream not in definition.steps:
            yield f"it depends on step '{upstream}', which is not in the pipeline"
    for reference in references.find(step.own_arguments):
        yield from _reference(definition, reference)
    if step.type in STEP_TYPES:
        yield from _request(definition, step)
    yield from _settings(step)


def _reference(definition: Definition, reference: dict[str, Any]) -> Iterator[str]:
    if JOIN in reference:
        if not isinstance((reference[JOIN] or {}).get("Values"), list):
            yield "Std:Join needs Values, a list"
        return
    if JSON_GET in reference:
        yield from _json_get(definition, reference[JSON_GET])
        return
    path = str(reference[GET])
    kind, _, rest = path.partition(".")
    if kind == "Parameters":
        if rest not in definition.parameters:
            yield f"it refers to parameter '{rest}', which the pipeline does not define"
    elif kind == "Execution":
        if rest not in (*references.EXECUTION_VARIABLES, "TrainingJobName", "ProcessingJobName"):
            yield f"it refers to {path}, which is not an execution variable"
    elif kind == "Steps":
        name, _, member = rest.partition(".")
        upstream = definition.steps.get(name)
        if upstream and upstream.type in STEP_TYPES and not member.startswith("PropertyFiles."):
            try:
                require_property(STEP_TYPES[upstream.type], member)
            except UnresolvedReference as error:
                yield f"{path} does not resolve: {error}"
    else:
        yield f"{path!r} refers to none of Parameters, Execution and Steps"


def _json_get(definition: Definition, body: dict[str, Any]) -> Iterator[str]:
    if not isinstance(body, dict) or "Path" not in body:
        yield "Std:JsonGet needs a Path"
    elif ("PropertyFile" in body) == ("S3Uri" in body):
        yield "Std:JsonGet needs either a PropertyFile or an S3Uri"
    elif "PropertyFile" in body:
        path = str((body["PropertyFile"] or {}).get(GET))
        yield from _property_file(definition, path)


def _property_file(definition: Definition, path: str) -> Iterator[str]:
    match = re.fullmatch(r"Steps\.([^.]+)\.PropertyFiles\.(.+)", path)
    step = definition.steps.get(match[1]) if match else None
    file = step.property_file(match[2]) if match and step else None
    if step is None or file is None:
        yield f"the property file {path!r} is not defined"
        return
    outputs = (step.arguments.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    if file.get("OutputName") not in [output.get("OutputName") for output in outputs]:
        yield (
            f"the property file {path!r} lies in output {file.get('OutputName')!r}, which step "
            f"'{step.name}' does not have"
        )


def _request(definition: Definition, step: Step) -> Iterator[str]:
    """What the service model says about the request that the step will make."""
    kind = STEP_TYPES[step.type]
    if kind.resource:
        # A parameter's default stands for it: AWS refuses an illegal default at this point too.
        arguments = _with_defaults(definition, step.arguments)
        yield from service_model.violations(
            service_model.input_shape("sagemaker", f"Create{kind.resource}"),
            arguments,
            is_reference=references.is_reference,
            optional=frozenset({kind.name_member, "RoleArn"}),
        )
    elif kind.name == "Condition":
        if not isinstance(step.arguments.get("Conditions"), list):
            yield "a Condition step needs Conditions, a list"
        for condition in step.arguments.get("Conditions") or []:
            yield from conditions.problems(condition)
    elif "ErrorMessage" not in step.arguments:
        yield "a Fail step needs an ErrorMessage"


def _with_defaults(definition: Definition, value: Any) -> Any:
    if isinstance(value, dict):
        if references.is_reference(value):
            name = str(value.get(GET, "")).removeprefix("Parameters.")
            parameter = definition.parameters.get(name)
            return value if parameter is None or parameter.default is None else parameter.default
        return {key: _with_defaults(definition, item) for key, item in value.items()}
    return (
        [_with_defaults(definition, item) for item in value] if isinstance(value, list) else value
    )


def _settings(step: Step) -> Iterator[str]:
    """The cache configuration and the retry policies."""
    for policy in step.retry_policies:
        try:
            RetryPolicy.read(policy)
        except ValueError as error:
            yield f"RetryPolicies: {error}"
    if step.cache is not None:
        try:
            caching.max_age(step.cache)
        except ValueError as error:
            yield f"CacheConfig: {error}"


def _cycles(definition: Definition) -> Iterator[str]:
    """One sentence for the first cycle of dependencies, if there is one."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> str | None:
        if name in trail:
            return " → ".join((*trail[trail.index(name) :], name))
        if name in done or name not in definition.steps:
            return None
        for upstream in definition.steps[name].after:
            cycle = visit(upstream, (*trail, name))
            if cycle:
                return cycle
        done.add(name)
        return None

    for name in definition.steps:
        cycle = visit(name, ())
        if cycle:
            yield f"the steps depend on each other in a circle: {cycle}"
            return

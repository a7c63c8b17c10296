"""One handler a step type: it runs a step once, and can be told to stop.

The components that it calls (`jobs`) are those that answer the API, so what a pipeline starts is
seen by DescribeProcessingJob and the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore import xform_name

import service_model
from localaws.errors import ApiError, ValidationError
from localaws.pipelines import retries
from pipeline_definition import conditions
from pipeline_definition.definition import Step
from pipeline_definition.step_types import STEP_TYPES, StepType

Json = dict[str, Any]

MOST_TRIALS = 50  # that a tuning step's properties name


class StepFailed(Exception):
    """A step did not succeed. `exception` is its type for the retry policies, if it has one."""

    def __init__(
        self,
        reason: str,
        exception: str | None = None,
        *,
        stopped: bool = False,
        metadata: Json | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exception = exception
        self.stopped = stopped
        self.metadata = metadata


@dataclass(frozen=True)
class Call:
    """One try of a step: its resolved arguments, and what the handler adds to them.

    `started(job_name, metadata)` is to be called as soon as there is something to show or to stop;
    `require(operation, request)` raises AccessDenied unless the pipeline's role may call it.
    """

    step: Step
    arguments: Json
    job_name: str
    execution_arn: str
    role_arn: str
    started: Callable[[str, Json], None]
    experiment: Json = field(default_factory=dict)
    tags: list[Json] = field(default_factory=list)
    require: Callable[[str, Json], None] = lambda operation, request: None


class Handler(Protocol):
    """Runs the steps of one type."""

    def run(self, call: Call) -> Json:
        """The step's properties. Raises `StepFailed`."""

    def stop(self, job_name: str) -> None:
        """Ends what `run` is waiting for; does nothing when there is nothing to end."""


class Resource:
    """What the steps that make a resource share: checked calls of its component."""

    def __init__(self, kind: StepType, component: object) -> None:
        self.kind = kind
        self.component = component

    def call(self, verb: str, request: Json, step: Call | None = None) -> Json:
        """Calls `<verb><resource>`, for a step with the rights of its pipeline's role.

        Raises `StepFailed` in the words of Pipelines.
        """
        operation = verb + self.kind.resource
        method: Callable[[Json], Json] = getattr(self.component, xform_name(operation))
        try:
            self._require_legal(operation, request)
            if step is not None:
                step.require(operation, request)
            return method(request)
        except ApiError as error:
            raise StepFailed(
                f"ClientError: Failed to invoke sagemaker:{operation}. "
                f"Error Details: {error.message}",
                retries.exception_of_error(error),
            ) from None

    def _require_legal(self, operation: str, request: Json) -> None:
        shape = service_model.input_shape("sagemaker", operation)
        problems = service_model.violations(shape, request)
        if problems:
            plural = "s" if len(problems) > 1 else ""
            count = f"{len(problems)} validation error{plural} detected: "
            raise ValidationError(count + "; ".join(problems))


class JobStep(Resource):
    """Processing, Training and Transform: makes the job and waits for its end."""

    def request(self, call: Call) -> Json:
        role = {"RoleArn": call.role_arn} if self.kind.has_role else {}
        request = {**role, **call.arguments}
        if call.experiment:
            request["ExperimentConfig"] = {
                **call.experiment,
                **request.get("ExperimentConfig", {}),
            }
        return request

    def run(self, call: Call) -> Json:
        name = call.job_name
        request = {**self.request(call), self.kind.name_member: name}
        request["Tags"] = [*request.get("Tags", []), *call.tags]
        arn = self.call("Create", request, call)[self.kind.arn_member]
        call.started(call.job_name, {self.kind.metadata: {"Arn": arn}})
        self._require_look(call, name)
        wait: Callable[[str], Json] = self.component.wait  # type: ignore[attr-defined]  # of jobs
        return self._require_success(wait(name))

    def _require_look(self, call: Call, name: str) -> None:
        """SageMaker follows the job with the pipeline's role."""
        try:
            self._require(call, f"Describe{self.kind.resource}")
        except StepFailed:
            self.stop(name)
            raise

    def _require(self, call: Call, operation: str) -> None:
        """Raises `StepFailed` unless the pipeline's role may call an operation on the job."""
        try:
            call.require(operation, {self.kind.name_member: call.job_name})
        except ApiError as error:
            raise StepFailed(
                f"ClientError: Failed to invoke sagemaker:{operation}. "
                f"Error Details: {error.message}"
            ) from None

    def stop(self, job_name: str) -> None:
        try:
            self.call("Stop", {self.kind.name_member: job_name})
        except StepFailed:
            return  # it has ended by itself

    def _require_success(self, description: Json) -> Json:
        status = description[f"{self.kind.resource}Status"]
        if status == "Completed":
            return description
        name = description[self.kind.name_member]
        reason = description.get("FailureReason") or description.get("ExitMessage")
        if status == "Failed":
            reason = reason or f"the job {name} failed without a reason"
            raise StepFailed(reason, retries.exception_of_reason(reason))
        limit = _exceeded_limit(self.kind, description)
        if limit:
            raise StepFailed(
                reason or f"the job {name} ran past MaxRuntimeInSeconds ({limit} seconds)"
            )
        raise StepFailed(f"the job {name} was stopped", stopped=True)


def _exceeded_limit(kind: StepType, description: Json) -> int | None:
    """The job's MaxRuntimeInSeconds when that is why it was stopped."""
    limit: int | None = (description.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    if description.get("SecondaryStatus") == "MaxRuntimeExceeded":
        return limit
    prefix = kind.name
    begin, end = description.get(f"{prefix}StartTime"), description.get(f"{prefix}EndTime")
    if limit and begin and end and (end - begin).total_seconds() >= limit:
        return limit
    return None


class TuningStep(JobStep):
    """Tuning: its properties are the tuning job's and those of its best trials, the best first.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-tuning
    """

    def request(self, call: Call) -> Json:
        return dict(call.arguments)  # the role is its training jobs' own

    def run(self, call: Call) -> Json:
        properties = super().run(call)
        self._require(call, self.kind.listing)
        jobs: Any = self.component
        best = jobs.best_first(call.job_name)[:MOST_TRIALS]
        return {**properties, "TrainingJobSummaries": best}


class RegisterModelStep(Resource):
    """RegisterModel: a new version in a group, which Pipelines makes when it is missing.

    The group: AWS's own tutorial (define-pipeline) registers into a group that nothing creates.
    """

    def run(self, call: Call) -> Json:
        request = dict(call.arguments)
        group = request.get("ModelPackageGroupName")
        if group and ":" not in group:
            self._ensure_group(group)
        request["MetadataProperties"] = {
            "GeneratedBy": call.execution_arn,
            **request.get("MetadataProperties", {}),
        }
        arn = self.call("Create", request, call)["ModelPackageArn"]
        call.started(call.job_name, {self.kind.metadata: {"Arn": arn}})
        return self.call("Describe", {"ModelPackageName": arn}, call)

    def stop(self, job_name: str) -> None:
        """A registration is over before it could be stopped."""

    def _ensure_group(self, name: str) -> None:
        registry: Any = self.component
        try:
            registry.describe_model_package_group({"ModelPackageGroupName": name})
        except ApiError:
            registry.create_model_package_group({"ModelPackageGroupName": name})


class ModelStep(Resource):
    """Model: CreateModel."""

    def run(self, call: Call) -> Json:
        name = call.job_name
        request = {"ExecutionRoleArn": call.role_arn, **call.arguments, "ModelName": name}
        arn = self.call("Create", request, call)["ModelArn"]
        call.started(call.job_name, {self.kind.metadata: {"Arn": arn}})
        return self.call("Describe", {"ModelName": name}, call)

    def stop(self, job_name: str) -> None:
        """A model is made before it could be stopped."""


class ConditionStep:
    """Condition: every entry of `Conditions` must hold."""

    def run(self, call: Call) -> Json:
        try:
            outcome = all(conditions.holds(item) for item in call.arguments["Conditions"])
        except conditions.IncomparableValues as error:
            raise StepFailed(f"ClientError: {error}") from None
        result = {"Outcome": str(outcome)}
        call.started(call.job_name, {"Condition": result})
        return result

    def stop(self, job_name: str) -> None:
        """A comparison is over before it could be stopped."""


class FailStep:
    """Fail: ends the execution with a message of the pipeline's author."""

    def run(self, call: Call) -> Json:
        message = str(call.arguments["ErrorMessage"])
        raise StepFailed(message, metadata={"Fail": {"ErrorMessage": message}})

    def stop(self, job_name: str) -> None:
        """There is nothing to stop."""


def handlers(components: Mapping[str, object]) -> dict[str, Handler]:
    """The handlers by step type. `components` gives the service behind each type that needs one."""
    made: dict[str, Handler] = {"Condition": ConditionStep(), "Fail": FailStep()}
    types: dict[str, Callable[[StepType, object], Handler]] = {
        "Processing": JobStep,
        "Training": JobStep,
        "Transform": JobStep,
        "Tuning": TuningStep,
        "RegisterModel": RegisterModelStep,
        "Model": ModelStep,
    }
    for name, component in components.items():
        made[name] = types[name](STEP_TYPES[name], component)
    return made
